/** How an image was built, as far as it says. @see OCI image-spec 1.1 config.md "history" */
import type { Digest } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import { ociDocuments } from './documents.ts';
import type { ImageStore } from './store.ts';

/** One step; `''`: the image does not say. */
export interface HistoryStep {
  /** undefined: the step changed no file */
  readonly layer: Digest | undefined;
  /** undefined: no layer, or one that is not in the store */
  readonly bytes: number | undefined;
  readonly created: string;
  readonly createdBy: string;
  readonly comment: string;
}

/** The last step first. Layers that no step speaks of are steps of their own. @throws ERR_STORE_IO */
export function historyOf(store: ImageStore, image: StoredImage): HistoryStep[] {
  const bytesOf = (layer: Digest): number | undefined => store.layer(layer)?.tarBytes;
  const bare = (layer: Digest): HistoryStep => ({ layer, bytes: bytesOf(layer), created: '', createdBy: '', comment: '' });
  if (image.appc !== undefined) return image.appc.rootfs.map(bare).toReversed();
  const { config, diffIds } = ociDocuments(store.dataDir, image);
  const left = [...diffIds];
  const said = Array.isArray(config['history']) ? (config['history'] as unknown[]) : [];
  const steps = said.flatMap((value): HistoryStep[] => {
    if (typeof value !== 'object' || value === null) return [];
    const step = value as Readonly<Record<string, unknown>>;
    const text = (key: string): string => (typeof step[key] === 'string' ? step[key] : '');
    const layer = step['empty_layer'] === true ? undefined : left.shift();
    return [
      {
        layer,
        bytes: layer === undefined ? undefined : bytesOf(layer),
        created: text('created'),
        createdBy: text('created_by'),
        comment: text('comment'),
      },
    ];
  });
  return [...steps, ...left.map(bare)].toReversed();
}
