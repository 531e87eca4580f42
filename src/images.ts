/**
 * `rkt image`: the table of contents for everything that is done with stored images besides running them, and for what
 * is taken out of pods, or put into them, as files (`export`, `cp`). Every line of work
 * is in a room of its own.
 */
import { appcManifest, parseTarget, renderImage as renderStored, writeImage, type RenderOptions } from './compose/image-output.ts';
import { removalHint, verifyImage, type VerifiedLayer } from './compose/image-verify.ts';
import { fetchImages, type Fetching } from './compose/images.ts';
import type { AppcImage } from './model/appc/image.ts';
import { RuntimeError } from './model/errors.ts';
import type { Digest } from './model/ids.ts';
import { canonicalImageName } from './model/image-name.ts';
import type { StoredImage } from './model/oci.ts';
import type { Settings } from './model/settings.ts';
import { historyOf, type HistoryStep } from './state/images/history.ts';
import { collectStore, type Collected } from './state/images/collect.ts';
import { ociDocuments, type OciDocuments } from './state/images/documents.ts';
import { imageFacts, type ImageFacts } from './state/images/facts.ts';
import { inStore, storeFault } from './state/images/faults.ts';
import { openStore, requireRecord, requireStored, type ImageStore } from './state/images/store.ts';
import { imagesOfPods } from './state/pod/images.ts';

export { copyFiles, parseCopyEnd } from './compose/copy.ts';
export { exportPodImage } from './compose/pod-output.ts';
export { removalHint };
export type { Collected, HistoryStep, ImageFacts, OciDocuments };

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
  inStore(dataDir, 'cannot read the image store', () => requireRecord(openStore(dataDir), reference));

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
      mayGo: (_image, lastUsedMs, needed) => !needed && Math.max(0, nowMs - lastUsedMs) >= graceMs,
      strays: true,
      dryRun,
    });
  });

/** The image that `reference` stands for, called by what was written if that is a name, else by what it was stored as. @throws ERR_IMAGE_NOT_FOUND */
function storedImage(store: ImageStore, reference: string): StoredImage {
  const found = requireStored(store, reference);
  return canonicalImageName(reference) === undefined ? (store.image(found.id) ?? found) : found;
}

const reading = <T>({ dataDir }: Settings, work: () => T): T => inStore(dataDir, 'cannot read the image store', work);

/** The documents it came with; undefined for an ACI, whose only one is its manifest. */
export const documentsOf = (settings: Settings, { image }: ImageFacts): OciDocuments | undefined =>
  image.appc === undefined ? reading(settings, () => ociDocuments(settings.dataDir, image)) : undefined;

/** How it was built, the last step first. @throws ERR_IMAGE_NOT_FOUND, ERR_STORE_IO */
export const imageHistory = (settings: Settings, reference: string): HistoryStep[] =>
  reading(settings, () => {
    const store = openStore(settings.dataDir);
    return historyOf(store, requireStored(store, reference));
  });

/** Its appc manifest, or what it would be. @throws ERR_IMAGE_NOT_FOUND, ERR_STORE_IO */
export const imageManifest = (settings: Settings, reference: string): AppcImage =>
  reading(settings, () => appcManifest(settings.dataDir, storedImage(openStore(settings.dataDir), reference), false));

/** Writes a stored image to a file or layout. @throws ERR_CLI_USAGE, ERR_IMAGE_NOT_FOUND, ERR_IMAGE_OUTPUT, ERR_STORE_IO */
export async function exportImage(settings: Settings, reference: string, out: string, overwrite: boolean, fetching: Fetching): Promise<void> {
  const target = parseTarget(out);
  await requireSound(settings, reference, fetching);
  reading(settings, () => {
    const store = openStore(settings.dataDir);
    writeImage(store, storedImage(store, reference), target, overwrite);
  });
}

/** {@link exportImage}, of any image that can be fetched. */
export async function convertImage(settings: Settings, reference: string, out: string, overwrite: boolean, fetching: Fetching): Promise<void> {
  // Before anything is downloaded.
  parseTarget(out);
  const [image] = await fetchImages(settings, [reference], fetching);
  // By its id: what it was fetched by need not be a name of the store.
  if (image !== undefined) await exportImage(settings, image.id, out, overwrite, fetching);
}

/** Puts a stored image into a directory. @throws ERR_IMAGE_NOT_FOUND, ERR_IMAGE_OUTPUT, ERR_STORE_IO */
export async function renderImage(
  settings: Settings,
  reference: string,
  directory: string,
  options: RenderOptions,
  fetching: Fetching,
): Promise<void> {
  await requireSound(settings, reference, fetching);
  reading(settings, () => {
    const store = openStore(settings.dataDir);
    renderStored(store, storedImage(store, reference), directory, options);
  });
}

/** Nothing damaged is handed on: it is rebuilt first (rkt 1.4 "image render"). @throws ERR_IMAGE_NOT_FOUND; ERR_STORE_IO when it cannot be */
const requireSound = (settings: Settings, reference: string, fetching: Fetching): Promise<void> =>
  verifyImages(settings, [reference], true, fetching, ({ image, layers }) => {
    const outcomes = layers.flatMap(({ outcome }) => outcome ?? []);
    const kept = outcomes.flatMap((outcome) => (outcome === 'repaired' ? [] : [outcome]));
    if (kept.length > 0)
      throw new RuntimeError('ERR_STORE_IO', `image ${image.name} is damaged in the store`, {
        details: kept.map((layer) => layer.kept),
        hint: `rkt image verify --no-repair says what is wrong; ${removalHint(kept)}`,
      });
    if (outcomes.length > 0) fetching.warn(`tree cache of image ${image.name} was in a bad state and has been rebuilt`);
  });

/** An image with what was found out about its layers. */
export interface VerifiedImage {
  readonly image: StoredImage;
  readonly layers: readonly VerifiedLayer[];
}

/** Compares images (none named: all) with what they were when they were unpacked. `repair`: what is damaged is unpacked again. @throws ERR_IMAGE_NOT_FOUND before anything is looked at */
export async function verifyImages(
  settings: Settings,
  references: readonly string[],
  repair: boolean,
  fetching: Fetching,
  report: (image: VerifiedImage) => void,
): Promise<void> {
  const { dataDir } = settings;
  const images = reading(settings, () => {
    const store = openStore(dataDir);
    return references.length === 0 ? store.list() : references.map((reference) => requireRecord(store, reference));
  });
  const refetch = async (origin: string, pinned: readonly Digest[]): Promise<StoredImage> => {
    const [image] = await fetchImages(settings, [origin], { ...fetching, pinned });
    if (image === undefined) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `nothing came from ${origin}`);
    return image;
  };
  try {
    for (const image of new Map(images.map((one) => [one.id, one])).values())
      report({ image, layers: await verifyImage(dataDir, image, repair ? refetch : undefined) });
  } catch (error) {
    throw storeFault(error, 'cannot verify images', dataDir);
  }
}
