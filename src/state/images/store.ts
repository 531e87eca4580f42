/**
 * The image store: images by id, names that stand for them, and each layer unpacked once, shared by all images.
 * Everything in it is whole or not there: files and trees are made aside, flushed and renamed.
 * Reading a stored image costs a handful of small files; nothing heavier is loaded here, for `rkt run` passes through.
 * @see rkt.md 2.2, 2.16; DESIGN 3 (durability)
 */
import { accessSync, chmodSync, mkdirSync, renameSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { fsyncDirectory, makeDirectory, namesIn } from '../../host/files.ts';
import type { Lock } from '../../host/flock.ts';
import { isErrno } from '../../host/linux.ts';
import { RuntimeError } from '../../model/errors.ts';
import { digestOfHex, hexOf, type Digest } from '../../model/ids.ts';
import { canonicalImageName, imageIdPrefix, isRegistryText, registrySourceKey, type ImageIdPrefix } from '../../model/image-name.ts';
import type { StoredImage } from '../../model/oci.ts';
import { imagePaths, layerId } from './layout.ts';
import { lockStore, openLease, type Lease } from './locks.ts';
import { readImage, readLayer, readReference, type Freshness, type LayerRecord, type Stamp } from './records.ts';
import { flushTree, openStaging, placeFile } from './staging.ts';
import type { LogSeal } from './tree-log.ts';

/** Where a layer is made, before it is one. */
export interface LayerPlace {
  /** an empty directory, 0755 */
  readonly root: string;
  /** where the log of its tree goes, if one is written meanwhile */
  readonly logPath: string;
}

/** What was made there. */
export type FilledLayer = Omit<LayerRecord, 'diffId' | 'tree'> & {
  /** of the log at `logPath`; absent: there is none, and the tree is looked at */
  readonly tree?: LogSeal;
};

/** What a fetch hands to the store; its layers are there already. */
export interface NewImage {
  /** `layers`: what is to be mounted, bottom first; all of them are in the store */
  readonly image: StoredImage;
  /** undefined: an ACI, whose id is not that of its manifest; `config` is the manifest then */
  readonly manifest?: Uint8Array;
  readonly configDigest: Digest;
  readonly config: Uint8Array;
  /** canonical names that stand for it from now on */
  readonly names: readonly string[];
  /** where it came from: as long as the stamp holds, it need not be read again. `key`: a file name */
  readonly source?: { readonly key: string; readonly stamp: Stamp | undefined; readonly freshness?: Freshness } | undefined;
  /** keys of references (`docker://…`) that stand for it until they are fetched anew */
  readonly fetchedAs?: readonly string[] | undefined;
  /** the names hold only as long as this file is as it was */
  readonly namesStamp?: Stamp | undefined;
}

export interface ImageStore {
  readonly dataDir: string;
  /** An image by name, `name@id`, id or its first digits; undefined when the store does not have all of it. @throws ERR_IMAGE_REFERENCE for an ambiguous id */
  find(text: string): StoredImage | undefined;
  /** Like {@link find}, though layers of it may be missing: for who repairs or removes. */
  findRecord(text: string): StoredImage | undefined;
  /** By the key of where it came from, if that has not changed. */
  findSource(key: string): StoredImage | undefined;
  /** What the server said by which the image of that key came. */
  freshness(key: string): Freshness | undefined;
  image(id: Digest): StoredImage | undefined;
  /** Absolute directories for an overlay mount, top first. A layer that an image holds twice is there once. */
  layerPaths(image: Pick<StoredImage, 'layers'>): string[];
  list(): StoredImage[];
  /** canonical names, sorted */
  names(): string[];
  layer(diffId: Digest): LayerRecord | undefined;
  /**
   * The layer's record; when it is not there, `fill` makes its tree in the empty directory of a {@link LayerPlace}. Concurrent
   * callers wait, and one of them works. `flush`: brings the directory to the platter.
   */
  addLayer(diffId: Digest, fill: (place: LayerPlace) => Promise<FilledLayer>, flush?: (root: string) => void | Promise<void>): Promise<LayerRecord>;
  addImage(image: NewImage): Promise<StoredImage>;
  /** Makes names and references stand for an image that is there. */
  pointTo(id: Digest, references: Pick<NewImage, 'names' | 'fetchedAs'>): Promise<void>;
  /** Until it is disposed of, gc takes nothing of what is added. May be asked for several times at once. */
  adding(): Disposable;
  /** Nothing is removed from the store until the lock is released: for the moment between finding an image and recording who uses it. */
  hold(): Lock;
  /** Notes that an image is used now. */
  use(image: StoredImage): void;
  /** When an image was last used; undefined when it is not there. */
  lastUsedMs(id: Digest): number | undefined;
}

const namesOf = (directory: string): string[] =>
  namesIn(directory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length));

