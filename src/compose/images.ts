/** The images of a command line, from the store or fetched into it. */
import type { Lock } from '../host/flock.ts';
import { RuntimeError } from '../model/errors.ts';
import type { Digest } from '../model/ids.ts';
import type { StoredImage } from '../model/oci.ts';
import type { Progress } from '../model/options.ts';
import type { Settings } from '../model/settings.ts';
import { inStore } from '../state/images/faults.ts';
import { openStore } from '../state/images/store.ts';

/** Images nobody removes from the store until they are released: by then a pod's directory says who needs them. */
export interface HeldImages extends Disposable {
  readonly images: readonly StoredImage[];
  release(): void;
}

/** By the place of its image: a file with the signature (`--signature`); undefined: where it is by default. */
export type SignatureFiles = readonly (string | undefined)[];

/** A fetched image can only be lost to image gc at once; one that goes again and again is not there for another reason. */
const maxTries = 20;

/** The images of `references`, in order; fetched when the store does not have them. Under the hold nothing is awaited, so that gc does not wait for a download. */
export async function holdImages(
  settings: Settings,
  references: readonly string[],
  progress: Progress,
  signatureFiles: SignatureFiles = [],
): Promise<HeldImages> {
  const { dataDir } = settings;
  const store = openStore(dataDir);
  const fetched = new Map<string, Digest>();
  for (let tries = 0; tries < maxTries; tries++) {
    const held = inStore(dataDir, 'cannot open the image store', () => store.hold());
    const found = references.map((reference) => {
      const id = fetched.get(reference);
      const image = id === undefined ? store.find(reference) : store.image(id);
      return image === undefined ? undefined : { ...image, name: reference };
    });
    const images = found.filter((image) => image !== undefined);
    if (images.length === references.length) {
      for (const image of images) store.use(image);
      return heldImages(images, held);
    }
    held.release();
    const { fetchImage } = await import('../stage0/fetch/fetch.ts');
    const { loadConfiguration } = await import('../state/config/load.ts');
    const { acceptedBy } = await import('../state/config/policy.ts');
    const { aciPolicy } = await import('./aci.ts');
    const config = loadConfiguration(settings);
    const options = { store, progress, limits: config.limits, accept: acceptedBy(settings), ...aciPolicy(settings, config, () => undefined) };
    for (const [i, reference] of references.entries())
      if (found[i] === undefined) fetched.set(reference, (await fetchImage(reference, { ...options, signatureFile: signatureFiles[i] })).id);
  }
  throw new RuntimeError('ERR_STORE_IO', 'the images are removed from the store as fast as they are fetched', {
    hint: 'is rkt image gc or image rm running all the time?',
  });
}

const heldImages = (images: readonly StoredImage[], held: Lock): HeldImages => ({
  images,
  release: () => held.release(),
  [Symbol.dispose]: () => held.release(),
});

/** {@link holdImages}, for who only wants to know what they are. */
export async function fetchImages(
  settings: Settings,
  references: readonly string[],
  progress: Progress,
  signatureFiles: SignatureFiles = [],
): Promise<readonly StoredImage[]> {
  using held = await holdImages(settings, references, progress, signatureFiles);
  return held.images;
}
