/** A reboot as rkt sees it: namespaces, links, rules, mounts and cgroups gone, the disk as it was, another boot id. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MNT_DETACH, MS, mount, umount } from '../../src/host/linux.ts';
import { removeNetns } from '../../src/host/netns.ts';
import { useHost } from '../rig/host.ts';
import { Rkt } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

/** What does not survive: everything the kernel holds. Undone by {@link afterReboot}. */
function reboot(): void {
  for (const name of readdirSync('/run/netns')) removeNetns(join('/run/netns', name));
  for (const { ifname } of JSON.parse(execFileSync('ip', ['-j', 'link'], { encoding: 'utf8' })) as { ifname: string }[])
    if (ifname !== 'lo' && !ifname.startsWith('veth')) execFileSync('ip', ['link', 'del', ifname]);
  execFileSync('nft', ['flush', 'ruleset']);
  for (const controller of readdirSync('/sys/fs/cgroup')) {
    for (const id of rkt.podDirectories().map((path) => path.split('/')[1] ?? '')) {
      const base = join('/sys/fs/cgroup', controller, 'rkt', id);
      if (existsSync(base)) execFileSync('find', [base, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
    }
  }
  const bootId = join(rkt.config, 'boot_id');
  writeFileSync(bootId, '11111111-2222-4333-8444-555555555555\n');
  mount(bootId, '/proc/sys/kernel/random/boot_id', null, MS.BIND, null);
}
const afterReboot = (): void => umount('/proc/sys/kernel/random/boot_id', MNT_DETACH);

test.each([
  ['our plugins', []],
  ['executables', ['--net-exec']],
] as const)('%s: gc frees every lease and directory, and a new run gets an address', async (_, flags) => {
  if (flags.length > 0) ownExecutables();
  const exited = rkt.run(['run', '--net-release=gc', '--net=bridge,default', ...flags, 'busybox', '--exec=/bin/true']);
  expect(exited.status, exited.stderr).toBe(0);
  const running = rkt.start(['--net=bridge', ...flags, 'busybox', '--exec=/bin/sleep', '--', '600']);
  expect(readdirSync('/var/lib/cni/networks/bridge').filter((name) => /^\d/.test(name))).toHaveLength(2);
  await running.stop('SIGKILL');
  reboot();
  try {
    rkt.gc();
    expect(rkt.podDirectories()).toEqual([]);
    for (const network of ['bridge', 'default']) {
      const store = join('/var/lib/cni/networks', network);
      expect(existsSync(store) ? readdirSync(store).filter((name) => /^\d/.test(name)) : []).toEqual([]);
    }
    expect(rkt.ok('run', '--net=bridge', ...flags, 'busybox', '--exec=/sbin/ip', '--', 'addr', 'show', 'eth0')).toMatch(/inet 172\.16\.29\./);
    rkt.gc();
  } finally {
    afterReboot();
  }
});

/** The executables under test are ours: Debian's would leave their own things (test/README.md). */
function ownExecutables(): void {
  const netd = join(rkt.config, 'net.d');
  mkdirSync(netd, { recursive: true });
  for (const type of ['bridge', 'ptp', 'host-local', 'portmap', 'firewall'])
    execFileSync('ln', ['-sf', join(import.meta.dirname, '../../dist/cni', type), join(netd, type)]);
}
