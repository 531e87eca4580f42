/** An app's root file system, looked at from outside: of a pod that runs as the app sees it, of an exited one mounted again where only this thread sees it. */
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { mountPoints } from '../host/detached-mounts.ts';
import { lock, tryLockNamed } from '../host/flock.ts';
import { O, RESOLVE, openat2 } from '../host/linux.ts';
import { isAlive, readProcessId, type ProcessId } from '../host/process.ts';
import { newPodId } from '../host/uuid.ts';
import { RuntimeError } from '../model/errors.ts';
import { mountsOf } from '../model/mounts.ts';
import type { StoredImage } from '../model/oci.ts';
import type { PodApp } from '../model/pod.ts';
import { ociFiles } from '../stage1/flavors/oci/layout.ts';
import { enterPrivateMounts, leavePrivateMounts, mountOverlay, overlayReadOnly } from '../stage1/flavors/oci/mounts.ts';
import { Rootfs } from '../stage1/flavors/oci/rootfs.ts';
import { mountVolumes } from '../stage1/flavors/oci/volumes.ts';
import { readImage } from '../state/images/records.ts';
import { openOwnStaging } from '../state/images/staging.ts';
import { openStore } from '../state/images/store.ts';
import type { PodInfo } from '../state/pod/info.ts';
import { podFiles } from '../state/pod/layout.ts';
import { volumeImage } from '../state/pod/volume-images.ts';

/** The image an app was made of, as the pod remembers it. @throws ERR_POD_IO */
export function imageOfApp(pod: PodInfo, app: string): StoredImage {
  const image = readImage(podFiles(pod.dir).image(app));
  if (image === undefined) throw new RuntimeError('ERR_POD_IO', `pod ${pod.id} does not say what image app ${app} is made of`);
  return image;
}

/** The pod stays as it is meanwhile: neither gc nor anybody who starts it again gets it. @throws ERR_POD_STATE */
function holdExited(pod: PodInfo): Disposable {
  const held = tryLockNamed(pod.dir, 'shared');
  if (typeof held === 'string')
    throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} ${held === 'gone' ? 'was removed meanwhile' : 'is in use'}`, { hint: 'try again' });
  const turn = lock(podFiles(pod.dir).changes, 'exclusive', { create: true });
  return {
    [Symbol.dispose]() {
      turn.release();
      held.release();
    },
  };
}

/** Shows `look` the root of an app of an exited pod, image and changes as one tree without volumes; nothing can be written to it. @throws ERR_POD_STATE, ERR_STAGE1_LAUNCH */
export function withExitedRoot<T>(dataDir: string, pod: PodInfo, app: string, look: (root: string) => T): T {
  using held = holdExited(pod);
  void held;
  const files = ociFiles(pod.dir);
  if (!existsSync(files.upper(app))) {
    refuseMounts(pod, files.rootfs(app));
    return look(files.rootfs(app));
  }
  return mountedPrivately(dataDir, (target) => {
    overlayReadOnly([files.upper(app), ...openStore(dataDir).layerPaths(imageOfApp(pod, app))], target);
    return look(target);
  });
}

/** Something mounted in a copied tree would be taken for a part of it. */
function refuseMounts(pod: PodInfo, rootfs: string): void {
  const below = mountPoints().filter((path) => path === rootfs || path.startsWith(`${rootfs}/`));
  if (below.length === 0) return;
  throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} has leftover mounts`, { details: below, hint: 'umount them' });
}

function mountedPrivately<T>(dataDir: string, work: (target: string) => T): T {
  using staging = openOwnStaging(dataDir, `view-${newPodId()}`);
  const target = join(staging.dir, 'root');
  mkdirSync(target);
  enterPrivateMounts();
  try {
    return work(target);
  } finally {
    leavePrivateMounts();
  }
}

/** Hands `use` a descriptor of an app's root, volumes included; what is written to it is in the pod. @throws ERR_POD_STATE, ERR_STAGE1_LAUNCH */
export function withAppRoot<T>(dataDir: string, pod: PodInfo, app: PodApp, use: (rootFd: number) => T): T {
  if (pod.state === 'running') {
    const fd = runningRoot(pod, app.name);
    try {
      return use(fd);
    } finally {
      closeSync(fd);
    }
  }
  if (pod.state !== 'exited' && pod.state !== 'exited garbage')
    throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} is ${pod.state}: neither running nor exited`);
  using held = holdExited(pod);
  void held;
  const files = ociFiles(pod.dir);
  const store = openStore(dataDir);
  return mountedPrivately(dataDir, (target) => {
    const isOverlay = existsSync(files.upper(app.name));
    if (isOverlay) mountOverlay(store.layerPaths(imageOfApp(pod, app.name)), files.upper(app.name), files.work(app.name), target);
    using root = new Rootfs(isOverlay ? target : files.rootfs(app.name));
    const mounts = mountsOf(pod.manifest ?? {}, app, pod.dir).map((mount) => {
      const image = mount.volume.kind === 'image' ? volumeImage(pod.dir, mount.key) : undefined;
      return { ...mount, populated: false, ...(image === undefined ? {} : { layers: store.layerPaths(image) }) };
    });
    mountVolumes(root, app.name, mounts);
    return use(root.fd);
  });
}

/** What the app sees, or when it has ended what it would see: the supervisor has its root mounted as long as the pod lives. */
function runningRoot(pod: PodInfo, app: string): number {
  const files = ociFiles(pod.dir);
  return rootOf(readProcessId(files.appPid(app)), '/') ?? rootOf(readProcessId(podFiles(pod.dir).pid), files.rootfs(app)) ?? ended(pod);
}

function ended(pod: PodInfo): never {
  throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} ended meanwhile`, { hint: 'try again' });
}

/** The directory `path` as the process sees it; undefined when it has ended. */
function rootOf(process: ProcessId | undefined, path: string): number | undefined {
  if (process === undefined || !isAlive(process)) return undefined;
  const root = openSync(`/proc/${process.pid}/root`, O.PATH | O.DIRECTORY);
  try {
    // Compared after it was opened: the pid could have become somebody else's before.
    return isAlive(process) ? openat2(root, path, O.PATH | O.DIRECTORY, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS) : undefined;
  } finally {
    closeSync(root);
  }
}
