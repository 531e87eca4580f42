/** A reboot as rkt sees it: what the kernel held is gone, the disk is as it was, the boot has another id. */
import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MNT_DETACH, MS, mount, umount } from '../../src/host/linux.ts';
import { removeNetns } from '../../src/host/netns.ts';
import { emptyOwnCgroups } from './cgroup.ts';
import type { Rkt } from './rkt.ts';

const bootIdPath = '/proc/sys/kernel/random/boot_id';

/** Ends everything that does not survive, runs `after`, and gives this process its own boot's id back. */
export function reboot(rkt: Rkt, after: () => void): void {
  for (const name of readdirSync('/run/netns')) removeNetns(join('/run/netns', name));
  for (const { ifname } of JSON.parse(execFileSync('ip', ['-j', 'link'], { encoding: 'utf8' })) as { ifname: string }[])
    if (ifname !== 'lo' && !ifname.startsWith('veth')) execFileSync('ip', ['link', 'del', ifname]);
  execFileSync('nft', ['flush', 'ruleset']);
  emptyOwnCgroups();
  const bootId = join(rkt.config, 'boot_id');
  writeFileSync(bootId, '11111111-2222-4333-8444-555555555555\n');
  mount(bootId, bootIdPath, null, MS.BIND, null);
  try {
    after();
  } finally {
    umount(bootIdPath, MNT_DETACH);
  }
}
