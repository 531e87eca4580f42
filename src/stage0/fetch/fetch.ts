/**
 * An image reference → an image in the store, all of it verified. Sources: OCI layouts, OCI and Docker archives,
 * the image that comes with rkt, and the store itself.
 * @see rkt.md 2.16; OCI image-spec 1.1
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { namesIn } from '../../host/files.ts';
import { RuntimeError, isErrno, isRuntimeError, printable } from '../../model/errors.ts';
import { parseAciName, type AciName } from '../../model/aci-name.ts';
import { didYouMean } from '../../model/ids.ts';
import { canonicalImageName, imageIdPrefix, registrySourceKey, type Transport } from '../../model/image-name.ts';
import type { PolicySubject } from '../../model/image-policy.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { Progress, PullPolicy } from '../../model/options.ts';
import { storeFault } from '../../state/images/faults.ts';
import { stampOf } from '../../state/images/records.ts';
import { openStaging } from '../../state/images/staging.ts';
import type { ImageStore } from '../../state/images/store.ts';
import { defaultLimits, type ImageLimits } from '../render/limits.ts';
import type { AciPolicy, AciSources } from '../aci/sources.ts';
import type { RegistryAccess } from '../registry/access.ts';
import { openArchive } from './archive.ts';
import { readDockerImage } from './docker-archive.ts';
import { readDirImage } from './dir-layout.ts';
import { directoryFiles, type ImageFiles } from './image-files.ts';
import { readOciImage } from './oci-layout.ts';
import { platformOf, type WantedPlatform } from './platform.ts';
import { askPolicy, isAcceptedAs } from './policy-subject.ts';
import { parseReference, type ImageReference, type PathReference } from './reference.ts';
import type { SourceImage } from './source-image.ts';
import { storeImage, type SourceFacts } from './store-image.ts';

declare const __DIST__: string;

export interface FetchOptions extends AciPolicy {
  readonly store: ImageStore;
  readonly progress: Progress;
  readonly limits?: ImageLimits;
  readonly platform?: WantedPlatform;
  /** directory of the images that come with rkt, each an OCI layout */
  readonly embedded?: string;
  /** throws unless the image policy accepts an OCI or Docker image; default: all are accepted */
  readonly accept?: (subject: PolicySubject) => void;
  /** registries, and how they are asked; absent: they are not */
  readonly remote?: (() => RegistryAccess) | undefined;
  /** ends downloads */
  readonly signal?: AbortSignal | undefined;
  /** default: `new` */
  readonly policy?: PullPolicy;
}

type Fetch = Required<Omit<FetchOptions, keyof AciPolicy>> & AciPolicy;

/**
 * Fetches one image; a source that has not changed since it was last fetched is not read again.
 * The image's `name` is what the user wrote. @throws ERR_IMAGE_*, ERR_LAYER_*, ERR_STORE_IO; nothing is left of a failed fetch
 */
export async function fetchImage(reference: string, options: FetchOptions): Promise<StoredImage> {
  const fetch: Fetch = {
    limits: defaultLimits,
    platform: platformOf(process.arch),
    embedded: join(__DIST__, 'images'),
    accept: () => undefined,
    remote: undefined,
    signal: undefined,
    policy: 'new',
    ...options,
  };
  const parsed = parseReference(reference, (path) => kindOfPath(path) !== undefined);
  using adding = fetch.store.adding();
  void adding;
  try {
    if (parsed.kind === 'url' || parsed.kind === 'aci') {
      using sources = await aciSources(fetch);
      return { ...(await (parsed.kind === 'url' ? sources.url(parsed.url) : sources.name(parsed.wanted))), name: reference };
    }
    if (parsed.kind === 'path') return { ...(await fetchPath(parsed, fetch)), name: reference };
    const stored = fetch.store.find(reference);
    const asDiscovered = stored?.appc !== undefined && fetch.policy === 'update' ? discoveredAs(stored, reference, fetch) : undefined;
    if (asDiscovered !== undefined) {
      using sources = await aciSources(fetch);
      return { ...(await sources.name(asDiscovered)), name: reference };
    }
    if (stored !== undefined && !isToBeAsked(parsed, reference, fetch)) return stored;
    if (stored !== undefined || parsed.kind === 'registry' || isPinned(reference))
      return { ...(await fetchRemote(reference, fetch)), name: reference };
    if (parsed.kind === 'id')
      throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `no image IDs found for ${parsed.algorithm}-${parsed.hex}`, {
        hint: 'rkt image list shows the images there are',
      });
    return { ...(await fetchByName(parsed.name, reference, fetch)), name: reference };
  } catch (error) {
    throw storeFault(error, `cannot store image ${printable(reference)}`, fetch.store.dataDir);
  }
}

