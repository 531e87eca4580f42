/** Which layers are mounted for an image. */
import type { Digest } from '../../model/ids.ts';
import type { LayerRecord } from '../../state/images/records.ts';
import type { ImageStore } from '../../state/images/store.ts';
import { correctionsOf, makeCorrections } from '../render/corrections.ts';
import { digestOf } from './source-image.ts';

/** The layers one can see, and if need be one on top that corrects their directories. */
export async function mountedLayers(store: ImageStore, records: readonly LayerRecord[]): Promise<Digest[]> {
  const visible = records.slice(
    Math.max(
      0,
      records.findLastIndex(({ opaqueRoot }) => opaqueRoot),
    ),
  );
  const layers = visible.map(({ diffId }) => diffId);
  const topDown = [...new Map(visible.toReversed().map((record) => [record.diffId, record])).values()];
  const roots = store.layerPaths({ layers });
  const directories = correctionsOf(topDown.map(({ implicit, whitedOut }, i) => ({ root: roots[i] ?? '', implicit, whitedOut })));
  if (directories.length === 0) return layers;
  // Named by what is in it, like any layer.
  const diffId = digestOf(Buffer.from(JSON.stringify(directories)));
  await store.addLayer(diffId, async ({ root }) => {
    makeCorrections(root, directories);
    return { tarBytes: 0, entries: directories.length, opaqueRoot: false, implicit: [], whitedOut: [] };
  });
  return [...layers, diffId];
}
