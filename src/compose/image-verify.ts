/** Verification of stored images, and their repair: a layer that is not what it was is unpacked again from where it came. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { newPodId } from '../host/uuid.ts';
import { isCode, isErrno, isRuntimeError, messageOf, printable } from '../model/errors.ts';
import { shownId, type Digest } from '../model/ids.ts';
import type { StoredImage } from '../model/oci.ts';
import { layersKeptBy } from '../state/images/collect.ts';
import { imagePaths } from '../state/images/layout.ts';
import { lockStore, openLease } from '../state/images/locks.ts';
import { openOwnStaging } from '../state/images/staging.ts';
import { openStore, type ImageStore } from '../state/images/store.ts';
import { verifyLayer, type Damage } from '../state/images/verify.ts';
import { imagesOfPods } from '../state/pod/images.ts';

export interface VerifiedLayer {
  readonly layer: Digest;
  readonly damages: readonly Damage[];
  /** undefined: there was nothing to repair, or nobody asked for it */
  readonly outcome: 'repaired' | KeptDamaged | undefined;
}

/** A layer that could not be repaired. */
export interface KeptDamaged {
  /** why */
  readonly kept: string;
  /** the images that have it: it stays as long as one of them does */
  readonly keptBy: readonly StoredImage[];
}

/** How to get rid of layers that cannot be repaired: a fetch takes what the store has, so all images that have them must go before. */
export function removalHint(kept: readonly KeptDamaged[]): string {
  const images = [...new Map(kept.flatMap(({ keptBy }) => keptBy.map((image) => [image.id, image]))).values()];
  const origins = new Set(images.map(({ id, origin }) => printable(origin ?? shownId(id, false))));
  return `rkt image rm ${images.map(({ id }) => shownId(id, false)).join(' ')}, then rkt fetch ${[...origins].join(' ')}`;
}

/** Fetches from `origin`, where the images `ids` came from; layers that are in the store are not looked at. */
export type Refetch = (origin: string, ids: readonly Digest[]) => Promise<StoredImage>;

/** Looks at every layer of an image, and repairs those that are damaged if `refetch` is given. */
export async function verifyImage(dataDir: string, image: StoredImage, refetch: Refetch | undefined): Promise<VerifiedLayer[]> {
  const store = openStore(dataDir);
  using lease = openLease(dataDir);
  const layers = [...new Set(image.layers)];
  for (const layer of layers) lease.keep(layer);
  const verified: VerifiedLayer[] = [];
  for (const layer of layers) {
    const damages = verifyLayer(store, layer);
    const outcome = damages.length === 0 || refetch === undefined ? undefined : await repairLayer(store, layer, refetch);
    verified.push({ layer, damages, outcome });
  }
  return verified;
}

async function repairLayer(store: ImageStore, layer: Digest, refetch: Refetch): Promise<'repaired' | KeptDamaged> {
  const keptAs = (kept: string): KeptDamaged => ({
    kept,
    keptBy: store.list().filter((image) => layersKeptBy(store.dataDir, image).includes(layer)),
  });
  const origins = new Map<string, Digest[]>();
  for (const { id, layers, origin } of store.list())
    if (origin !== undefined && layers.includes(layer)) origins.set(origin, [...(origins.get(origin) ?? []), id]);
  using staging = openOwnStaging(store.dataDir, `repair-${newPodId()}`);
  const aside = join(staging.dir, 'rootfs');
  const taken = takeAway(store.dataDir, layer, aside);
  if (taken !== 'taken') return keptAs(taken);
  const reasons: string[] = [];
  for (const [origin, ids] of origins) {
    try {
      await refetch(origin, ids);
      if (store.layer(layer) !== undefined) return 'repaired';
      reasons.push(`${printable(origin)} holds another image now`);
    } catch (error) {
      if (isCode(error, 'ERR_INTERRUPTED')) putBack(store, layer, aside);
      if (!isRuntimeError(error) || isCode(error, 'ERR_INTERRUPTED')) throw error;
      reasons.push(`${printable(origin)}: ${messageOf(error)}`);
    }
  }
  putBack(store, layer, aside);
  return keptAs(reasons.length === 0 ? 'the store does not know where it came from' : reasons.join('; '));
}

/** Moves a layer's tree out of the store, unless a pod has it mounted: there it would change under the app. @returns why not */
function takeAway(dataDir: string, layer: Digest, aside: string): string {
  using held = lockStore(dataDir, 'exclusive');
  void held;
  if (imagesOfPods(dataDir, ({ state }) => state === 'running' || state === 'preparing').layers.has(layer))
    return 'a running pod uses it: stop it, then verify again';
  moveTree(imagePaths(dataDir).layer(layer), aside);
  return 'taken';
}

/** What is damaged is better than nothing, and says again that it is. */
function putBack(store: ImageStore, layer: Digest, aside: string): void {
  if (store.layer(layer) !== undefined) return;
  moveTree(aside, imagePaths(store.dataDir).layer(layer));
}

/** It may be what is missing. */
function moveTree(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
