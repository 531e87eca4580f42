/** Threads that unpack layers, each several at a time; started when there is something to do. What they say to each other: {@link ToThread}, {@link FromThread}. */
import { availableParallelism } from 'node:os';
import type { Chunks } from '../../host/decompress.ts';
import { receivedError, sentError, startThread, type SentError, type Thread } from '../../host/thread.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { FilledLayer } from '../../state/images/store.ts';
import type { ByteRange } from './image-files.ts';
import type { LayerJob } from './unpack-layer.ts';

/** A blob in a file that this process has open. */
export type SentRange = Pick<ByteRange, 'fd' | 'offset' | 'bytes'>;

export type ToThread = { readonly id: number } & (
  | { readonly job: LayerJob; readonly file?: SentRange; readonly digest?: string | undefined }
  /** some bytes of a job without a file; then its end, or why there is no more */
  | { readonly chunk: Uint8Array }
  | { readonly end: true }
  | { readonly failed: SentError }
);

export type FromThread = { readonly id: number } &
  /** bytes of the blob read so far, from a file or of what was sent */
  ({ readonly readBytes: number } | { readonly filled: FilledLayer } | { readonly error: SentError });

/** How much may be on its way to a thread. */
const maxSentBytes = 1 << 20;

interface Job {
  onRead(doneBytes: number): void;
  settle(outcome: FilledLayer | Error): void;
}

interface Worker {
  readonly thread: Thread<ToThread>;
  readonly jobs: Map<number, Job>;
}

export class LayerThreads implements Disposable {
  readonly #workers: Worker[] = [];
  #ids = 0;

  /** Threads pay when there is more than one processor. */
  static readonly most = availableParallelism() < 2 ? 0 : Math.min(3, availableParallelism());

  #start(): Worker {
    const jobs = new Map<number, Job>();
    const thread = startThread<ToThread, FromThread>(
      'unpack-layers.cjs',
      (message) => {
        const job = jobs.get(message.id);
        if ('readBytes' in message) job?.onRead(message.readBytes);
        else job?.settle('filled' in message ? message.filled : receivedError(message.error));
      },
      (why) => {
        for (const job of jobs.values()) job.settle(new RuntimeError('ERR_STORE_IO', `the thread that unpacks layers is gone: ${why}`));
      },
    );
    const worker = { thread, jobs };
    this.#workers.push(worker);
    return worker;
  }

  #idlest(): Worker {
    const [idlest] = this.#workers.toSorted((a, b) => a.jobs.size - b.jobs.size);
    return idlest === undefined || (idlest.jobs.size > 0 && this.#workers.length < LayerThreads.most) ? this.#start() : idlest;
  }

  /** Hands a job over. `outcome` rejects with what the thread throws. */
  #begin(
    what: { readonly job: LayerJob; readonly file?: SentRange; readonly digest?: string | undefined },
    onRead: (doneBytes: number) => void,
  ): { send: (message: object) => void; outcome: Promise<FilledLayer> } {
    const { thread, jobs } = this.#idlest();
    const id = this.#ids++;
    const outcome = new Promise<FilledLayer>((resolve, reject) => {
      jobs.set(id, {
        onRead,
        settle(result) {
          jobs.delete(id);
          if (result instanceof Error) reject(result);
          else resolve(result);
        },
      });
    });
    thread.post({ id, ...what });
    return { outcome, send: (message) => thread.post({ id, ...message } as ToThread) };
  }

  /** As unpackFile (unpack-layer.ts). The file stays open until this has settled. */
  unpackFile = (
    job: LayerJob,
    { fd, offset, bytes }: ByteRange,
    digest: string | undefined,
    onRead: (doneBytes: number) => void,
  ): Promise<FilledLayer> => this.#begin({ job, digest, file: { fd, offset, bytes } }, onRead).outcome;

  /** As unpackStream (unpack-layer.ts). */
  unpackStream = async (job: LayerJob, chunks: Chunks): Promise<FilledLayer> => {
    let sentBytes = 0;
    let readBytes = 0;
    let isOver = false;
    let wake = (): void => undefined;
    const { outcome, send } = this.#begin({ job }, (doneBytes) => {
      readBytes = doneBytes;
      wake();
    });
    const over = (): void => {
      isOver = true;
      wake();
    };
    outcome.then(over, over);
    const iterator = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
    try {
      for (;;) {
        const { value, done } = await iterator.next();
        if (isOver || done === true) break;
        send({ chunk: value });
        sentBytes += value.length;
        while (!isOver && sentBytes - readBytes > maxSentBytes) await new Promise<void>((resolve) => (wake = resolve));
      }
    } catch (error) {
      send({ failed: sentError(error) });
      // The directory is nobody's only when the thread has let go of it.
      await outcome.catch(() => undefined);
      throw error;
    }
    send({ end: true });
    return outcome;
  };

  [Symbol.dispose](): void {
    for (const { thread } of this.#workers) thread.stop();
  }
}