/** `name@sha256:…` with all digits: a registry can be asked for it. */
const isPinned = (reference: string): boolean => /@sha256:/.test(reference) && imageIdPrefix(reference)?.id !== undefined;

/** A stored image is asked for again when that is wanted, it came from a registry, and its name may stand for another one by now. */
function isToBeAsked(parsed: ImageReference, reference: string, { policy, store, remote }: Fetch): boolean {
  if (policy !== 'update' || remote === undefined || parsed.kind === 'id' || reference.includes('@')) return false;
  const key = registrySourceKey(reference);
  return parsed.kind === 'registry' || (key !== undefined && store.findSource(key) !== undefined);
}

/** @throws ERR_IMAGE_NOT_FOUND when nobody may be asked, and what the registry says */
async function fetchRemote(reference: string, fetch: Fetch): Promise<StoredImage> {
  const { policy, remote } = fetch;
  if (policy === 'never' || remote === undefined)
    throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `image ${printable(reference)} is not in the store`, {
      hint: policy === 'never' ? '--pull-policy=new asks the registry' : 'rkt fetch puts it there',
    });
  const { fetchFromRegistry } = await import('./from-registry.ts');
  return fetchFromRegistry(reference, { ...fetch, access: remote(), reserved: embeddedNames(fetch.embedded) });
}

const isDirectoryTransport = (transport: Transport): boolean => transport === 'oci' || transport === 'dir';

function kindOfPath(path: string): 'file' | 'directory' | undefined {
  try {
    return statSync(path).isDirectory() ? 'directory' : 'file';
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'EACCES', 'ELOOP')) return undefined;
    throw error;
  }
}

/** Canonical names of the images that come with rkt. */
const embeddedNames = (directory: string): string[] => namesIn(directory).flatMap((name) => canonicalImageName(name) ?? []);

async function fetchByName(name: string, written: string, fetch: Fetch): Promise<StoredImage> {
  const embedded = embeddedNames(fetch.embedded);
  if (embedded.includes(name)) {
    const path = join(fetch.embedded, name.replace(/:latest$/, ''));
    const image = readOciImage(directoryFiles(path, `the embedded image ${name}`), {
      ref: undefined,
      path,
      platform: fetch.platform,
      limits: fetch.limits,
    });
    // A later rkt brings a later image under the same name.
    return storeImage({ ...image, names: [name] }, written, { namesStamp: stampOf(join(path, 'index.json')) }, fetch);
  }
  // Without "/" or "./" it could be either; names come first.
  if (kindOfPath(written) !== undefined) return fetchPath({ kind: 'path', transport: undefined, path: written, ref: undefined }, fetch);
  const wanted = fetch.aciRemote === undefined ? undefined : discoverable(written);
  const attempts: string[] = [];
  /** somebody said that there is no such image */
  let isAnswered = false;
  if (wanted !== undefined) {
    using sources = await aciSources(fetch);
    const found = await sources.nameIfKnown(wanted, ({ message, details, cause }) => {
      attempts.push(message, ...details);
      isAnswered = !isUnreachable(cause);
    });
    if (found !== undefined) return found;
  }
  const fromRegistry = fetch.remote === undefined || fetch.policy === 'never' ? undefined : await fetchIfThere(written, fetch, attempts);
  if (fromRegistry?.image !== undefined) return fromRegistry.image;
  const short = (known: string): string => known.replace(/:latest$/, '');
  const meant = didYouMean(short(name), [...embedded, ...fetch.store.names()].map(short));
  // Of a name without a host it is not even known that the default registry was meant.
  const silence = !isAnswered && /^([^/]*[.:][^/]*|localhost)\//.test(written) ? fromRegistry?.silence : undefined;
  const elsewhere = silence !== undefined ? ', and where else it may be nobody answers' : attempts.length > 0 ? ', and none elsewhere' : '';
  throw new RuntimeError(silence?.code ?? 'ERR_IMAGE_NOT_FOUND', `no image named ${JSON.stringify(printable(written))} in the store${elsewhere}`, {
    details: attempts,
    ...(silence === undefined ? {} : { cause: silence }),
    hint: meant === undefined ? (fromRegistry?.hint ?? 'give a path, or oci:DIR, oci-archive:FILE, docker-archive:FILE') : `did you mean ${meant}?`,
  });
}

