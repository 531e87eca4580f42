/** What a pod would see of an image, for as long as something looks at it. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AT_FDCWD, fchmodat, fchownat, lsetxattr, utimensat } from '../host/linux.ts';
import { newPodId } from '../host/uuid.ts';
import { readXattrs } from '../host/xattr.ts';
import { isCode } from '../model/errors.ts';
import type { Digest } from '../model/ids.ts';
import { copyLayers } from '../stage1/flavors/oci/copy-layers.ts';
import { enterPrivateMounts, leavePrivateMounts, mountOverlay } from '../stage1/flavors/oci/mounts.ts';
import { openOwnStaging } from '../state/images/staging.ts';
import type { ImageStore } from '../state/images/store.ts';

/**
 * Shows `look` the image's layers as one tree, its root as the topmost layer has it that says what its root is like. They are mounted where only this thread sees it, so `look` is
 * synchronous; where overlay cannot be mounted they are copied. @throws ERR_STAGE1_LAUNCH, and what `look` throws
 */
export function withMergedView<T>(store: ImageStore, layers: readonly Digest[], look: (root: string) => T): T {
  const paths = store.layerPaths({ layers });
  using staging = openOwnStaging(store.dataDir, `view-${newPodId()}`);
  const [merged = '', upper = '', work = ''] = ['merged', 'upper', 'work'].map((name) => {
    const path = join(staging.dir, name);
    mkdirSync(path);
    return path;
  });
  const rootLayer = layers.findLast((layer) => store.layer(layer)?.listsRoot === true);
  const [like] = rootLayer === undefined ? [] : store.layerPaths({ layers: [rootLayer] });
  enterPrivateMounts();
  try {
    try {
      if (like !== undefined) copyFacts(like, upper);
      mountOverlay(paths, upper, work, merged);
    } catch (error) {
      if (!isCode(error, 'ERR_STAGE1_LAUNCH')) throw error;
      copyLayers(paths, merged);
      if (like !== undefined) copyFacts(like, merged);
    }
    return look(merged);
  } finally {
    leavePrivateMounts();
  }
}

/** Makes the directory `to` like `from`: an overlay mount's root is what its upper directory is. */
function copyFacts(from: string, to: string): void {
  const { mode, uid, gid, mtimeNs } = statSync(from, { bigint: true });
  fchownat(AT_FDCWD, to, Number(uid), Number(gid));
  fchmodat(AT_FDCWD, to, Number(mode & 0o7777n));
  for (const [name, value] of readXattrs(from)) if (!name.startsWith('trusted.overlay.')) lsetxattr(to, name, value);
  utimensat(AT_FDCWD, to, mtimeNs);
}
