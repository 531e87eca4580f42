/**
 * An ACI → an image in the store, with everything it depends on. The order is that of trust: what an archive says it is
 * (its manifest), who signed it, and only then what is in it.
 * @see rkt.md 2.16; appc 0.8.11 spec/aci.md
 */
import { chmodSync, constants, copyFileSync, fstatSync, mkdirSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { newPodId } from '../../host/uuid.ts';
import type { AppcImage } from '../../model/appc/image.ts';
import { labelFault, labelOf } from '../../model/appc/labels.ts';
import { RuntimeError, printable } from '../../model/errors.ts';
import { hexOf, shownId, type Digest } from '../../model/ids.ts';
import { canonicalImageName } from '../../model/image-name.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { Progress } from '../../model/options.ts';
import type { NameValue } from '../../model/pod.ts';
import type { Freshness, LayerRecord, Stamp } from '../../state/images/records.ts';
import { openOwnStaging } from '../../state/images/staging.ts';
import type { ImageStore } from '../../state/images/store.ts';
import { openFile, type ByteRange } from '../fetch/image-files.ts';
import { readSignatureFile } from '../discovery/signature.ts';
import { mountedLayers } from '../fetch/mounted-layers.ts';
import type { WantedPlatform } from '../fetch/platform.ts';
import { digestOf } from '../fetch/source-image.ts';
import type { ImageLimits } from '../render/limits.ts';
import { readAciManifest, unpackAci, type UnpackedAci } from './archive.ts';
import { checkAciPlatform, configOf, platformOfAci } from './config.ts';
import { dependencyLayers, dependentOf, type Dependent, type FetchDependency } from './dependencies.ts';
import { whitelistLayer } from './whitelist.ts';

/** Under which key the store knows what came from a place. */
export const sourceKey = (place: string): string => `aci-${hexOf(digestOf(Buffer.from(place)))}`;

/** For those that look at no keys: nobody is trusted. @throws ERR_SIGNATURE_REFUSED */
export function refuseSigned({ name }: SignedAci): never {
  throw new RuntimeError('ERR_SIGNATURE_REFUSED', `the signature of ${printable(name)} cannot count: no key is trusted`);
}

/** An ACI that is to be checked: where it can be read, its detached signature, and the name that says which keys may have made it. */
export interface SignedAci {
  readonly path: string;
  readonly signature: Uint8Array;
  readonly name: string;
}
/** Throws unless a key that is trusted for `name` made the signature. */
export type VerifySignature = (aci: SignedAci) => void;

/** What is asked of an ACI; `ignore`: nothing (`--insecure-options=image`). */
export type Signatures = VerifySignature | 'ignore';

export interface AciServices {
  readonly store: ImageStore;
  readonly limits: ImageLimits;
  readonly platform: WantedPlatform;
  readonly progress: Progress;
  /** names that an archive does not get to take */
  readonly reserved: readonly string[];
  readonly signatures: Signatures;
  readonly fetchDependency: FetchDependency;
}

export interface AciRequest {
  readonly path: string;
  /** its signature, asked for when the name in the manifest is known; by default what is beside the archive in a file with `.asc` behind its name */
  readonly signature?: (() => Promise<Uint8Array>) | undefined;
  /** how to call it in messages, and under which reference it can be fetched again */
  readonly written: string;
  readonly origin: string;
  /** under which key the store knows where it came from, and by what it sees that it is another one now; without a stamp it stays the same */
  readonly source?: { readonly key: string; readonly stamp: Stamp | undefined; readonly freshness?: Freshness };
  /** what was asked for by name: the manifest must say the same */
  readonly wanted?: { readonly name: string; readonly labels: readonly NameValue[] };
  /** who needs it, outermost first; empty: the user */
  readonly chain: readonly Dependent[];
  /** the image IDs of which it must have one: they say what is in it, so nobody need have signed it */
  readonly pinned?: readonly Digest[] | undefined;
}

/** @throws ERR_IMAGE_*, ERR_LAYER_*, ERR_STORE_IO; nothing is left of a failed fetch but dependencies that were whole */
export async function fetchAci(request: AciRequest, services: AciServices): Promise<StoredImage> {
  const { store, limits } = services;
  const what = printable(request.written);
  using given = openFile(request.path, what);
  if (given === undefined) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `there is no file ${what}`);
  const signatures = request.pinned === undefined ? services.signatures : 'ignore';
  using copy = signatures !== 'ignore' && othersMayWrite(given) ? copyOf(given, store.dataDir, what) : undefined;
  const file = copy ?? given;
  if (signatures !== 'ignore') {
    const { manifest } = await readAciManifest(file, limits, what);
    checkWanted(manifest, request, services, what);
    const signature = await (request.signature === undefined ? readSignatureFile(`${request.path}.asc`) : request.signature());
    // By the descriptor: another file may have the name by now.
    signatures({ path: `/proc/${process.pid}/fd/${file.fd}`, signature, name: manifest.name });
  }
  const known = request.source?.stamp === undefined ? undefined : store.findSource(request.source.key);
  if (known?.appc !== undefined && request.pinned?.includes(known.id) !== false) return known;

  using adding = store.adding();
  void adding;
  using staging = openOwnStaging(store.dataDir, `aci-${newPodId()}`);
  const root = join(staging.dir, 'rootfs');
  mkdirSync(root);
  chmodSync(root, 0o755); // mkdir obeys the umask
  const unpacked = await unpackAci(file, root, limits, what, (doneBytes) =>
    services.progress({ what: basename(request.written), doneBytes, totalBytes: file.bytes }),
  );
  if (request.pinned?.includes(unpacked.id) === false)
    throw new RuntimeError('ERR_IMAGE_DIGEST', `${what} is another image now: its ID is ${shownId(unpacked.id, true)}`);
  checkWanted(unpacked.manifest, request, services, what);
  // Before anything is kept: what it needs may not be there.
  const below = await dependencyLayers(store, unpacked.manifest, request.chain, services.fetchDependency);
  const own = await store.addLayer(unpacked.id, async (place) => {
    renameSync(root, place.root);
    return { tarBytes: unpacked.tarBytes, ...unpacked.layer };
  });
  const rootfs = await render(store, below, own, unpacked.manifest, limits, what);
  // Its origin is where a repair finds it, and not what the user called it.
  const name = (request.pinned === undefined ? undefined : store.findRecord(unpacked.id)?.name) ?? request.written;
  return await store.addImage({
    image: { ...storedAci(unpacked, file.bytes, rootfs), layers: await mountedLayers(store, rootfs), name, origin: request.origin },
    configDigest: digestOf(unpacked.manifestBytes),
    config: unpacked.manifestBytes,
    names: namesOf(unpacked.manifest).filter((name) => !services.reserved.includes(name)),
    source: request.source,
  });
}

