/** `docker://…` → the image in the store: asked for, and downloaded as far as it is not here. */
import { RuntimeError, printable } from '../../model/errors.ts';
import { canonicalImageName, registrySourceKey } from '../../model/image-name.ts';
import type { PolicySubject } from '../../model/image-policy.ts';
import type { StoredImage } from '../../model/oci.ts';
import { openStaging } from '../../state/images/staging.ts';
import { HttpClient } from '../http/client.ts';
import type { RegistryAccess } from '../registry/access.ts';
import { findImage } from '../registry/image.ts';
import { parseRegistryReference, shownReference, type RegistryReference } from '../registry/name.ts';
import type { WantedPlatform } from './platform.ts';
import { storeImage, type StoreImageOptions } from './store-image.ts';

export interface RegistryFetch extends StoreImageOptions {
  readonly access: RegistryAccess;
  readonly platform: WantedPlatform;
  /** throws unless the image policy accepts it */
  readonly accept: (subject: PolicySubject) => void;
  /** ends downloads */
  readonly signal?: AbortSignal | undefined;
  /** names that an image from elsewhere may not take */
  readonly reserved: readonly string[];
}

/**
 * @param written - with or without `docker://`
 * @throws ERR_IMAGE_* (ERR_IMAGE_POLICY before anybody is asked), ERR_LAYER_*, ERR_REGISTRY_*, ERR_HTTP_*; nothing is left of a failed fetch but whole layers
 */
export async function fetchFromRegistry(written: string, fetch: RegistryFetch): Promise<StoredImage> {
  const { access, store, progress } = fetch;
  const reference = parseRegistryReference(written, access.registries.default);
  const { registry, repository, tag = '', digest } = reference;
  fetch.accept({ transport: 'docker', place: `${registry}/${repository}`, ref: digest === undefined ? `:${tag}` : `@${digest}` });
  using http = new HttpClient({
    insecure: access.insecure,
    certificateDirs: access.certificateDirs,
    ...access.patience,
    signal: fetch.signal,
    onWait: (note) => progress({ note }),
  });
  const bare = `${registry}/${repository}`;
  const byKey = (text: string): StoredImage | undefined => {
    const key = registrySourceKey(text);
    const image = key === undefined ? undefined : store.findSource(key);
    // An index stands for another image on another machine.
    return image?.os === fetch.platform.os && image.architecture === fetch.platform.architecture ? image : undefined;
  };
  let known: { readonly digest: string; readonly image: StoredImage } | undefined;
  const found = await findImage(reference, {
    ...fetch,
    http,
    isStored: byKey(written) !== undefined,
    isKnown(digest) {
      const image = byKey(`${bare}@${digest}`);
      if (image !== undefined) known = { digest, image };
      return image !== undefined;
    },
  });
  const topDigest = found?.topDigest ?? known?.digest ?? '';
  const facts = {
    names: namesOf(written, reference, fetch.reserved),
    fetchedAs: [written, shownReference(reference), `${bare}@${topDigest}`].flatMap((text) => registrySourceKey(text) ?? []),
    origin: `docker://${shownReference(reference)}`,
  };
  // One process downloads an image, and who wants the same one finds it.
  using turn = await openStaging(store.dataDir, `fetch-${(found?.id ?? known?.image.id ?? '').replace(':', '-')}`);
  void turn;
  const stored = known?.image ?? (found === undefined ? undefined : store.image(found.id));
  if (stored !== undefined) {
    await store.pointTo(stored.id, facts);
    progress({ fetched: shownReference(reference), layers: stored.layers.length, reused: stored.layers.length, downloadedBytes: 0, elapsedMs: 0 });
    return stored;
  }
  if (found === undefined) throw new RuntimeError('ERR_STORE_IO', `image ${printable(written)} was removed from the store while it was looked for`);
  return await storeImage({ ...(await found.read()), names: facts.names }, shownReference(reference), facts, fetch);
}

/** Names by which it can be run from now on. */
function namesOf(written: string, { registry, repository, tag }: RegistryReference, reserved: readonly string[]): string[] {
  if (tag === undefined) return [];
  const whole = canonicalImageName(`${registry}/${repository}:${tag}`);
  const short = canonicalImageName(written.replace(/^docker:(\/\/)?/, ''));
  return [...new Set([whole, short])].filter((name) => name !== undefined && !reserved.includes(name)) as string[];
}
