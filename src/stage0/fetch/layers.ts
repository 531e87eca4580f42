/** One layer: blob → digests checked → directory in the store. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { isCode } from '../../model/errors.ts';
import type { LayerRecord } from '../../state/images/records.ts';
import type { FilledLayer, ImageStore, LayerPlace } from '../../state/images/store.ts';
import type { ImageLimits } from '../render/limits.ts';
import type { LayerThreads } from './layer-threads.ts';
import type { LocalLayer, RemoteLayer, SourceLayer } from './source-image.ts';
import type { Turns } from './turns.ts';
import { compareDigest, unpackFile, unpackStream, type LayerJob } from './unpack-layer.ts';

export interface LayerWork {
  readonly limits: ImageLimits;
  /** how much of the blob has arrived; begins anew when a download does */
  readonly onRead: (doneBytes: number, totalBytes: number) => void;
  /** ends downloads, and keeps from beginning */
  readonly signal: AbortSignal;
  /** who unpacks layers of so many bytes; undefined: this thread */
  readonly threadsFor: (blobBytes: number) => LayerThreads | undefined;
  readonly turns: Turns;
}

/**
 * Puts a layer into the store if it is not there. Nothing of it is kept unless both digests are right.
 * @throws ERR_IMAGE_DIGEST, ERR_LAYER_CORRUPT, ERR_LAYER_ESCAPE, ERR_LAYER_LIMIT, ERR_STORE_IO, and what a download throws
 */
export function storeLayer(store: ImageStore, layer: SourceLayer, work: LayerWork): Promise<LayerRecord> {
  const unpack = async (place: LayerPlace): Promise<FilledLayer> => {
    work.signal.throwIfAborted();
    return 'open' in layer ? unpackLocal(layer, place, work) : unpackRemote(layer, place, work);
  };
  return store.addLayer(layer.diffId, (place) => work.turns.take(() => unpack(place)), work.turns.flush);
}

const jobOf = ({ diffId, what }: SourceLayer, place: LayerPlace, { limits }: LayerWork): LayerJob => ({ place, limits, diffId, what });

async function unpackLocal(layer: LocalLayer, place: LayerPlace, work: LayerWork): Promise<FilledLayer> {
  using blob = layer.open();
  const onRead = (doneBytes: number): void => work.onRead(doneBytes, blob.bytes);
  const threads = work.threadsFor(blob.bytes);
  return await (threads?.unpackFile ?? unpackFile)(jobOf(layer, place, work), blob, layer.digest, onRead);
}

/** Unpacks while it downloads; a download that turned out to be wrong is begun anew in an empty directory. */
async function unpackRemote(layer: RemoteLayer, place: LayerPlace, work: LayerWork): Promise<FilledLayer> {
  const threads = work.threadsFor(layer.bytes);
  for (let attempt = 1; ; attempt++) {
    const incoming = verifiedDownload(layer, work);
    try {
      try {
        return await (threads?.unpackStream ?? unpackStream)(jobOf(layer, place, work), incoming);
      } catch (error) {
        // What comes to an end without a complaint was what was meant.
        if (isCode(error, 'ERR_LAYER_CORRUPT')) while ((await incoming.next()).done !== true);
        throw error;
      }
    } catch (error) {
      await incoming.return(undefined);
      if (work.signal.aborted || !(await layer.again(error))) throw error;
      // Not deleted here: what is left lies in the staging directory, which goes as a whole.
      renameSync(place.root, `${place.root}.${attempt}`);
      mkdirSync(place.root);
      chmodSync(place.root, 0o755);
      rmSync(place.logPath, { force: true });
    }
  }
}

/** The blob as it comes, with an error in place of its end when it is another one. */
async function* verifiedDownload(layer: RemoteLayer, { signal, onRead }: LayerWork): AsyncGenerator<Buffer, undefined> {
  const hash = createHash('sha256');
  let done = 0;
  for await (const chunk of layer.download(signal)) {
    done += chunk.length;
    hash.update(chunk);
    onRead(done, layer.bytes);
    yield chunk;
  }
  compareDigest(layer.digest, `sha256:${hash.digest('hex')}`, layer.what, 'blob');
  return undefined;
}
