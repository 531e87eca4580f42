/**
 * A layer's blob → its tree and the log of it, with every digest checked. Knows the place it is given and nothing
 * else of the store: it may be done on a thread of its own (layer-thread.ts).
 */
import { createHash } from 'node:crypto';
import { decompress, layerCompressionOf, type Chunks } from '../../host/decompress.ts';
import { RuntimeError, isCode } from '../../model/errors.ts';
import type { FilledLayer, LayerPlace } from '../../state/images/store.ts';
import { TreeLogFile } from '../../state/images/tree-log.ts';
import { checkRatio, type ImageLimits } from '../render/limits.ts';
import { TarReader } from '../render/tar.ts';
import { LayerUnpacker } from '../render/unpack.ts';
import { chunksOf, type ByteRange } from './image-files.ts';

/** One layer to be unpacked. A value that can be sent. */
export interface LayerJob {
  readonly place: LayerPlace;
  readonly limits: ImageLimits;
  /** of the uncompressed tar */
  readonly diffId: string;
  /** how to call it in messages */
  readonly what: string;
}

/** How much is unpacked between two looks at what has become of it. */
const ratioStepBytes = 64 * 1024;

/**
 * Unpacks what `chunks` yields, which is nobody's after this has thrown, and not ended. Its digest is `chunks`' own business.
 * @throws ERR_IMAGE_DIGEST, ERR_LAYER_CORRUPT, ERR_LAYER_ESCAPE, ERR_LAYER_LIMIT, ERR_STORE_IO, and what `chunks` throws
 */
export async function unpackStream({ place, limits, diffId, what }: LayerJob, chunks: Chunks): Promise<FilledLayer> {
  const tarHash = createHash('sha256');
  using log = new TreeLogFile(place.logPath);
  using unpacker = new LayerUnpacker(place.root, limits, what, log);
  const reader = new TarReader(unpacker, limits, what);
  const blob = await peek(chunks, 6);
  await decompress(
    layerCompressionOf(blob.first, what),
    blob.all(),
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
  compareDigest(diffId, `sha256:${tarHash.digest('hex')}`, what, 'uncompressed content');
  return { tarBytes: reader.position, ...unpacker.finish(), tree: log.seal() };
}

/** {@link unpackStream} of a blob that is here. */
export async function unpackFile(
  job: LayerJob,
  blob: ByteRange,
  digest: string | undefined,
  onRead: (doneBytes: number) => void,
): Promise<FilledLayer> {
  try {
    return await unpackStream(job, digest === undefined ? chunksOf(blob, onRead) : verified(chunksOf(blob, onRead), digest, job.what));
  } catch (error) {
    // A blob that was damaged on its way is not the packer's fault: say so.
    if (isCode(error, 'ERR_LAYER_CORRUPT') && digest !== undefined) for (const chunk of verified(chunksOf(blob), digest, job.what)) void chunk;
    throw error;
  }
}

/** `chunks`, with an error in place of their end when they are not what `digest` says. @throws ERR_IMAGE_DIGEST */
function* verified(chunks: Iterable<Buffer>, digest: string, what: string): Generator<Buffer> {
  const hash = createHash('sha256');
  for (const chunk of chunks) {
    hash.update(chunk);
    yield chunk;
  }
  compareDigest(digest, `sha256:${hash.digest('hex')}`, what, 'blob');
}

/** The first bytes of a stream, and all of it; who stops reading that does not end `source`. */
async function peek(source: Chunks, bytes: number): Promise<{ first: Buffer; all: () => AsyncGenerator<Buffer>; readBytes: () => number }> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  let readBytes = 0;
  const next = async (): Promise<Buffer | undefined> => {
    const { value, done } = await iterator.next();
    if (done === true) return undefined;
    readBytes += value.length;
    return value;
  };
  let first: Buffer = Buffer.alloc(0);
  while (first.length < bytes) {
    const chunk = await next();
    if (chunk === undefined) break;
    first = first.length === 0 ? chunk : Buffer.concat([first, chunk]);
  }
  const all = async function* (): AsyncGenerator<Buffer> {
    if (first.length > 0) yield first;
    for (let chunk = await next(); chunk !== undefined; chunk = await next()) yield chunk;
  };
  return { first, all, readBytes: () => readBytes };
}

/** @throws ERR_IMAGE_DIGEST */
export function compareDigest(expected: string | undefined, actual: string, what: string, part: string): void {
  if (expected !== undefined && expected !== actual)
    throw new RuntimeError('ERR_IMAGE_DIGEST', `${what}: its ${part} has the digest ${actual}, not ${expected}`);
}