const isUnreachable = (error: unknown): boolean => isErrno(error, 'ERR_HTTP_DNS', 'ERR_HTTP_UNREACHABLE', 'ERR_HTTP_PROXY');

/** The image of a bare name as a registry has it; or, when nobody there knows it or nobody answers (`silence`), what to do about that. `attempts` hears what was said. */
async function fetchIfThere(
  written: string,
  fetch: Fetch,
  attempts: string[],
): Promise<{ readonly image: StoredImage } | { readonly image?: undefined; readonly hint: string; readonly silence: RuntimeError | undefined }> {
  try {
    return { image: await fetchRemote(written, fetch) };
  } catch (error) {
    const unreachable = isUnreachable(error);
    // That it is not there is one thing; that one may not have it, or that what came is wrong, is another.
    if (!isRuntimeError(error) || !(unreachable || isErrno(error, 'ERR_IMAGE_NOT_FOUND', 'ERR_REGISTRY_DENIED'))) throw error;
    attempts.push(error.message, ...error.details);
    return {
      silence: unreachable ? error : undefined,
      hint:
        (unreachable ? undefined : error.hint) ??
        'is there a network? A mirror, or another default registry, is named by a file in /etc/rkt/registries.d',
    };
  }
}

async function fetchPath({ transport, path: written, ref }: PathReference, fetch: Fetch): Promise<StoredImage> {
  const path = resolve(written);
  const kind = kindOfPath(path);
  if (kind === undefined)
    throw new RuntimeError(
      'ERR_IMAGE_NOT_FOUND',
      `there is no ${transport !== undefined && isDirectoryTransport(transport) ? 'directory' : 'file'} ${printable(written)}`,
    );
  if (transport !== undefined && isDirectoryTransport(transport) && kind === 'file')
    throw new RuntimeError('ERR_IMAGE_REFERENCE', `${printable(written)} is a file`, { hint: `oci-archive:${printable(written)}` });
  if (transport !== undefined && !isDirectoryTransport(transport) && kind === 'directory')
    throw new RuntimeError('ERR_IMAGE_REFERENCE', `${printable(written)} is a directory`, { hint: `oci:${printable(written)}` });

  const { store, platform } = fetch;
  // Everything in a layout hangs on its index, or its manifest; an archive is one file.
  const stamp =
    kind === 'file' ? stampOf(path) : ((transport === 'dir' ? undefined : stampOf(join(path, 'index.json'))) ?? stampOf(join(path, 'manifest.json')));
  const key = createHash('sha256')
    .update(JSON.stringify([transport ?? '', path, ref ?? '', platform]))
    .digest('hex');
  const origin = `${transport === undefined ? '' : `${transport}:`}${path}${ref === undefined ? '' : `:${ref}`}`;
  const source = stamp === undefined ? {} : { source: { key, stamp } };
  const aci = async (): Promise<StoredImage> => {
    using sources = await aciSources(fetch);
    return await sources.file({ path, written, origin, ...source });
  };
  if (kind === 'file' && transport === undefined && path.endsWith('.aci')) return aci();
  // A policy may have come after the image.
  const accepted = isAcceptedAs(fetch.accept, { transport, kind, path, ref });
  const known = store.findSource(key);
  if (known !== undefined && known.appc === undefined && accepted) return known;

  const what = printable(written);
  if (kind === 'directory') {
    using directory = directoryFiles(path, what);
    return await readAndStore(directory, transport ?? 'oci', source);
  }
  using scratch = await openStaging(store.dataDir, `archive-${process.pid}-${key.slice(0, 16)}`);
  using archive = await openArchive(path, what, scratch.dir, fetch.limits);
  if (transport === undefined && isAciArchive(archive)) return await aci();
  return await readAndStore(archive, transport ?? 'archive', source);

  async function readAndStore(files: ImageFiles, as: Transport | 'archive', from: SourceFacts): Promise<StoredImage> {
    const image = readImage(files, as, { ref, path, platform, limits: fetch.limits, accept: fetch.accept });
    // An archive does not get to say what "busybox" is from now on.
    const reserved = embeddedNames(fetch.embedded);
    return storeImage({ ...image, names: image.names.filter((name) => !reserved.includes(name)) }, written, { ...from, origin }, fetch);
  }
}

