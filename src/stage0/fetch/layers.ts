/** One layer: blob → digests checked → directory in the store. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, renameSync } from 'node:fs';
import { decompress, layerCompressionOf } from '../../host/decompress.ts';
import { RuntimeError, isCode } from '../../model/errors.ts';
import type { LayerRecord } from '../../state/images/records.ts';
import type { TreeLog } from '../../state/images/tree-log.ts';
import type { ImageStore } from '../../state/images/store.ts';
import { checkRatio, type ImageLimits } from '../render/limits.ts';
import { TarReader } from '../render/tar.ts';
import { LayerUnpacker } from '../render/unpack.ts';
import { beginningOf, chunksOf, type ByteRange } from './image-files.ts';
import type { LocalLayer, RemoteLayer, SourceLayer } from './source-image.ts';

type Unpacked = Omit<LayerRecord, 'diffId' | 'tree'>;

/** Where a layer is unpacked, and who notes what was made there. */
interface Place {
  readonly root: string;
  readonly log: TreeLog;
}

export interface LayerWork {
  readonly limits: ImageLimits;
  /** how much of the blob has arrived; begins anew when a download does */
  readonly onRead: (doneBytes: number, totalBytes: number) => void;
  /** ends downloads */
  readonly signal: AbortSignal;
}

/**
 * Puts a layer into the store if it is not there. Nothing of it is kept unless both digests are right.
 * @throws ERR_IMAGE_DIGEST, ERR_LAYER_CORRUPT, ERR_LAYER_ESCAPE, ERR_LAYER_LIMIT, ERR_STORE_IO, and what a download throws
 */
export function storeLayer(store: ImageStore, layer: SourceLayer, work: LayerWork): Promise<LayerRecord> {
  return store.addLayer(layer.diffId, (root, log) =>
    'open' in layer ? unpackLocal(layer, { root, log }, work) : unpackRemote(layer, { root, log }, work),
  );
}

async function unpackLocal(layer: LocalLayer, place: Place, work: LayerWork): Promise<Unpacked> {
  using blob = layer.open();
  const blobHash = createHash('sha256');
  let readBytes = 0;
  const read = function* (): Generator<Buffer> {
    for (const chunk of chunksOf(blob, (done) => work.onRead(done, blob.bytes))) {
      readBytes += chunk.length;
      if (layer.digest !== undefined) blobHash.update(chunk);
      yield chunk;
    }
  };
  return await unpack(layer, place, work.limits, {
    compression: layerCompressionOf(beginningOf(blob, 6), layer.what),
    chunks: read(),
    damaged: () => verifyWhole(blob, layer),
    digest: () => `sha256:${blobHash.digest('hex')}`,
    readBytes: () => readBytes,
  });
}

/** Unpacks while it downloads; a download that turned out to be wrong is begun anew in an empty directory. */
async function unpackRemote(layer: RemoteLayer, place: Place, work: LayerWork): Promise<Unpacked> {
  for (let attempt = 1; ; attempt++) {
    const blobHash = createHash('sha256');
    const digest = (): string => `sha256:${blobHash.copy().digest('hex')}`;
    let readBytes = 0;
    const incoming = received(layer, work, (chunk) => {
      readBytes += chunk.length;
      blobHash.update(chunk);
    });
    try {
      const { first, chunks } = await peek(incoming, 6);
      return await unpack(layer, place, work.limits, {
        compression: layerCompressionOf(first, layer.what),
        chunks,
        damaged: async () => {
          while ((await incoming.next()).done !== true);
          compare(layer.digest, digest(), layer.what, 'blob');
        },
        digest,
        readBytes: () => readBytes,
      });
    } catch (error) {
      await incoming.return(undefined);
      if (work.signal.aborted || !(await layer.again(error))) throw error;
      // Not deleted here: what is left lies in the staging directory, which goes as a whole.
      renameSync(place.root, `${place.root}.${attempt}`);
      mkdirSync(place.root);
      chmodSync(place.root, 0o755);
      place.log.restart();
    }
  }
}

async function* received(layer: RemoteLayer, { signal, onRead }: LayerWork, look: (chunk: Buffer) => void): AsyncGenerator<Buffer, undefined> {
  let done = 0;
  for await (const chunk of layer.download(signal)) {
    done += chunk.length;
    look(chunk);
    onRead(done, layer.bytes);
    yield chunk;
  }
  return undefined;
}

/** The first bytes of a stream, and all of it. Who stops reading `chunks` does not end `source`. */
async function peek(source: AsyncGenerator<Buffer, undefined>, bytes: number): Promise<{ first: Buffer; chunks: AsyncIterable<Buffer> }> {
  let first: Buffer = Buffer.alloc(0);
  while (first.length < bytes) {
    const { value } = await source.next();
    if (value === undefined) break;
    first = first.length === 0 ? value : Buffer.concat([first, value]);
  }
  const chunks = async function* (): AsyncGenerator<Buffer> {
    if (first.length > 0) yield first;
    for (;;) {
      const { value } = await source.next();
      if (value === undefined) return;
      yield value;
    }
  };
  return { first, chunks: chunks() };
}

interface Blob {
  readonly compression: ReturnType<typeof layerCompressionOf>;
  readonly chunks: Iterable<Buffer> | AsyncIterable<Buffer>;
  /** called when the content makes no sense: throws if that is because the blob is not the one that was meant */
  damaged(): void | Promise<void>;
  /** of what was read */
  digest(): string;
  /** compressed bytes that were read */
  readBytes(): number;
}

/** How much is unpacked between two looks at what has become of it. */
const ratioStepBytes = 64 * 1024;

async function unpack(layer: SourceLayer, { root, log }: Place, limits: ImageLimits, blob: Blob): Promise<Unpacked> {
  const { what } = layer;
  const tarHash = createHash('sha256');
  using unpacker = new LayerUnpacker(root, limits, what, log);
  const reader = new TarReader(unpacker, limits, what);
  try {
    await decompress(
      blob.compression,
      blob.chunks,
      (chunk) => {
        tarHash.update(chunk);
        // In pieces: a chunk can hold entries by the hundred, and each can make directories by the hundred.
        for (let at = 0; at < chunk.length; at += ratioStepBytes) {
          reader.push(chunk.subarray(at, at + ratioStepBytes));
          checkRatio(limits, what, blob.readBytes(), reader.position, unpacker.entries);
        }
      },
      what,
    );
    reader.finish();
  } catch (error) {
    // A blob that was damaged on its way is not the packer's fault: say so.
    if (isCode(error, 'ERR_LAYER_CORRUPT')) await blob.damaged();
    throw error;
  }
  compare(layer.digest, blob.digest(), what, 'blob');
  compare(layer.diffId, `sha256:${tarHash.digest('hex')}`, what, 'uncompressed content');
  return { tarBytes: reader.position, ...unpacker.finish() };
}

function verifyWhole(blob: ByteRange, { digest, what }: SourceLayer): void {
  const hash = createHash('sha256');
  for (const chunk of chunksOf(blob)) hash.update(chunk);
  compare(digest, `sha256:${hash.digest('hex')}`, what, 'blob');
}

function compare(expected: string | undefined, actual: string, what: string, part: string): void {
  if (expected !== undefined && expected !== actual)
    throw new RuntimeError('ERR_IMAGE_DIGEST', `${what}: its ${part} has the digest ${actual}, not ${expected}`);
}
