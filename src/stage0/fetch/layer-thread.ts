/** The thread that unpacks layers (layer-threads.ts): an entry of its own. */
import { sentError, receivedError, serveThread } from '../../host/thread.ts';
import type { FilledLayer } from '../../state/images/store.ts';
import type { FromThread, ToThread } from './layer-threads.ts';
import { unpackFile, unpackStream } from './unpack-layer.ts';

/** Bytes that were sent, in order. */
class Incoming {
  readonly #waiting: (Buffer | 'end' | Error)[] = [];
  #wake: (() => void) | undefined;

  put(item: Buffer | 'end' | Error): void {
    this.#waiting.push(item);
    this.#wake?.();
  }

  async *chunks(onRead: (doneBytes: number) => void): AsyncGenerator<Buffer> {
    for (let done = 0; ;) {
      const item = this.#waiting.shift();
      if (item === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else if (item === 'end') return;
      else if (item instanceof Error) throw item;
      else {
        yield item;
        onRead((done += item.length));
      }
    }
  }
}

const streams = new Map<number, Incoming>();

const answer = serveThread<FromThread, ToThread>((message) => {
  const { id } = message;
  if ('job' in message) void begin(message);
  else if ('chunk' in message)
    streams.get(id)?.put(Buffer.from(message.chunk.buffer as ArrayBuffer, message.chunk.byteOffset, message.chunk.byteLength));
  else streams.get(id)?.put('end' in message ? 'end' : receivedError(message.failed));
});

async function begin({ id, job, file, digest }: Extract<ToThread, { job: unknown }>): Promise<void> {
  const onRead = (readBytes: number): void => answer({ id, readBytes });
  try {
    answer({ id, filled: await (file === undefined ? receive() : unpackFile(job, { ...file, [Symbol.dispose]: () => undefined }, digest, onRead)) });
  } catch (error) {
    answer({ id, error: sentError(error) });
  } finally {
    streams.delete(id);
  }

  function receive(): Promise<FilledLayer> {
    const incoming = new Incoming();
    streams.set(id, incoming);
    return unpackStream(job, incoming.chunks(onRead));
  }
}
