/** What a pod would see of an image, for as long as something looks at it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { newPodId } from '../host/uuid.ts';
import { isCode } from '../model/errors.ts';
import { copyLayers } from '../stage1/flavors/oci/copy-layers.ts';
import { enterPrivateMounts, leavePrivateMounts, mountOverlay } from '../stage1/flavors/oci/mounts.ts';
import { openOwnStaging } from '../state/images/staging.ts';

/**
 * Shows `look` the layers (absolute, top first) as one tree. They are mounted where only this thread sees it, so `look` is
 * synchronous; where overlay cannot be mounted they are copied. @throws ERR_STAGE1_LAUNCH, and what `look` throws
 */
export function withMergedView<T>(dataDir: string, layers: readonly string[], look: (root: string) => T): T {
  using staging = openOwnStaging(dataDir, `view-${newPodId()}`);
  const [merged = '', upper = '', work = ''] = ['merged', 'upper', 'work'].map((name) => {
    const path = join(staging.dir, name);
    mkdirSync(path);
    return path;
  });
  enterPrivateMounts();
  try {
    try {
      mountOverlay(layers, upper, work, merged);
    } catch (error) {
      if (!isCode(error, 'ERR_STAGE1_LAUNCH')) throw error;
      copyLayers(layers, merged);
    }
    return look(merged);
  } finally {
    leavePrivateMounts();
  }
}