/** Who may write to it could do so between the check of its signature and the unpacking. */
function othersMayWrite({ fd }: ByteRange): boolean {
  const { uid, mode } = fstatSync(fd);
  return uid !== process.geteuid?.() || (mode & 0o022) !== 0;
}

/** The file as it is now, where nobody else gets at it. */
function copyOf({ fd }: ByteRange, dataDir: string, what: string): ByteRange {
  const staging = openOwnStaging(dataDir, `copy-${newPodId()}`);
  try {
    const path = join(staging.dir, 'aci');
    copyFileSync(`/proc/self/fd/${fd}`, path, constants.COPYFILE_FICLONE);
    const copied = openFile(path, what);
    if (copied === undefined) throw new RuntimeError('ERR_STORE_IO', `the copy of ${what} is gone`);
    return copied;
  } finally {
    // Its name can go: the open file stays.
    staging[Symbol.dispose]();
  }
}

function checkWanted(manifest: AppcImage, { wanted }: AciRequest, { platform, limits }: AciServices, what: string): void {
  const needed = manifest.dependencies?.length ?? 0;
  if (needed > limits.maxLayers)
    throw new RuntimeError('ERR_LAYER_LIMIT', `${what} has ${needed} dependencies; ${limits.maxLayers} layers are the most that can be mounted`);
  checkAciPlatform(manifest, platform, what);
  if (wanted === undefined) return;
  if (manifest.name !== wanted.name)
    throw new RuntimeError('ERR_IMAGE_INVALID', `${what} is called ${manifest.name}, and ${wanted.name} was asked for`);
  const fault = labelFault(wanted.labels, manifest.labels ?? []);
  if (fault !== undefined) throw new RuntimeError('ERR_IMAGE_INVALID', `${what}: ${fault}`);
}

/** What one sees of the image, as records of layers, bottom first. */
async function render(
  store: ImageStore,
  below: readonly Digest[],
  own: LayerRecord,
  { pathWhitelist }: AppcImage,
  limits: ImageLimits,
  what: string,
): Promise<readonly LayerRecord[]> {
  // Of a layer that is there twice the upper one shows: it has all that the lower one has.
  const ids = [...new Set([...below, own.diffId].toReversed())].toReversed();
  const records: LayerRecord[] = [];
  // Asked for like new ones, so that nobody takes them away meanwhile.
  for (const id of ids) records.push(await store.addLayer(id, () => Promise.reject(goneLayer(id, what))));
  if (pathWhitelist != null && pathWhitelist.length > 0) return [await whitelistLayer(store, records, pathWhitelist)];
  if (records.length > limits.maxLayers)
    throw new RuntimeError(
      'ERR_LAYER_LIMIT',
      `${what} is put upon ${records.length - 1} images; ${limits.maxLayers} layers are the most that can be mounted`,
    );
  return records;
}

const goneLayer = (id: Digest, what: string): RuntimeError =>
  new RuntimeError('ERR_IMAGE_NOT_FOUND', `layer ${id} that ${what} is put upon was removed from the store meanwhile`, { hint: 'fetch it again' });

function storedAci(
  { id, manifest, manifestBytes, tarBytes }: UnpackedAci,
  archiveBytes: number,
  rootfs: readonly LayerRecord[],
): Omit<StoredImage, 'layers' | 'name'> {
  return {
    id,
    config: configOf(manifest),
    ...platformOfAci(manifest),
    appc: {
      manifest: digestOf(manifestBytes),
      ...dependentOf(manifest),
      app: manifest.app ?? undefined,
      rootfs: rootfs.map(({ diffId }) => diffId),
      archiveBytes,
      tarBytes,
    },
  };
}

/** By its version, and as the one that came last. What the grammar of names does not allow is found by {@link findAci}. */
function namesOf({ name, labels }: AppcImage): string[] {
  const version = labelOf(labels ?? [], 'version');
  return [...new Set([...(version === undefined ? [] : [`${name}:${version}`]), name].flatMap((text) => canonicalImageName(text) ?? []))];
}
