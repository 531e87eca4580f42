/** Steps 'app.prepare' and 'rootfs.mount' of the fly flavor. */
import { closeSync } from 'node:fs';
import { attachTree, cloneTree } from '../../../host/detached-mounts.ts';
import { makeDirectory, writeAtomic } from '../../../host/files.ts';
import { MS, O, RESOLVE, mount, openat2 } from '../../../host/linux.ts';
import { hostsText } from '../../../model/hosts-file.ts';
import { podFiles } from '../../../state/pod/layout.ts';
import type { EtcFile, Stage1App, Stage1Pod } from '../../contract.ts';
import { copyLayers } from '../oci/copy-layers.ts';
import { ociFiles } from '../oci/layout.ts';
import { enterPrivateMounts, mountOverlay } from '../oci/mounts.ts';
import { Rootfs, completeRootfs } from '../oci/rootfs.ts';
import { mountVolumes } from '../oci/volumes.ts';
import { flyFiles } from './layout.ts';

/** What every app of this flavor sees of the host. */
const hostTrees = ['/dev', '/proc', '/sys'] as const;

/** Directories of the app below the pod directory; with `--no-overlay` also its copied tree. */
export function prepareApp(pod: Stage1Pod, app: Stage1App): void {
  const files = ociFiles(pod.dir);
  const { name } = app.spec;
  makeDirectory(files.rootfs(name));
  for (const path of [files.appPidDir, flyFiles(pod.dir).etc, podFiles(pod.dir).statusDir]) makeDirectory(path);
  if (!pod.overlay) {
    copyLayers(app.layers, files.rootfs(name));
    return;
  }
  makeDirectory(files.work(name));
  makeDirectory(files.upper(name), 0o755);
}

/**
 * The app's root, in a mount namespace of its own, so that nothing of it outlives the app. What it has of the host is copied before this
 * thread leaves the host's namespace: copies of shared mounts are their peers, and what the app mounts in there is seen by the host.
 * rkt differs: mounts of the host that are not shared stay so; making them shared would be left behind.
 */
export function mountRootfs(pod: Stage1Pod): void {
  const trees = hostTrees.map((path) => ({ path, fd: cloneTree(path, true) }));
  try {
    enterPrivateMounts();
    for (const app of pod.apps) mountApp(pod, app, trees);
  } finally {
    for (const { fd } of trees) closeSync(fd);
  }
}

function mountApp(pod: Stage1Pod, { spec, layers, mounts }: Stage1App, trees: readonly { readonly path: string; readonly fd: number }[]): void {
  const files = ociFiles(pod.dir);
  if (pod.overlay) mountOverlay(layers, files.upper(spec.name), files.work(spec.name), files.rootfs(spec.name));
  // Otherwise the root is no mount, and could not be made read-only.
  else mount(files.rootfs(spec.name), files.rootfs(spec.name), null, MS.BIND, null);
  // Opened when it is mounted: a descriptor of what lies below would show that.
  using root = new Rootfs(files.rootfs(spec.name));
  completeRootfs(root, spec.app.workingDirectory ?? '/');
  writeEtcFiles(pod, root);
  for (const { path, fd } of trees) attach(root, fd, path);
  mount('tmpfs', `/proc/self/fd/${withPath(root, 'tmp')}`, 'tmpfs', MS.NOSUID | MS.NODEV, 'mode=1777');
  // The default of this flavor (rkt.md 2.8): what is mounted below a volume's source stays out.
  mountVolumes(
    root,
    spec.name,
    mounts.map((one) => ({ ...one, volume: { ...one.volume, recursive: one.volume.recursive ?? false } })),
  );
  if (spec.readOnlyRootFS === true) mount(null, files.rootfs(spec.name), null, MS.REMOUNT | MS.BIND | MS.RDONLY, null);
}

/** A descriptor of a path in the app's root. It is closed with the process, which is about to become the app. */
const withPath = (root: Rootfs, path: string): number => openat2(root.fd, path, O.PATH, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);

function attach(root: Rootfs, tree: number, path: string): void {
  const target = withPath(root, path);
  try {
    attachTree(tree, target);
  } finally {
    closeSync(target);
  }
}

/** The same files as in other flavors (rkt.md 2.6), mounted over the image's. */
function writeEtcFiles(pod: Stage1Pod, root: Rootfs): void {
  const { etc } = flyFiles(pod.dir);
  const put = (name: string, file: EtcFile): void => {
    const source = typeof file === 'string' ? `${etc}/${name}` : file.hostPath;
    if (typeof file === 'string') writeAtomic(source, file, { mode: 0o644 });
    root.makeFile(`etc/${name}`);
    const tree = cloneTree(source, false);
    try {
      attach(root, tree, `etc/${name}`);
    } finally {
      closeSync(tree);
    }
  };
  const namesResolver = /^\s*nameserver\s/m.test(root.readText('etc/resolv.conf') ?? '');
  const resolvConf = pod.resolvConf ?? (namesResolver ? undefined : pod.fallbackResolvConf);
  if (resolvConf !== undefined) put('resolv.conf', resolvConf);
  if (pod.hosts !== undefined || !root.has('etc/hosts')) put('hosts', pod.hosts ?? hostsText(pod.hostname, []));
}
