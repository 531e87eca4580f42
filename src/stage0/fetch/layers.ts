/** One layer: blob → digests checked → directory in the store. */
import { createHash } from 'node:crypto';
import { decompress, layerCompressionOf } from '../../host/decompress.ts';
import { RuntimeError, isCode } from '../../model/errors.ts';
import type { LayerRecord } from '../../state/images/records.ts';
import type { TreeLog } from '../../state/images/tree-log.ts';
import type { ImageStore } from '../../state/images/store.ts';
import { checkRatio, type ImageLimits } from '../render/limits.ts';
import { TarReader } from '../render/tar.ts';
import { LayerUnpacker } from '../render/unpack.ts';
import { beginningOf, chunksOf, type ByteRange } from './image-files.ts';
import type { SourceLayer } from './source-image.ts';

/**
 * Puts a layer into the store if it is not there. Nothing of it is kept unless both digests are right.
 * @throws ERR_IMAGE_DIGEST, ERR_LAYER_CORRUPT, ERR_LAYER_ESCAPE, ERR_LAYER_LIMIT, ERR_STORE_IO
 */
function storeLayer(
  store: ImageStore,
  layer: SourceLayer,
  limits: ImageLimits,
  onRead: (doneBytes: number, totalBytes: number) => void,
): Promise<LayerRecord> {
  return store.addLayer(layer.diffId, async (root, log) => {
    using blob = layer.open();
    return await unpackBlob(blob, layer, { root, log }, limits, onRead);
  });
}

/** While one layer waits for its decompressor another is written; more at once would only need more memory. */
const layersAtOnce = 2;

/**
 * Puts the layers of an image into the store, see {@link storeLayer}; the records come in the order of `layers`.
 * Of several faults the lowest layer's is thrown, when all that was begun has ended.
 */
export async function storeLayers(
  store: ImageStore,
  layers: readonly SourceLayer[],
  limits: ImageLimits,
  onRead: (layer: number, doneBytes: number, totalBytes: number) => void,
): Promise<LayerRecord[]> {
  const records: LayerRecord[] = [];
  const failures = new Map<number, unknown>();
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < layers.length && failures.size === 0) {
      const i = next++;
      const layer = layers[i];
      if (layer === undefined) return;
      try {
        records[i] = await storeLayer(store, layer, limits, (doneBytes, totalBytes) => onRead(i, doneBytes, totalBytes));
      } catch (error) {
        failures.set(i, error);
      }
    }
  };
  await Promise.all(Array.from({ length: layersAtOnce }, work));
  if (failures.size > 0) throw failures.get(Math.min(...failures.keys()));
  return records;
}

async function unpackBlob(
  blob: ByteRange,
  layer: SourceLayer,
  { root, log }: { readonly root: string; readonly log: TreeLog },
  limits: ImageLimits,
  onRead: (doneBytes: number, totalBytes: number) => void,
): Promise<Omit<LayerRecord, 'diffId' | 'tree'>> {
  const { what } = layer;
  const blobHash = createHash('sha256');
  const tarHash = createHash('sha256');
  using unpacker = new LayerUnpacker(root, limits, what, log);
  const reader = new TarReader(unpacker, limits, what);
  let compressedBytes = 0;
  const read = function* (): Generator<Buffer> {
    for (const chunk of chunksOf(blob, (done) => onRead(done, blob.bytes))) {
      if (layer.digest !== undefined) blobHash.update(chunk);
      compressedBytes += chunk.length;
      yield chunk;
    }
  };
  try {
    await decompress(
      layerCompressionOf(beginningOf(blob, 6), what),
      read(),
      (chunk) => {
        tarHash.update(chunk);
        reader.push(chunk);
        checkRatio(limits, what, compressedBytes, reader.position, unpacker.entries);
      },
      what,
    );
    reader.finish();
  } catch (error) {
    // A blob that was damaged on its way is not the packer's fault: say so.
    if (isCode(error, 'ERR_LAYER_CORRUPT')) verifyWhole(blob, layer, error);
    throw error;
  }
  compare(layer.digest, `sha256:${blobHash.digest('hex')}`, what, 'blob');
  compare(layer.diffId, `sha256:${tarHash.digest('hex')}`, what, 'uncompressed content');
  return { tarBytes: reader.position, ...unpacker.finish() };
}

function verifyWhole(blob: ByteRange, { digest, what }: SourceLayer, cause: unknown): void {
  const hash = createHash('sha256');
  for (const chunk of chunksOf(blob)) hash.update(chunk);
  compare(digest, `sha256:${hash.digest('hex')}`, what, 'blob', cause);
}

function compare(expected: string | undefined, actual: string, what: string, part: string, cause?: unknown): void {
  if (expected !== undefined && expected !== actual)
    throw new RuntimeError('ERR_IMAGE_DIGEST', `${what}: its ${part} has the digest ${actual}, not ${expected}`, { cause });
}