/** An archive of another name may be an ACI, too. */
function isAciArchive(files: ImageFiles): boolean {
  const has = (path: string): boolean => {
    using range = files.open(path);
    return range !== undefined;
  };
  return has('manifest') && !has('index.json') && !has('manifest.json');
}

async function aciSources(fetch: Fetch): Promise<AciSources> {
  const { AciSources: Sources } = await import('../aci/sources.ts');
  return new Sources({ ...fetch, reserved: embeddedNames(fetch.embedded) }, fetch);
}

/** The name of an ACI that came from a server, and may be another one there by now. */
const discoveredAs = ({ origin = '' }: StoredImage, reference: string, { aciRemote }: Fetch): AciName | undefined =>
  aciRemote !== undefined && /^https?:/.test(origin) ? discoverable(reference) : undefined;

/** A name that somebody's server may know: its first part is a domain. */
function discoverable(written: string): AciName | undefined {
  if (!/^[^/:,]+\.[^/:,]+\//.test(written)) return undefined;
  const wanted = parseAciName(written);
  return typeof wanted === 'string' ? undefined : wanted;
}

/** Reads an image as what it is said to be; an archive nobody spoke about is looked at. */
function readImage(
  files: ImageFiles,
  as: Transport | 'archive',
  request: {
    readonly ref: string | undefined;
    readonly path: string;
    readonly platform: WantedPlatform;
    readonly limits: ImageLimits;
    readonly accept: (subject: PolicySubject) => void;
  },
): SourceImage {
  const has = (path: string): boolean => {
    using range = files.open(path);
    return range !== undefined;
  };
  const accepted = (transport: Transport): typeof request => askPolicy(request, transport);
  if (as === 'docker-archive') return readDockerImage(files, accepted(as));
  if (as === 'dir') return readDirImage(files, accepted(as));
  // `docker save` of today writes both; the layout has the digests.
  if (has('oci-layout') && has('index.json')) return readOciImage(files, accepted(as === 'archive' ? 'oci-archive' : as));
  if (has('version') && has('manifest.json')) return readDirImage(files, accepted('dir'));
  if (as === 'archive' && has('manifest.json')) return readDockerImage(files, accepted('docker-archive'));
  throw new RuntimeError(
    'ERR_IMAGE_INVALID',
    `${files.what} is not an image: it has no ${as === 'archive' ? 'index.json and no manifest.json' : 'oci-layout'}`,
  );
}
