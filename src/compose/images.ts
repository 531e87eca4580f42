/** The images of a command line, from the store or fetched into it. */
import type { Lock } from '../host/flock.ts';
import { RuntimeError, printable } from '../model/errors.ts';
import type { Digest } from '../model/ids.ts';
import type { StoredImage } from '../model/oci.ts';
import type { Progress, PullPolicy } from '../model/options.ts';
import type { Settings } from '../model/settings.ts';
import { inStore } from '../state/images/faults.ts';
import { openStore } from '../state/images/store.ts';

/** Images nobody removes from the store until they are released: by then a pod's directory says who needs them. */
export interface HeldImages extends Disposable {
  readonly images: readonly StoredImage[];
  release(): void;
}

export interface Fetching {
  readonly progress: Progress;
  readonly pullPolicy: PullPolicy;
  readonly warn: (text: string) => void;
  /** by the place of its image: a file with the signature (`--signature`); undefined: where it is by default */
  readonly signatureFiles?: readonly (string | undefined)[];
  /** for a repair: the image IDs of which an ACI must have one; it needs no signature then */
  readonly pinned?: readonly Digest[];
  /** hears of each image once, in order, when it is in the store: what comes after it may fail */
  readonly onImage?: (image: StoredImage) => void;
}

/** A fetched image can only be lost to image gc at once; one that goes again and again is not there for another reason. */
const maxTries = 20;

/** The images of `references`, in order; fetched when the store does not have them or `update` wants them asked for. Under the hold nothing is awaited, so that gc does not wait for a download. */
export async function holdImages(settings: Settings, references: readonly string[], fetching: Fetching): Promise<HeldImages> {
  const { dataDir } = settings;
  const store = openStore(dataDir);
  // What is fetched stays until the hold.
  using adding = store.adding();
  void adding;
  const fetched = new Map<string, Digest>();
  let told = 0;
  const tell = (i: number, image: StoredImage): void => {
    if (i < told) return;
    told = i + 1;
    fetching.onImage?.(image);
  };
  for (let tries = 0; tries < maxTries; tries++) {
    const held = inStore(dataDir, 'cannot open the image store', () => store.hold());
    const found = references.map((reference) => {
      const id = fetched.get(reference);
      if (id === undefined && fetching.pullPolicy === 'update') return undefined;
      const image = id === undefined ? store.find(reference) : store.image(id);
      return image === undefined ? undefined : { ...image, name: reference };
    });
    const images = found.filter((image) => image !== undefined);
    if (images.length === references.length) {
      for (const [i, image] of images.entries()) {
        store.use(image);
        tell(i, image);
      }
      return heldImages(images, held);
    }
    held.release();
    const { fetchImage } = await import('../stage0/fetch/fetch.ts');
    const { fetchOptions } = await import('./fetching.ts');
    const { interruptible } = await import('../host/interruption.ts');
    await interruptible(async (signal) => {
      const options = fetchOptions(settings, store, fetching, signal);
      for (const [i, reference] of references.entries()) {
        const stored = found[i];
        if (stored !== undefined) {
          tell(i, stored);
          continue;
        }
        const signatureFile = fetching.signatureFiles?.[i];
        const signed = signatureFile === undefined ? {} : { signatureFile, accept: () => refuseSignature(reference) };
        const image = await fetchImage(reference, { ...options, ...signed });
        fetched.set(reference, image.id);
        tell(i, image);
      }
    });
  }
  throw new RuntimeError('ERR_STORE_IO', 'the images are removed from the store as fast as they are fetched', {
    hint: 'is rkt image gc or image rm running all the time?',
  });
}

/** Asked for an OCI or Docker image that the user gave a signature for. */
function refuseSignature(reference: string): never {
  throw new RuntimeError('ERR_IMAGE_POLICY', `${printable(reference)} is no ACI, and only those have signatures that --signature names`);
}

const heldImages = (images: readonly StoredImage[], held: Lock): HeldImages => ({
  images,
  release: () => held.release(),
  [Symbol.dispose]: () => held.release(),
});

/** {@link holdImages}, for who only wants to know what they are. */
export async function fetchImages(settings: Settings, references: readonly string[], fetching: Fetching): Promise<readonly StoredImage[]> {
  using held = await holdImages(settings, references, fetching);
  return held.images;
}
