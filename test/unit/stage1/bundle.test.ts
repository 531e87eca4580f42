/** What crun is told, from what the pod says. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { PodId } from '../../../src/model/ids.ts';
import type { AppSpec } from '../../../src/model/pod.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import type { Stage1App, Stage1Pod } from '../../../src/stage1/contract.ts';
import { bundleConfig, type BundleFacts } from '../../../src/stage1/flavors/oci/bundle.ts';
import { cgroupLayout } from '../../../src/stage1/flavors/oci/cgroup.ts';
import { supervisorArgv, type Handover } from '../../../src/stage1/flavors/oci/launch.ts';
import { overlayOptions } from '../../../src/stage1/flavors/oci/mounts.ts';
import { defaultSeccomp } from '../../../src/stage1/flavors/oci/seccomp.ts';
import { stopSignalNumber } from '../../../src/stage1/flavors/oci/signals.ts';

const app = (spec: Partial<AppSpec> = {}, name = 'web', stopSignal = ''): Stage1App => ({
  spec: { name, image: { name: 'web', id: 'sha256-0' }, app: { exec: ['/bin/web', '--fast'], user: '0', group: '', ...spec } },
  image: { architecture: 'amd64', config: { stopSignal } } as StoredImage,
  layers: ['/cas/layers/a'],
  mounts: [],
});
const pod = (change: Partial<Stage1Pod> = {}): Stage1Pod => ({
  id: '5f3c0000-0000-4000-8000-000000000001' as PodId,
  dir: '/var/lib/rkt/pods/run/5f3c',
  pid: 4242,
  hostname: 'rkt-5f3c',
  netns: '/run/netns/rkt-5f3c',
  apps: [app()],
  overlay: true,
  interactive: false,
  hosts: undefined,
  resolvConf: undefined,
  fallbackResolvConf: undefined,
  insecure: new Set(),
  graceMs: 10_000,
  ...change,
});
const facts: BundleFacts = {
  user: { uid: 0, gid: 0, additionalGids: [] },
  etcFiles: [{ name: 'hostname' }, { name: 'hosts' }],
  ownCapabilities: (1n << 41n) - 1n,
  volumeDevices: [],
  ownOomScoreAdj: 0,
  terminal: undefined,
};

describe('config.json', () => {
  test('is the reviewed one', () => {
    const golden = join(import.meta.dirname, 'config.golden.json');
    const text = `${JSON.stringify(bundleConfig(pod(), app(), facts), null, 1)}\n`;
    if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(golden, text);
    expect(text).toBe(readFileSync(golden, 'utf8'));
  });
  test('host network: no network namespace', () => {
    const types = (change: Partial<Stage1Pod>): string[] => bundleConfig(pod(change), app(), facts).linux.namespaces.map(({ type }) => type);
    expect(types({})).toContain('network');
    expect(types({ netns: undefined })).toEqual(['mount', 'pid', 'ipc', 'uts']);
  });
  test('environment: defaults, then the manifest’s, and the name of the app over all', () => {
    const environment = [
      { name: 'HOME', value: '/srv' },
      { name: 'AC_APP_NAME', value: 'liar' },
      { name: 'X', value: 'a=b' },
    ];
    expect(bundleConfig(pod(), app({ environment }), { ...facts, terminal: 'xterm' }).process.env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'SHELL=/bin/sh',
      'USER=root',
      'LOGNAME=root',
      'HOME=/srv',
      'TERM=xterm',
      'AC_APP_NAME=web',
      'X=a=b',
    ]);
  });
  test('no_new_privs: forced by a filter for whoever is not root, or asked for', () => {
    const ann = { ...facts, user: { uid: 1000, gid: 1000, additionalGids: [] } };
    const isolators = [{ name: 'os/linux/no-new-privileges', value: true }];
    expect(bundleConfig(pod(), app(), facts).process.noNewPrivileges).toBe(false);
    expect(bundleConfig(pod(), app(), ann).process.noNewPrivileges).toBe(true);
    expect(bundleConfig(pod({ insecure: new Set(['seccomp']) }), app(), ann).process.noNewPrivileges).toBe(false);
    expect(bundleConfig(pod(), app({ isolators }), facts).process.noNewPrivileges).toBe(true);
  });
  test.each([
    [-500, 0, 0],
    [300, 0, 300],
    [300, 400, 400],
    [5000, 0, 1000],
  ])('oom score %i of a process with %i: %i', (value, own, expected) => {
    expect(
      bundleConfig(pod(), app({ isolators: [{ name: 'os/linux/oom-score-adj', value }] }), { ...facts, ownOomScoreAdj: own }).process.oomScoreAdj,
    ).toBe(expected);
  });
  test('--insecure-options=paths,seccomp', () => {
    const { linux } = bundleConfig(pod({ insecure: new Set(['paths', 'seccomp']) }), app(), facts);
    expect([linux.maskedPaths, linux.readonlyPaths, linux.seccomp]).toEqual([[], [], undefined]);
  });
});

describe('capabilities', () => {
  const bounding = (spec: Partial<AppSpec>, change: Partial<Stage1Pod> = {}, own = facts.ownCapabilities): readonly string[] =>
    bundleConfig(pod(change), app(spec), { ...facts, ownCapabilities: own }).process.capabilities.bounding;
  const set = (kind: 'retain' | 'remove', ...names: string[]): Partial<AppSpec> => ({
    isolators: [{ name: `os/linux/capabilities-${kind}-set`, value: { set: names } }],
  });
  test('retain is exactly that set; remove takes from the default', () => {
    expect(bounding(set('retain', 'CAP_NET_ADMIN', 'kill'))).toEqual(['CAP_KILL', 'CAP_NET_ADMIN']);
    expect(bounding(set('remove', 'CAP_MKNOD', 'CAP_NET_RAW', 'CAP_SYS_ADMIN'))).toHaveLength(12);
    expect(bounding({})).toHaveLength(14);
  });
  test('never more than we have ourselves', () => {
    expect(bounding({}, {}, 1n)).toEqual(['CAP_CHOWN']);
    expect(bounding({}, { insecure: new Set(['capabilities']) })).toHaveLength(41);
  });
  test('both sets, or an unknown name, are refused', () => {
    expect(() => bounding({ isolators: [...(set('retain', 'CAP_KILL').isolators ?? []), ...(set('remove', 'CAP_KILL').isolators ?? [])] })).toThrow(
      'exclude each other',
    );
    expect(() => bounding(set('retain', 'CAP_FLY'))).toThrow('there is no capability CAP_FLY');
  });
});

describe('system call filter', () => {
  test('no call is both allowed without condition and refused', () => {
    for (const capabilities of [[], ['CAP_SYS_ADMIN'], ['CAP_SYS_PTRACE', 'CAP_SYSLOG']]) {
      const { syscalls } = defaultSeccomp(new Set(capabilities), 'amd64');
      const free = (action: string): string[] =>
        syscalls.filter((rule) => rule.action === action && rule.args === undefined).flatMap(({ names }) => names);
      const refused = new Set(free('SCMP_ACT_ERRNO'));
      expect(free('SCMP_ACT_ALLOW').filter((name) => refused.has(name))).toEqual([]);
      expect(new Set(free('SCMP_ACT_ALLOW')).size).toBe(free('SCMP_ACT_ALLOW').length);
    }
  });
  test('a capability brings its calls', () => {
    const allows = (name: string, ...capabilities: string[]): boolean =>
      defaultSeccomp(new Set(capabilities), 'amd64').syscalls.some((rule) => rule.action === 'SCMP_ACT_ALLOW' && rule.names.includes(name));
    expect([
      allows('mount'),
      allows('mount', 'CAP_SYS_ADMIN'),
      allows('chroot'),
      allows('chroot', 'CAP_SYS_CHROOT'),
      allows('syslog', 'CAP_SYSLOG'),
    ]).toEqual([false, true, false, true, true]);
  });
  test.each([
    ['amd64', ['SCMP_ARCH_X86_64']],
    ['386', ['SCMP_ARCH_X86']],
    ['arm64', ['SCMP_ARCH_AARCH64']],
    ['riscv64', []],
  ])('%s', (architecture, expected) => {
    expect(defaultSeccomp(new Set(), architecture).architectures).toEqual(expected);
  });
});

test.each([
  ['', 15],
  ['SIGQUIT', 3],
  ['quit', 3],
  ['9', 9],
  ['SIGRTMIN+3', 37],
  ['RTMAX-1', 63],
  ['RTMIN', 34],
])('stop signal %s is %i', (text, number) => {
  expect(stopSignalNumber('web', text)).toBe(number);
});
test.each(['0', '65', 'SIGNONE', 'SIGRTMIN+40', '-1', 'SIG'])('stop signal %s does not exist', (text) => {
  // 'SIG' alone is no name either, but reads as "none given"
  if (text === 'SIG') expect(stopSignalNumber('web', text)).toBe(15);
  else expect(() => stopSignalNumber('web', text)).toThrow('does not exist');
});

describe('supervisor argv', () => {
  const handover: Handover = { crun: 'crun', cgroup: '/g', lockFd: 3, mountsFd: undefined, terminal: false, releaseFirst: false };
  test('reads like what it is', () => {
    const two = pod({ apps: [app(), app({}, 'db', 'SIGINT')] });
    expect(supervisorArgv(two, { ...handover, crun: '/usr/bin/crun', cgroup: '/sys/fs/cgroup/rkt/5f3c', lockFd: 17, mountsFd: 18 }).join(' ')).toBe(
      'rkt-supervisor --pod-dir /var/lib/rkt/pods/run/5f3c --uuid 5f3c0000-0000-4000-8000-000000000001 --lock-fd 17 --mounts-fd 18 --netns /run/netns/rkt-5f3c --hostname rkt-5f3c --crun /usr/bin/crun --cgroup /sys/fs/cgroup/rkt/5f3c --grace-ms 10000 --app web:15 --app db:2',
    );
    expect(supervisorArgv(pod({ netns: undefined, interactive: true }), { ...handover, terminal: true, releaseFirst: true })).toEqual(
      expect.arrayContaining(['--host-net', '--release-first', '--terminal']),
    );
  });
  test.each([
    [{ hostname: 'ü'.repeat(33) }, 'a host name has 1 to 64 bytes, not 66'],
    [{ apps: Array.from({ length: 65 }, () => app()) }, 'a pod has 1 to 64 apps, not 65'],
    [{ apps: [app(), app({}, 'b')], interactive: true }, 'only supports pods with one app'],
  ])('%#', (change, message) => {
    expect(() => supervisorArgv(pod(change), handover)).toThrow(message);
  });
});

describe('overlay options', () => {
  test('layers beside each other are named relative to their directory', () => {
    expect(overlayOptions(['/d/cas/b', '/d/cas/a'], '/d/up', '/d/work')).toEqual({
      directory: '/d/cas',
      options: 'lowerdir=b:a,upperdir=/d/up,workdir=/d/work',
    });
    expect(overlayOptions(['/d/cas/b', '/e/a:1'], '/d/u,p', '/d/w\\k')).toEqual({
      directory: '/d/cas',
      options: 'lowerdir=b:/e/a\\:1,upperdir=/d/u\\,p,workdir=/d/w\\\\k',
    });
  });
  test('127 layers of the store fit, 200 do not', () => {
    const layers = (count: number): string[] => Array.from({ length: count }, (_, i) => `/var/lib/rkt/cas/layers/${String(i).padStart(24, '0')}`);
    const dir = '/var/lib/rkt/pods/run/5f3c0000-0000-4000-8000-000000000001/overlay/app';
    expect(overlayOptions(layers(127), `${dir}/upper`, `${dir}/work`).options.length).toBeLessThan(4096);
    expect(() => overlayOptions(layers(200), `${dir}/upper`, `${dir}/work`)).toThrow('200 layers are more than one mount can name');
  });
});

describe('control groups', () => {
  const v1 = [
    { path: '/sys/fs/cgroup/cpu', version: 1, controllers: ['cpu'] },
    { path: '/sys/fs/cgroup/systemd', version: 1, controllers: ['name=systemd'] },
  ] as const;
  const v2 = (path: string, controllers: string[]) => ({ path, version: 2, controllers }) as const;
  test.each([
    ['v1', v1, { kind: 'v1', hierarchies: ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/systemd'], coverUnified: undefined }],
    ['v2', [v2('/sys/fs/cgroup', ['cpu', 'memory'])], { kind: 'v2', hierarchies: ['/sys/fs/cgroup'], coverUnified: undefined }],
    [
      'hybrid, v2 for tracking only',
      [...v1, v2('/u', [])],
      { kind: 'hybrid', hierarchies: ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/systemd', '/u'], coverUnified: undefined },
    ],
    [
      'hybrid, v2 with controllers',
      [...v1, v2('/u', ['hugetlb'])],
      { kind: 'hybrid', hierarchies: ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup/systemd'], coverUnified: '/u' },
    ],
  ])('%s', (_, mounts, layout) => {
    expect(cgroupLayout(mounts)).toEqual(layout);
  });
  test('none', () => expect(() => cgroupLayout([])).toThrow('no control groups'));
});
