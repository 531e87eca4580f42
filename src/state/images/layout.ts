/** Where the image store keeps things below the data directory. @see rkt.md 2.2 (cas) */
import { join } from 'node:path';
import { hexOf, type Digest } from '../../model/ids.ts';

/**
 * Short enough that an overlay mount of 127 layers fits the one page that mount(2) takes;
 * the full digest is in the layer's record and compared.
 */
const layerIdDigits = 24;
export const layerId = (diffId: Digest): string => hexOf(diffId).slice(0, layerIdDigits);

/** A file name for an image name: "/" is the only character of the grammar that a file name cannot hold, "%" is not in it. */
const nameFile = (canonicalName: string): string => `${canonicalName.replaceAll('/', '%2F')}.json`;

export const imagePaths = (dataDir: string) => {
  const cas = join(dataDir, 'cas');
  return {
    cas,
    /** manifests and configurations, as they came */
    blobs: join(cas, 'blobs'),
    blob: (digest: Digest): string => join(cas, 'blobs', digest.replace(':', '/')),
    /** one {@link StoredImage} a file */
    images: join(cas, 'images'),
    image: (id: Digest): string => join(cas, 'images', `${hexOf(id)}.json`),
    /** image name → id */
    names: join(cas, 'names'),
    name: (canonicalName: string): string => join(cas, 'names', nameFile(canonicalName)),
    /** file or directory an image came from → id */
    sources: join(cas, 'sources'),
    source: (key: string): string => join(cas, 'sources', `${key}.json`),
    /** unpacked layers, and beside each the record of what it is */
    layers: join(cas, 'layers'),
    layer: (diffId: Digest): string => join(cas, 'layers', layerId(diffId)),
    layerRecord: (diffId: Digest): string => join(cas, 'layers', `${layerId(diffId)}.json`),
    /** what the layer's tree was like when it was unpacked; see tree-log.ts */
    layerLog: (diffId: Digest): string => join(cas, 'layers', `${layerId(diffId)}.tree`),
    /** layers that fetches under way need; see locks.ts */
    leases: join(cas, 'leases'),
    /** directories of work in progress; each is locked by who works in it */
    temporary: join(cas, 'tmp'),
  };
};
