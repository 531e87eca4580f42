/**
 * A throw-away host: this test process's main thread moves into fresh network and mount namespaces, and
 * everything it starts is born there. `/run` and `/var/lib`, where everything that outlives a
 * process is kept, are empty tmpfs mounts of its own. Synchronous file access only: libuv's threads stay outside.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmdirSync } from 'node:fs';
import { CLONE, MNT_DETACH, MS, mount, umount, unshare } from '../../src/host/linux.ts';
import { sleepMs } from '../../src/host/clock.ts';
import { enterOwnCgroups, ownCgroups } from './cgroup.ts';

/** Where rkt, its plugins, crun and other CNI runtimes keep what outlives a process. */
const places = ['/run/netns', '/var/lib/cni', '/run/rkt', '/var/lib/rkt', '/run/cni', '/run/crun'];
const marker = `RKT_RIG=${process.pid}-${Math.floor(performance.timeOrigin)}`;
let entered = false;

/** Moves this process into its own host. Irreversible for the process, idempotent. */
export function enterHost(): void {
  if (entered) return;
  if (process.getuid?.() !== 0) throw new Error('root tests need root: run them with sudo');
  unshare(CLONE.NEWNET | CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC);
  mount(null, '/', null, MS.REC | MS.PRIVATE, null);
  for (const path of ['/run', '/var/lib']) mount('rig', path, 'tmpfs', 0, 'mode=755');
  // A sysfs of the new network namespace; the cgroup mounts below the old one are carried over.
  enterOwnCgroups();
  const aside = '/run/cgroup';
  mkdirSync(aside);
  mount('/sys/fs/cgroup', aside, null, MS.BIND | MS.REC, null);
  mount('rig', '/sys', 'sysfs', MS.NOSUID | MS.NODEV | MS.NOEXEC, null);
  mount(aside, '/sys/fs/cgroup', null, MS.BIND | MS.REC, null);
  umount(aside, MNT_DETACH);
  rmdirSync(aside);
  // Directories that stay are part of an installation, not of a pod.
  for (const path of ['/var/lib/cni/networks', '/var/lib/cni/results', '/run/netns', '/run/cni/tuning']) mkdirSync(path, { recursive: true });
  // ip netns makes it a mount of its own at first use, which is no residue.
  mount('rig', '/run/netns', 'tmpfs', 0, 'mode=755');
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  const [key = '', value = ''] = marker.split('=');
  process.env[key] = value;
  entered = true;
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** Everything a pod could leave behind, as comparable lines. */
export function residue(): string[] {
  const found: string[] = [];
  for (const link of JSON.parse(execFileSync('ip', ['-j', 'addr'], { encoding: 'utf8' })) as {
    ifname: string;
    addr_info: { local: string; scope: string }[];
  }[]) {
    found.push(`link ${link.ifname}`);
    for (const address of link.addr_info) if (address.scope !== 'link') found.push(`address ${address.local} on ${link.ifname}`);
  }
  for (const table of ['-4', '-6'])
    for (const route of lines(execFileSync('ip', [table, 'route'], { encoding: 'utf8' }))) found.push(`route ${route.trim()}`);
  found.push(...ruleset());
  for (const line of lines(readFileSync('/proc/thread-self/mountinfo', 'utf8'))) found.push(`mount ${line.split(' ')[4] ?? ''}`);
  for (const path of places)
    if (existsSync(path)) for (const entry of readdirSync(path, { recursive: true })) found.push(`file ${path}/${String(entry)}`);
  for (const group of ownCgroups()) found.push(`cgroup ${group}`);
  // Also with an environment of their own: this mount namespace is nobody else's.
  const ownMounts = linkOf('/proc/thread-self/ns/mnt');
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid || !(environmentOf(pid).includes(marker) || linkOf(`/proc/${pid}/ns/mnt`) === ownMounts)) continue;
    found.push(`process ${pid} ${commandOf(pid)}`);
  }
  return found.sort();
}

/** Every nftables object on a line of its own, elements of sets and maps included; handles left out. */
function ruleset(): string[] {
  const { nftables } = JSON.parse(execFileSync('nft', ['-j', 'list', 'ruleset'], { encoding: 'utf8', maxBuffer: 1 << 26 })) as {
    nftables: Record<string, { handle?: number; elem?: unknown[]; table?: string; name?: string }>[];
  };
  return nftables.flatMap((object) =>
    Object.entries(object).flatMap(([kind, { handle: _handle, elem = [], ...rest }]) =>
      kind === 'metainfo'
        ? []
        : [
            `rule ${kind} ${JSON.stringify(rest).slice(0, 160)}`,
            ...elem.map((one) => `rule element of ${rest.table ?? ''} ${rest.name ?? ''} ${JSON.stringify(one)}`),
          ],
    ),
  );
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    return ''; // it ended while we looked
  }
}
function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined; // it ended while we looked
  }
}
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '(ended)';
  }
}

/** What is there now and was not in `before`, after the kernel had up to `graceMs` to finish deferred deletions. */
export function leftSince(before: readonly string[], graceMs = 2_000, tolerate: (line: string) => boolean = () => false): string[] {
  const deadline = performance.now() + graceMs;
  for (;;) {
    const left = residue().filter((line) => !before.includes(line) && !tolerate(line));
    if (left.length === 0 || performance.now() > deadline) return left;
    sleepMs(20);
  }
}
