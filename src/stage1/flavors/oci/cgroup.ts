/** Which cgroup hierarchies a pod uses, and the step 'cgroup.create'. @see stage1.md B (hybrid) */
import { dirname, join } from 'node:path';
import { cgroupMounts, makeCgroup, removeCgroup, type CgroupMount } from '../../../host/cgroup.ts';
import { RuntimeError } from '../../../model/errors.ts';
import type { ReleaseOp } from '../../../model/release.ts';
import type { Stage1Pod } from '../../contract.ts';
import { podCgroup } from './layout.ts';

/** How this machine's control groups are to be used. */
export interface CgroupLayout {
  readonly kind: 'v1' | 'hybrid' | 'v2';
  /** mount points in which a pod has a group */
  readonly hierarchies: readonly string[];
  /** a v2 mount beside v1 ones that owns controllers: crun 1.8 gives up at the sight of it, so the pod's mount namespace covers it */
  readonly coverUnified: string | undefined;
}

/** Pure: mounts → layout. @throws ERR_HOST_UNSUPPORTED when there are none */
export function cgroupLayout(mounts: readonly CgroupMount[]): CgroupLayout {
  const v1 = mounts.filter(({ version }) => version === 1);
  const v2 = mounts.find(({ version }) => version === 2);
  if (v1.length === 0) {
    if (v2 === undefined)
      throw new RuntimeError('ERR_HOST_UNSUPPORTED', 'no control groups are mounted below /sys/fs/cgroup', {
        hint: 'mount -t cgroup2 none /sys/fs/cgroup',
      });
    return { kind: 'v2', hierarchies: [v2.path], coverUnified: undefined };
  }
  const paths = v1.map(({ path }) => path);
  if (v2 === undefined) return { kind: 'v1', hierarchies: paths, coverUnified: undefined };
  return v2.controllers.length > 0
    ? { kind: 'hybrid', hierarchies: paths, coverUnified: v2.path }
    : { kind: 'hybrid', hierarchies: [...paths, v2.path], coverUnified: undefined };
}

export const currentCgroupLayout = (): CgroupLayout => cgroupLayout(cgroupMounts());

/** The pod's group in the first hierarchy. */
export const podCgroupPath = (podId: string): string => join(currentCgroupLayout().hierarchies[0] ?? '', podCgroup(podId));

/** Makes the group `path` in every hierarchy. @returns where it was made, for {@link removePodCgroup} */
export function createPodCgroup(path: string): string[] {
  return currentCgroupLayout().hierarchies.map((hierarchy) => {
    makeCgroup(join(hierarchy, path));
    return hierarchy;
  });
}

/** {@link removePodCgroup} as data: the groups crun made for the apps, the pod's, and the parent of all when it is the last. */
export function releasePodCgroup(path: string, hierarchies: readonly string[], pod: Stage1Pod): ReleaseOp[] {
  const groups = [...pod.apps.map(({ spec }) => join(path, spec.name)), path, dirname(path)];
  return [{ op: 'rmdir', paths: hierarchies.flatMap((hierarchy) => groups.map((group) => join(hierarchy, group))) }];
}

/** How long the last processes of a pod may take to be reaped. */
const reapMs = 2_000;

/**
 * Removes `path` from every hierarchy, known ones and those mounted now; goes on past errors. Idempotent.
 * @param hierarchies - the output of the step, undefined when it never finished
 * @throws ERR_EFFECT_FAILED naming the groups that are still busy
 */
export function removePodCgroup(path: string, hierarchies: readonly string[] | undefined): void {
  const busy: string[] = [];
  for (const hierarchy of new Set([...(hierarchies ?? []), ...cgroupMounts().map((mount) => mount.path)])) {
    try {
      removeCgroup(join(hierarchy, path), busy.length === 0 ? reapMs : 0);
    } catch (error) {
      busy.push(`${join(hierarchy, path)}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  if (busy.length > 0) throw new RuntimeError('ERR_EFFECT_FAILED', `control group ${path} is still in use`, { details: busy });
}
