/**
 * What of the store nobody needs, and its removal. Decided and unlinked in one exclusive hold, so that no run finds an image
 * that is about to go and no fetch counts on such a layer; trees are only moved aside in it and deleted after.
 * Killed anywhere, what is left is a smaller store, and strays that the next time takes.
 * @see rkt.md 2.12 (image gc)
 */
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../../host/files.ts';
import { isErrno } from '../../host/linux.ts';
import { removeTree } from '../../host/remove-tree.ts';
import { newPodId } from '../../host/uuid.ts';
import type { Digest } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import { imagePaths, layerId } from './layout.ts';
import { lockStore, readLeases } from './locks.ts';
import { configDiffIds, digestsIn, readImage, readLayer, readReference } from './records.ts';
import { openOwnStaging, sweepTemporary, type Staging } from './staging.ts';
import { openStore } from './store.ts';

/** What pods need. */
export interface PodNeeds {
  readonly images: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<Digest>;
}

export interface CollectRequest {
  /** asked once the store is held */
  readonly needs: () => PodNeeds;
  /** which images go; `needed`: a pod was made of it, or will be at once */
  readonly mayGo: (image: StoredImage, lastUsedMs: number, needed: boolean) => boolean;
  /** also what belongs to no image: layers, names, leftovers */
  readonly strays: boolean;
  readonly dryRun: boolean;
}

export interface Collected {
  readonly images: readonly { readonly id: Digest; readonly name: string; readonly lastUsedMs: number }[];
  /** of images that go, and of none */
  readonly layers: readonly { readonly name: string; readonly bytes: number }[];
  /** everything else, as paths in the store */
  readonly strays: readonly string[];
}

export function collectStore(dataDir: string, request: CollectRequest): Collected {
  const { images, layers, strays } = decideAndAct(dataDir, request);
  const left = request.strays ? sweepTemporary(dataDir, request.dryRun) : [];
  return { images, layers, strays: [...strays, ...left.map((name) => `tmp/${name}`)] };
}

function decideAndAct(dataDir: string, request: CollectRequest): Plan {
  using trash = openTrash(dataDir);
  using held = lockStore(dataDir, 'exclusive');
  const plan = decide(dataDir, request);
  if (!request.dryRun) for (const act of plan.actions) act(() => trash.directory());
  // The trash is emptied when nobody waits for it any more.
  held.release();
  return plan;
}

/** The layers that stay as long as the image does: all that its record mentions, for an ACI is put upon layers that its own mount may leave out. */
export function layersKeptBy(dataDir: string, image: StoredImage): readonly Digest[] {
  const paths = imagePaths(dataDir);
  return [...digestsIn(JSON.stringify(image)), ...configDiffIds(paths.blob(image.id), paths.blob)];
}

/** Where trees wait for their deletion; made when the first one comes, emptied in the end. */
function openTrash(dataDir: string): Disposable & { directory(): string } {
  let staging: Staging | undefined;
  return {
    directory: () => (staging ??= openOwnStaging(dataDir, `trash-${newPodId()}`)).dir,
    [Symbol.dispose]: () => staging?.[Symbol.dispose](),
  };
}

interface Plan {
  readonly images: Collected['images'];
  readonly layers: Collected['layers'];
  readonly strays: readonly string[];
  /** in this order; `trash`: gives the directory that is deleted afterwards */
  readonly actions: readonly ((trash: () => string) => void)[];
}

function decide(dataDir: string, { needs, mayGo, strays: takeStrays }: CollectRequest): Plan {
  const paths = imagePaths(dataDir);
  const store = openStore(dataDir);
  const pods = needs();
  const { kept: leased, dead } = readLeases(dataDir);
  const all = store.list();
  const going = new Map<Digest, StoredImage>();
  for (const image of all) {
    const lastUsedMs = store.lastUsedMs(image.id) ?? 0;
    if (mayGo(image, lastUsedMs, pods.images.has(image.id) || leased.has(image.id))) going.set(image.id, image);
  }
  const kept = all.filter(({ id }) => !going.has(id));
  const strays: string[] = [];
  const actions: ((trash: () => string) => void)[] = [];
  const drop = (path: string, isStray: boolean): void => {
    if (isStray) strays.push(path.slice(paths.cas.length + 1));
    actions.push(() => removeTree(path));
  };

  // What leads to an image goes before the image, the image before what it is made of.
  const known = new Set(kept.map(({ id }) => id));
  for (const directory of [paths.names, paths.sources]) {
    for (const file of namesIn(directory)) {
      const path = join(directory, file);
      const reference = readReference(path);
      if (reference !== undefined && known.has(reference.id)) continue;
      const ofGoing = reference !== undefined && going.has(reference.id);
      if (ofGoing || takeStrays) drop(path, !ofGoing);
    }
  }
  for (const file of namesIn(paths.images)) {
    const image = readImage(join(paths.images, file));
    const isKnown = image !== undefined && paths.image(image.id).endsWith(`/${file}`);
    if (isKnown ? going.has(image.id) : takeStrays) drop(join(paths.images, file), !isKnown);
  }

  if (takeStrays) for (const lease of dead) drop(lease, true);
  const layersOf = (image: StoredImage): readonly Digest[] => layersKeptBy(dataDir, image);
  const needed = new Set([...kept.flatMap(layersOf), ...pods.layers, ...leased].map(layerId));
  const ofGoing = new Set([...going.values()].flatMap(layersOf).map(layerId));
  const layers: { name: string; bytes: number }[] = [];
  const files = namesIn(paths.layers);
  for (const name of new Set(files.map((file) => file.replace(/\.(json|tree)$/, '')))) {
    if (needed.has(name) || !(ofGoing.has(name) || takeStrays)) continue;
    const path = join(paths.layers, name);
    const record = readLayer(`${path}.json`);
    layers.push({ name, bytes: record?.tarBytes ?? 0 });
    // The tree first: a record without one is no layer.
    if (files.includes(name)) actions.push((trash) => renameSync(path, join(trash(), name)));
    for (const file of [`${path}.json`, `${path}.tree`]) actions.push(() => removeTree(file));
  }

  const keptBlobs = new Set(kept.flatMap(({ id }) => blobsOf(paths, id)));
  const goingBlobs = new Set([...going.keys()].flatMap((id) => blobsOf(paths, id)));
  for (const algorithm of namesIn(paths.blobs)) {
    for (const file of namesIn(join(paths.blobs, algorithm))) {
      const digest = `${algorithm}:${file}` as Digest;
      if (!keptBlobs.has(digest) && (goingBlobs.has(digest) || takeStrays)) drop(join(paths.blobs, algorithm, file), !goingBlobs.has(digest));
    }
  }
  return {
    images: [...going.values()].map((image) => ({ id: image.id, name: image.name, lastUsedMs: store.lastUsedMs(image.id) ?? 0 })),
    layers,
    strays,
    actions,
  };
}

/** Its manifest, and every blob that its record or its manifest mention. */
function blobsOf(paths: ReturnType<typeof imagePaths>, id: Digest): Digest[] {
  const texts = [paths.image(id), paths.blob(id)].map((path) => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return '';
      throw error;
    }
  });
  return [id, ...digestsIn(texts.join('\n'))];
}
