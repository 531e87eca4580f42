/** Where the oci flavor keeps things in a pod directory. The supervisor (files.c, start.c) and bundle.ts know these names too. */
import { join } from 'node:path';

/** Descriptors of the supervisor that hold the pod's namespaces (supervisor.h). */
export const namespaceFds = { pid: 10, ipc: 11, uts: 12, network: 13 } as const;
/** Most apps of one pod (supervisor.h). */
export const maxApps = 64;

/** Paths in the pod directory `dir`. */
export const ociFiles = (dir: string) => ({
  config: (app: string): string => join(dir, 'bundles', app, 'config.json'),
  rootfs: (app: string): string => join(dir, 'bundles', app, 'rootfs'),
  upper: (app: string): string => join(dir, 'overlay', app, 'upper'),
  work: (app: string): string => join(dir, 'overlay', app, 'work'),
  /** crun's state; crun knows nothing of the pod outside it */
  crunRoot: join(dir, 'crun'),
  etc: join(dir, 'etc'),
  /** /dev/shm of every app: a tmpfs, mounted in the pod's mount namespace */
  shm: join(dir, 'shm'),
  /** `pid starttime` of an app, host view */
  appPid: (app: string): string => join(dir, 'stage1/rootfs/rkt/pid', app),
  /** what frees addresses, ports and rules when the pod ends (model/release.ts); locked while that is done */
  release: join(dir, 'release'),
  /** `pid starttime` of the process that does it */
  releasePid: join(dir, 'release.pid'),
  appPidDir: join(dir, 'stage1/rootfs/rkt/pid'),
});

/** The same places as a bundle's config.json names them (crun runs in the bundle; the pod directory may still move). */
export const fromBundle = { rootfs: 'rootfs', etc: '../../etc', shm: '../../shm' } as const;

/** Name of an app's container in crun's state. */
export const containerId = (podId: string, app: string): string => `${podId.slice(0, 8)}-${app}`;

/** The pod's cgroup in every hierarchy, below its root. */
export const podCgroup = (podId: string): string => `rkt/${podId}`;