function exists(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** The image of `reference`; nothing is fetched. @throws ERR_IMAGE_NOT_FOUND */
export const requireStored = (store: ImageStore, reference: string): StoredImage => required(store.find(reference), reference);
/** {@link requireStored}, for images of which layers may be missing. */
export const requireRecord = (store: ImageStore, reference: string): StoredImage => required(store.findRecord(reference), reference);

function required(image: StoredImage | undefined, reference: string): StoredImage {
  if (image === undefined)
    throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `image ${reference} is not in the store`, {
      // An ID says nothing about where there might be such an image.
      hint:
        imageIdPrefix(reference) === undefined || reference.includes('@')
          ? `rkt fetch ${reference} puts it there and prints its ID, by which images of local directories are known`
          : 'rkt image list shows the images there are',
    });
  return image;
}

export function openStore(dataDir: string): ImageStore {
  const paths = imagePaths(dataDir);

  const record = (id: Digest): StoredImage | undefined => readImage(paths.image(id));
  const image = (id: Digest): StoredImage | undefined => {
    const found = record(id);
    return found !== undefined && found.layers.every((layer) => exists(paths.layer(layer))) ? found : undefined;
  };

  const ids = (): Digest[] =>
    namesOf(paths.images)
      .sort()
      .flatMap((hex) => digestOfHex(hex) ?? []);

  const byPrefix = ({ algorithm, hex }: ImageIdPrefix): Digest | undefined => {
    if (hex.length < 2) throw new RuntimeError('ERR_IMAGE_REFERENCE', 'image ID too short', { hint: `give at least two digits after ${algorithm}-` });
    const found = ids().filter((id) => id.startsWith(`${algorithm}:${hex}`));
    if (found.length > 1)
      throw new RuntimeError('ERR_IMAGE_REFERENCE', `ambiguous image ID: ${algorithm}-${hex} matches ${found.length} images`, {
        details: found.slice(0, 10).map((id) => id.replace(':', '-')),
      });
    return found[0];
  };

  const byReference = (path: string): StoredImage | undefined => {
    const reference = readReference(path);
    return reference === undefined ? undefined : image(reference.id);
  };

  /** The image that `text` stands for, called by that name. `read`: what there must be of it */
  const lookUp = (text: string, read: (id: Digest) => StoredImage | undefined): StoredImage | undefined => {
    if (isRegistryText(text)) {
      const key = registrySourceKey(text);
      const id = key === undefined ? undefined : readReference(paths.source(key))?.id;
      const fetched = id === undefined ? undefined : read(id);
      return fetched === undefined ? undefined : { ...fetched, name: text };
    }
    const prefix = imageIdPrefix(text);
    const name = prefix === undefined ? canonicalImageName(text) : undefined;
    const id = prefix === undefined ? (name === undefined ? undefined : readReference(paths.name(name))?.id) : (prefix.id ?? byPrefix(prefix));
    const found = id === undefined ? undefined : read(id);
    return found === undefined || prefix !== undefined ? found : { ...found, name: text };
  };

  const layer = (diffId: Digest): LayerRecord | undefined => {
    if (!exists(paths.layer(diffId))) return undefined;
    const record = readLayer(paths.layerRecord(diffId));
    if (record !== undefined && record.diffId !== diffId) {
      throw new RuntimeError('ERR_STORE_IO', `layers ${diffId} and ${record.diffId} have the same short name ${layerId(diffId)}`, {
        hint: 'one of the two images was made to do that: do not trust either',
      });
    }
    return record;
  };

  let lease: Lease | undefined;
  let leaseUsers = 0;
  const adding = (): Disposable => {
    leaseUsers++;
    return {
      [Symbol.dispose]() {
        if (--leaseUsers > 0) return;
        lease?.[Symbol.dispose]();
        lease = undefined;
      },
    };
  };
  /** As long as somebody is adding, gc leaves what has this digest. */
  const keep = (digest: Digest): void => {
    lease ??= openLease(dataDir);
    lease.keep(digest);
  };

  return {
    dataDir,
    image,
    layer,
    adding,
    hold: () => lockStore(dataDir, 'shared'),
    use({ id }) {
      const now = new Date();
      try {
        // Its record is written once: the time of the file is free to mean something.
        utimesSync(paths.image(id), now, now);
      } catch (error) {
        if (!isErrno(error, 'ENOENT', 'EROFS', 'EACCES', 'EPERM')) throw error;
      }
    },
    lastUsedMs: (id) => statSync(paths.image(id), { throwIfNoEntry: false })?.mtimeMs,
    find: (text) => lookUp(text, image),
    findRecord: (text) => lookUp(text, record),
    findSource: (key) => byReference(paths.source(key)),
    freshness: (key) => readReference(paths.source(key))?.freshness,
    layerPaths: ({ layers }) => [...new Set([...layers].reverse().map(paths.layer))],
    list: () => ids().flatMap((id) => readImage(paths.image(id)) ?? []),
    names: () =>
      namesOf(paths.names)
        .map((name) => name.replaceAll('%2F', '/'))
        .sort(),

    async addLayer(diffId, fill, flush = flushTree) {
      using work = adding();
      void work;
      keep(diffId);
      const there = layer(diffId);
      if (there !== undefined) return there;
      using staging = await openStaging(dataDir, `layer-${layerId(diffId)}`);
      const meanwhile = layer(diffId);
      if (meanwhile !== undefined) return meanwhile;
      const root = join(staging.dir, 'rootfs');
      mkdirSync(root);
      chmodSync(root, 0o755); // mkdir obeys the umask
      const logPath = join(staging.dir, 'tree');
      const { tree = await logOf(root, logPath), ...facts } = await fill({ root, logPath });
      const record: LayerRecord = { diffId, ...facts, tree };
      await flush(root);
      // A tree whose record was lost goes before there is a record again, and a record comes before its tree: killed
      // in between, there is a record without a tree, which is no layer, and never a tree that a record is wrong about.
      moveAside(paths.layer(diffId), join(staging.dir, 'unrecorded'));
      makeDirectory(paths.layers);
      renameSync(logPath, paths.layerLog(diffId));
      placeFile(staging, paths.layerRecord(diffId), JSON.stringify(record));
      renameSync(root, paths.layer(diffId));
      fsyncDirectory(paths.layers);
      return record;
    },

    async pointTo(id, { names, fetchedAs = [] }) {
      const targets = [...names.map(paths.name), ...fetchedAs.map(paths.source)];
      const stale = targets.filter((path) => {
        const reference = readReference(path);
        return reference?.id !== id || reference.stamp !== undefined;
      });
      if (stale.length === 0) return;
      using staging = await openStaging(dataDir, `image-${hexOf(id)}`);
      using held = lockStore(dataDir, 'shared');
      void held;
      for (const path of stale) placeFile(staging, path, JSON.stringify({ id }));
    },

    async addImage({ image: given, manifest, configDigest, config, names, source, fetchedAs = [], namesStamp }) {
      using work = adding();
      void work;
      keep(given.id);
      using staging = await openStaging(dataDir, `image-${hexOf(given.id)}`);
      using held = lockStore(dataDir, 'shared');
      void held;
      // An ACI that is fetched again may be put upon other images than before.
      if (image(given.id) === undefined || given.appc !== undefined) {
        placeFile(staging, paths.blob(configDigest), config);
        if (manifest !== undefined) placeFile(staging, paths.blob(given.id), manifest);
        placeFile(staging, paths.image(given.id), JSON.stringify({ ...given, importedMs: Date.now() }));
      }
      for (const name of names) placeFile(staging, paths.name(name), JSON.stringify({ id: given.id, stamp: namesStamp }));
      for (const key of fetchedAs) placeFile(staging, paths.source(key), JSON.stringify({ id: given.id }));
      if (source !== undefined)
        placeFile(staging, paths.source(source.key), JSON.stringify({ id: given.id, stamp: source.stamp, freshness: source.freshness }));
      return given;
    },
  };
}

/** The log of a tree that nobody logged while it was made. */
async function logOf(root: string, logPath: string): Promise<LogSeal> {
  const { TreeLogFile, logTree } = await import('./tree.ts');
  using log = new TreeLogFile(logPath);
  logTree(root, log);
  return log.seal();
}

/** Renames what is at `path`, if anything is. */
function moveAside(path: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
