/** What is known of the stored images, put together for people. */
import type { Digest } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { ImageStore } from './store.ts';

export interface LayerFacts {
  readonly diffId: Digest;
  /** uncompressed; undefined: the layer is not in the store */
  readonly bytes: number | undefined;
  readonly entries: number | undefined;
  /** where it is unpacked */
  readonly path: string;
  /** other images that have it */
  readonly sharedWith: readonly Digest[];
}

export interface ImageFacts {
  readonly image: StoredImage;
  /** what it can be run by; the first is the one it came with, if that still means this image */
  readonly names: readonly string[];
  readonly importedMs: number | undefined;
  readonly lastUsedMs: number;
  /** of its layers, each counted once */
  readonly bytes: number;
  /** of those that no other image has: what removing it frees */
  readonly ownBytes: number;
  /** bottom first */
  readonly layers: readonly LayerFacts[];
}

/** Every image of the store, in the order of their ids. */
export function imageFacts(store: ImageStore): ImageFacts[] {
  const images = store.list();
  const namesById = new Map<Digest, string[]>();
  for (const name of store.names()) {
    const id = store.find(name)?.id;
    if (id !== undefined) namesById.set(id, [...(namesById.get(id) ?? []), name]);
  }
  const users = new Map<Digest, Digest[]>();
  for (const { id, layers } of images) for (const layer of new Set(layers)) users.set(layer, [...(users.get(layer) ?? []), id]);
  return images.map((image) => {
    const layers = [...new Set(image.layers)].map((diffId): LayerFacts => {
      const record = store.layer(diffId);
      return {
        diffId,
        bytes: record?.tarBytes,
        entries: record?.entries,
        path: store.layerPaths({ layers: [diffId] })[0] ?? '',
        sharedWith: (users.get(diffId) ?? []).filter((id) => id !== image.id),
      };
    });
    const sum = (among: readonly LayerFacts[]): number => among.reduce((total, { bytes }) => total + (bytes ?? 0), 0);
    const names = namesById.get(image.id) ?? [];
    return {
      image,
      names: [...names.filter((name) => name === image.name), ...names.filter((name) => name !== image.name)],
      importedMs: image.importedMs,
      lastUsedMs: store.lastUsedMs(image.id) ?? 0,
      bytes: sum(layers),
      ownBytes: sum(layers.filter(({ sharedWith }) => sharedWith.length === 0)),
      layers,
    };
  });
}
