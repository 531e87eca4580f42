/**
 * `rkt image`: the table of contents for everything that is done with stored images besides running them. Every line of work
 * is in a room of its own.
 */
import { RuntimeError } from './model/errors.ts';
import type { Digest } from './model/ids.ts';
import type { StoredImage } from './model/oci.ts';
import type { Settings } from './model/settings.ts';
import { collectStore, type Collected } from './state/images/collect.ts';
import { imageFacts, type ImageFacts } from './state/images/facts.ts';
import { inStore } from './state/images/faults.ts';
import { openStore, requireStored } from './state/images/store.ts';
import { imagesOfPods } from './state/pod/images.ts';

export type { Collected, ImageFacts };

/** Every stored image. @throws ERR_STORE_IO */
export const listImages = ({ dataDir }: Settings): ImageFacts[] =>
  inStore(dataDir, 'cannot read the image store', () => imageFacts(openStore(dataDir)));

/** One stored image, with what it shares. @throws ERR_IMAGE_NOT_FOUND, ERR_STORE_IO */
export const inspectImage = ({ dataDir }: Settings, reference: string): ImageFacts =>
  inStore(dataDir, 'cannot read the image store', () => {
    const store = openStore(dataDir);
    const { id } = requireStored(store, reference);
    const facts = imageFacts(store).find(({ image }) => image.id === id);
    if (facts === undefined) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `image ${reference} was removed meanwhile`);
    return facts;
  });

/** The image that `reference` stands for, to be removed; also one of which parts are missing. @throws ERR_IMAGE_NOT_FOUND */
export const imageToRemove = ({ dataDir }: Settings, reference: string): StoredImage =>
  inStore(dataDir, 'cannot read the image store', () => requireStored(openStore(dataDir), reference));

/** Removes images with their names, and the layers that no other image and no pod needs. */
export const removeImages = ({ dataDir }: Settings, ids: ReadonlySet<Digest>): Collected =>
  inStore(dataDir, 'cannot remove images', () =>
    collectStore(dataDir, { needs: () => imagesOfPods(dataDir), mayGo: ({ id }) => ids.has(id), strays: false, dryRun: false }),
  );

export interface ImageGcPolicy {
  /** since an image was last used */
  readonly graceMs: number;
  readonly dryRun: boolean;
}

/** Removes images that were not used for a while and that no pod needs, then whatever belongs to no image. */
export const collectImages = ({ dataDir }: Settings, { graceMs, dryRun }: ImageGcPolicy): Collected =>
  inStore(dataDir, 'cannot collect images', () => {
    const nowMs = Date.now();
    return collectStore(dataDir, {
      needs: () => imagesOfPods(dataDir),
      mayGo: (_image, lastUsedMs, needed) => !needed && nowMs - lastUsedMs >= graceMs,
      strays: true,
      dryRun,
    });
  });
