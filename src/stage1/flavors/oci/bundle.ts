/**
 * One app of a pod → config.json for crun. Pure: what has to be looked up comes in as {@link BundleFacts}.
 * Paths of mounts are relative to the bundle, so that the pod directory can still be moved.
 * @see rkt.md 2.5 (environment), 2.7 (file system), 2.11 (security); OCI runtime-spec 1.0.2
 */
import type { PodApp } from '../../../model/pod.ts';
import type { Stage1App, Stage1Pod } from '../../contract.ts';
import { capabilitiesOf } from './capabilities.ts';
import { fromBundle, namespaceFds, podCgroup } from './layout.ts';
import type { OciDevice, OciDeviceRule, OciMount, OciSpec, OciUser } from './oci-spec.ts';
import { defaultSeccomp } from './seccomp.ts';

/** A file of /etc: ours, in the pod's directory, or the host's at `hostPath`, read-only. */
export interface EtcMount {
  readonly name: string;
  readonly hostPath?: string;
}

/** What a bundle depends on besides the pod. */
export interface BundleFacts {
  readonly user: OciUser;
  /** files that go over the image's */
  readonly etcFiles: readonly EtcMount[];
  /** devices that are volumes */
  readonly volumeDevices: readonly OciDeviceRule[];
  /** capabilities this process may hand on: a bit mask */
  readonly ownCapabilities: bigint;
  /** this process's oom_score_adj: without CAP_SYS_RESOURCE it cannot be lowered */
  readonly ownOomScoreAdj: number;
  /** TERM of the terminal the app shall have; undefined: it gets none */
  readonly terminal: string | undefined;
}

/** rkt.md 2.7; /proc/sys as a whole, because most of its files ask for no capability, only for root. */
const readonlyPaths = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
  '/sys/block',
  '/sys/bus',
  '/sys/class',
  '/sys/dev',
  '/sys/devices',
  '/sys/kernel',
];
/** rkt.md 2.7, and what appeared in /proc since then and Docker hides. */
const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/config.gz',
  '/proc/kallsyms',
  '/proc/kcore',
  '/proc/keys',
  '/proc/kmem',
  '/proc/latency_stats',
  '/proc/mem',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs',
  '/sys/hypervisor',
  '/sys/module',
  '/sys/power',
];

const tun: OciDevice = { path: '/dev/net/tun', type: 'c', major: 10, minor: 200, fileMode: 0o666, uid: 0, gid: 0 };

/** @throws ERR_POD_MANIFEST for isolators that make no sense */
export function bundleConfig(pod: Stage1Pod, { spec, image, mounts }: Stage1App, facts: BundleFacts): OciSpec {
  const capabilities = capabilitiesOf(spec.name, spec.app, pod.insecure.has('capabilities'), facts.ownCapabilities);
  const filtered = !pod.insecure.has('seccomp');
  const oomScoreAdj = oomScoreOf(spec, facts.ownOomScoreAdj);
  const targets = mounts.map(({ target }) => target);
  // What is hidden would hide the volume, which somebody asked for by name.
  const spared = (path: string): boolean => !targets.some((target) => target === path || target.startsWith(`${path}/`));
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: facts.terminal !== undefined,
      user: facts.user,
      args: spec.app.exec,
      env: environmentOf(spec, facts.terminal),
      cwd: spec.app.workingDirectory ?? '/',
      // No inheritable and no ambient set: an app that is not root has none until it runs a setuid program.
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: (filtered && facts.user.uid !== 0) || isolator(spec, 'os/linux/no-new-privileges') === true,
      ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    },
    root: { path: fromBundle.rootfs, readonly: spec.readOnlyRootFS === true },
    mounts: [
      ...[...systemMounts, shared('/dev/shm', fromBundle.shm, ['nosuid', 'nodev', 'noexec'])].filter(({ destination }) =>
        targets.every((target) => target !== destination && (destination !== '/sys' || !target.startsWith('/sys/'))),
      ),
      ...facts.etcFiles.map((file) => etcMount(file, spec)),
    ],
    linux: {
      cgroupsPath: `/${podCgroup(pod.id)}/${spec.name}`,
      // The supervisor holds them; no hostname here, because the uts namespace has it already.
      namespaces: [
        { type: 'mount' },
        ...(['pid', 'ipc', 'uts'] as const).map((type) => namespaceOf(pod, type)),
        ...(pod.netns === undefined ? [] : [namespaceOf(pod, 'network')]),
      ],
      devices: [tun],
      // The runtime itself opens the standard nodes after this.
      resources: {
        devices: [
          { allow: false, access: 'rwm' },
          { allow: true, type: 'c', major: tun.major, minor: tun.minor, access: 'rwm' },
          ...facts.volumeDevices,
        ],
      },
      ...(filtered ? { seccomp: defaultSeccomp(new Set(capabilities), image.architecture) } : {}),
      maskedPaths: pod.insecure.has('paths') ? [] : maskedPaths.filter(spared),
      readonlyPaths: pod.insecure.has('paths') ? [] : readonlyPaths.filter(spared),
    },
  };
}

const namespaceOf = (pod: Stage1Pod, type: keyof typeof namespaceFds): { type: string; path: string } => ({
  type,
  path: `/proc/${pod.pid}/fd/${namespaceFds[type]}`,
});

/** Without /dev, which is mounted already when the runtime comes, so that volumes can be below it. */
const systemMounts: readonly OciMount[] = [
  { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
  { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
  { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
];

const shared = (destination: string, source: string, options: readonly string[]): OciMount => ({
  destination,
  type: 'bind',
  source,
  options: ['bind', ...options],
});
const etcMount = ({ name, hostPath }: EtcMount, spec: PodApp): OciMount =>
  shared(`/etc/${name}`, hostPath ?? `${fromBundle.etc}/${name}`, [
    'nosuid',
    'nodev',
    hostPath !== undefined || spec.readOnlyRootFS === true ? 'ro' : 'rw',
  ]);

/** rkt.md 2.5: defaults under the manifest's values; the app's name over everything; no HOSTNAME (it would outlive a change of the name). */
export function environmentOf(spec: PodApp, terminal: string | undefined): string[] {
  const environment = new Map<string, string>([
    ['PATH', '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    ['SHELL', '/bin/sh'],
    ['USER', 'root'],
    ['LOGNAME', 'root'],
    ['HOME', '/root'],
    ...(terminal === undefined ? [] : [['TERM', terminal] as const]),
    ...(spec.app.environment ?? []).map(({ name, value }) => [name, value] as const),
    ['AC_APP_NAME', spec.name],
  ]);
  return [...environment].map(([name, value]) => `${name}=${value}`);
}

const isolator = (spec: PodApp, wanted: string): unknown => spec.app.isolators?.find(({ name }) => name === wanted)?.value;

function oomScoreOf(spec: PodApp, own: number): number | undefined {
  const value = isolator(spec, 'os/linux/oom-score-adj');
  return typeof value === 'number' && Number.isInteger(value) ? Math.min(1000, Math.max(value, own)) : undefined;
}
