/** Steps 'app.prepare' and 'rootfs.mount' of the oci flavor. */
import { closeSync, readFileSync } from 'node:fs';
import { makeDirectory, writeAtomic } from '../../../host/files.ts';
import { hostsText } from '../../../model/hosts-file.ts';
import { podFiles } from '../../../state/pod/layout.ts';
import type { EtcFile, Stage1App, Stage1Pod } from '../../contract.ts';
import { bundleConfig, type BundleFacts, type EtcMount } from './bundle.ts';
import { currentCgroupLayout } from './cgroup.ts';
import { copyLayers } from './copy-layers.ts';
import { ociFiles } from './layout.ts';
import { coverCgroup, enterPrivateMounts, mountDev, mountOverlay, mountShm } from './mounts.ts';
import type { OciDeviceRule } from './oci-spec.ts';
import { Rootfs, completeRootfs } from './rootfs.ts';
import { wantedTerminal } from './terminal.ts';
import { resolveUser } from './users.ts';
import { mountVolumes } from './volumes.ts';

/** Directories of one app below the pod directory; with `--no-overlay` also its copied tree. */
export function prepareApp(pod: Stage1Pod, app: Stage1App): void {
  const files = ociFiles(pod.dir);
  const { name } = app.spec;
  makeDirectory(files.rootfs(name));
  for (const path of [files.crunRoot, files.etc, files.shm, files.appPidDir, podFiles(pod.dir).statusDir]) makeDirectory(path);
  if (!pod.overlay) {
    copyLayers(app.layers, files.rootfs(name));
    return;
  }
  makeDirectory(files.work(name));
  // The upper directory is the app's "/": everybody in the pod has to get through it.
  makeDirectory(files.upper(name), 0o755);
}

/** The private mount namespace with everything the apps see, and their bundles. */
export function mountRootfs(pod: Stage1Pod): void {
  const files = ociFiles(pod.dir);
  enterPrivateMounts();
  const { coverUnified } = currentCgroupLayout();
  if (coverUnified !== undefined) coverCgroup(coverUnified);
  mountShm(files.shm);
  for (const app of pod.apps) {
    const { name } = app.spec;
    if (pod.overlay) mountOverlay(app.layers, files.upper(name), files.work(name), files.rootfs(name));
    writeBundle(pod, app);
  }
}

/** An app's own /dev and its volumes, below its mounted root. @returns which devices it may use */
function mountBelow(root: Rootfs, { spec, mounts }: Stage1App): OciDeviceRule[] {
  const dev = root.openTarget('dev', true);
  try {
    mountDev(dev);
  } finally {
    closeSync(dev);
  }
  root.linkIfMissing('dev', 'log', '/run/systemd/journal/dev-log');
  return mountVolumes(root, spec.name, mounts);
}

function writeBundle(pod: Stage1Pod, app: Stage1App): void {
  const files = ociFiles(pod.dir);
  const { name, app: spec } = app.spec;
  using root = new Rootfs(files.rootfs(name));
  completeRootfs(root, spec.workingDirectory ?? '/');
  const volumeDevices = mountBelow(root, app);
  const config = bundleConfig(pod, app, {
    user: resolveUser(name, spec, root.fd),
    etcFiles: writeEtcFiles(pod, root).filter(({ name: file }) => goesOver(root, app, file)),
    volumeDevices,
    ...processFacts(),
    terminal: wantedTerminal(pod),
  });
  writeAtomic(files.config(name), JSON.stringify(config));
}

/** A volume at the very place of a file of ours is what the user wants there; in one at /etc nothing is made. */
const goesOver = (root: Rootfs, { mounts }: Stage1App, file: string): boolean =>
  !mounts.some(({ target }) => target === `/etc/${file}`) && (!mounts.some(({ target }) => target === '/etc') || root.has(`etc/${file}`));

/** @returns which files go over those of this app's image (rkt.md 2.6) */
function writeEtcFiles(pod: Stage1Pod, root: Rootfs): EtcMount[] {
  const { etc } = ociFiles(pod.dir);
  const put = (name: string, file: EtcFile): EtcMount => {
    if (typeof file !== 'string') return { name, hostPath: file.hostPath };
    writeAtomic(`${etc}/${name}`, file, { mode: 0o644 });
    return { name };
  };
  const resolvConf = pod.resolvConf ?? (namesResolver(root) ? undefined : pod.fallbackResolvConf);
  return [
    put('hostname', `${pod.hostname}\n`),
    ...(pod.hosts !== undefined || !root.has('etc/hosts') ? [put('hosts', pod.hosts ?? hostsText(pod.hostname, []))] : []),
    ...(resolvConf === undefined ? [] : [put('resolv.conf', resolvConf)]),
  ];
}

/** Images come with an empty file where their builder had a resolver mounted. */
const namesResolver = (root: Rootfs): boolean => /^\s*nameserver\s/m.test(root.readText('etc/resolv.conf') ?? '');

function processFacts(): Pick<BundleFacts, 'ownCapabilities' | 'ownOomScoreAdj'> {
  const [, mask = '0'] = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return { ownCapabilities: BigInt(`0x${mask}`), ownOomScoreAdj: Number(readFileSync('/proc/self/oom_score_adj', 'utf8')) };
}
