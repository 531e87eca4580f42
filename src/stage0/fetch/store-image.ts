/** An image that a source described → layers and image in the store. */
import { basename } from 'node:path';
import type { Digest } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { Progress, ProgressOf } from '../../model/options.ts';
import type { LayerRecord, Stamp } from '../../state/images/records.ts';
import type { ImageStore } from '../../state/images/store.ts';
import type { ImageLimits } from '../render/limits.ts';
import { withDiskNeed } from './disk-need.ts';
import { LayerThreads } from './layer-threads.ts';
import { storeLayer } from './layers.ts';
import { mountedLayers } from './mounted-layers.ts';
import { digestOf, type SourceImage, type SourceLayer } from './source-image.ts';
import { Turns } from './turns.ts';

/** While one layer waits for its decompressor another is written; more at once would only need more memory. */
const layersAtOnce = 3;
/** Downloads wait for the network, too. */
const downloadsAtOnce = 3;
/** Below, a thread's start costs more than it saves. */
const minThreadBytes = 512 * 1024;

export interface SourceFacts {
  readonly source?: { readonly key: string; readonly stamp: Stamp };
  readonly fetchedAs?: readonly string[];
  readonly namesStamp?: Stamp | undefined;
  /** see StoredImage */
  readonly origin?: string;
}

export interface StoreImageOptions {
  readonly store: ImageStore;
  readonly limits: ImageLimits;
  readonly progress: Progress;
}

/** Layers first, then the image that refers to them. `written`: the reference, for progress and as a name of last resort. */
export async function storeImage(
  image: SourceImage,
  written: string,
  { origin = written, ...facts }: SourceFacts,
  { store, limits, progress }: StoreImageOptions,
): Promise<StoredImage> {
  const records = await storeLayers(image.layers, written, { store, limits, progress });
  const manifest = image.manifest(records.map(({ tarBytes }) => tarBytes));
  const { os, architecture, config } = image.config;
  return store.addImage({
    image: { id: digestOf(manifest), name: image.names[0] ?? written, config, layers: await mountedLayers(store, records), os, architecture, origin },
    manifest,
    configDigest: image.configDigest,
    config: image.configBytes,
    names: image.names,
    ...facts,
  });
}

/** Some at a time. After a failure downloads are stopped; of several faults the lowest layer's is thrown, when all that was begun has ended. */
async function storeLayers(layers: readonly SourceLayer[], written: string, { store, limits, progress }: StoreImageOptions): Promise<LayerRecord[]> {
  const startedMs = performance.now();
  using threads = new LayerThreads();
  const stop = new AbortController();
  const records: LayerRecord[] = [];
  let downloadedBytes = 0;
  let reused = 0;
  const isRemote = layers.some((layer) => 'download' in layer);
  const eventOf = (layer: SourceLayer, i: number): ProgressOf =>
    'download' in layer
      ? { what: `layer ${layer.digest.slice('sha256:'.length, 'sha256:'.length + 12)}`, doneBytes: 0, totalBytes: layer.bytes, isDownload: true }
      : { what: `${basename(written)} ${i + 1}/${layers.length}`, doneBytes: 0, totalBytes: undefined };
  const distinct = [...new Map(layers.map((layer, i) => [layer.diffId, { layer, event: eventOf(layer, i) }])).values()];
  if (isRemote) for (const { event } of distinct) progress(event);

  const turns = new Turns(isRemote ? downloadsAtOnce : layersAtOnce);
  const storeOne = async ({ layer, event }: (typeof distinct)[number]): Promise<LayerRecord> => {
    let arrived = 0;
    const record = await storeLayer(store, layer, {
      limits,
      signal: stop.signal,
      turns,
      threadsFor: (blobBytes) => (distinct.length > 1 && blobBytes >= minThreadBytes && LayerThreads.most > 0 ? threads : undefined),
      onRead(doneBytes, totalBytes) {
        arrived = doneBytes;
        progress({ ...event, doneBytes, totalBytes });
      },
    });
    if (arrived === 0) reused++;
    downloadedBytes += arrived;
    if (isRemote) progress({ ...event, doneBytes: arrived, state: arrived === 0 ? 'present' : 'done' });
    return record;
  };
  const byDiffId = new Map<Digest, LayerRecord>();
  const failures = new Map<number, unknown>();
  const storeOrStop = async (one: (typeof distinct)[number], i: number): Promise<void> => {
    try {
      byDiffId.set(one.layer.diffId, await storeOne(one));
    } catch (error) {
      // What downloads throw from now on, and what has not begun, is only that they were stopped.
      if (!stop.signal.aborted || ('open' in one.layer && error !== stop.signal.reason)) failures.set(i, error);
      stop.abort();
    }
  };
  await Promise.all(distinct.map(storeOrStop));
  if (failures.size > 0) throw await withDiskNeed(failures.get(Math.min(...failures.keys())), store, layers, limits);
  for (const { diffId } of layers) {
    const record = byDiffId.get(diffId);
    if (record !== undefined) records.push(record);
  }
  if (isRemote) progress({ fetched: written, layers: distinct.length, reused, downloadedBytes, elapsedMs: performance.now() - startedMs });
  return records;
}
