/** After a reboot the disk is as it was: gc frees what is on it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { reboot } from '../rig/reboot.ts';
import { Rkt } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

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
  reboot(rkt, () => {
    rkt.gc();
    expect(rkt.podDirectories()).toEqual([]);
    for (const network of ['bridge', 'default']) {
      const store = join('/var/lib/cni/networks', network);
      expect(existsSync(store) ? readdirSync(store).filter((name) => /^\d/.test(name)) : []).toEqual([]);
    }
    expect(rkt.ok('run', '--net=bridge', ...flags, 'busybox', '--exec=/sbin/ip', '--', 'addr', 'show', 'eth0')).toMatch(/inet 172\.16\.29\./);
    rkt.gc();
  });
});

/** The executables under test are ours: Debian's would leave their own things (test/README.md). */
function ownExecutables(): void {
  const netd = join(rkt.config, 'net.d');
  mkdirSync(netd, { recursive: true });
  for (const type of ['bridge', 'ptp', 'host-local', 'portmap', 'firewall'])
    execFileSync('ln', ['-sf', join(import.meta.dirname, '../../dist/cni', type), join(netd, type)]);
}
