/**
 * Control groups of this test process's own: a group in every hierarchy, and a cgroup namespace in which it is the root.
 * What pods leave there is seen as on a machine of their own, and files of tests can run side by side.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLONE, MNT_DETACH, isErrno, mount, umount, unshare } from '../../src/host/linux.ts';
import { cgroupMounts, type CgroupMount } from '../../src/host/cgroup.ts';
import { sleepMs } from '../../src/host/clock.ts';

/** The groups this process came from, as descriptors: no path leads there any more. */
const left: number[] = [];
const name = `rkt-rig-${process.pid}`;
const within = (fd: number, path: string): string => `/proc/self/fd/${fd}/${path}`;

/** `/proc/self/cgroup` names a hierarchy by its v1 controllers, the v2 one by none. */
const isOf = ({ version, controllers }: CgroupMount, named: string): boolean =>
  version === 2 ? named === '' : named.split(',').every((controller) => controllers.includes(controller));

/** Moves this process; its mounts have to be private already. */
export function enterOwnCgroups(): void {
  const mounts = cgroupMounts();
  const current = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  for (const mounted of mounts) {
    const [, , group = '/'] = current.map((line) => line.split(':')).find(([, named = '']) => isOf(mounted, named)) ?? [];
    const from = openSync(join(mounted.path, group), 'r');
    left.push(from);
    removeStale(from);
    mkdirSync(within(from, name));
    if (mounted.version === 1 && mounted.controllers.includes('cpuset'))
      for (const file of ['cpuset.cpus', 'cpuset.mems']) writeFileSync(within(from, `${name}/${file}`), readFileSync(within(from, file)));
    writeFileSync(within(from, `${name}/cgroup.procs`), String(process.pid));
  }
  unshare(CLONE.NEWCGROUP);
  for (const { path, version, controllers } of mounts) {
    umount(path, MNT_DETACH);
    if (version === 2) mount('rig', path, 'cgroup2', 0, null);
    else mount('rig', path, 'cgroup', 0, controllers.map((word) => (word.includes('=') ? `none,${word}` : word)).join(','));
  }
}

/**
 * Removes groups of test processes that were killed: nobody is in them. A process of another pid namespace cannot be looked up,
 * but is in its group; two who tidy at once find things gone.
 */
function removeStale(from: number): void {
  for (const entry of readdirSync(within(from, '.'))) {
    const pid = /^rkt-rig-(\d+)$/.exec(entry)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    try {
      if (readFileSync(within(from, `${entry}/cgroup.procs`), 'utf8') === '') removeGroups(within(from, entry));
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENODEV', 'EBUSY')) throw error;
    }
  }
}

/** Goes back and removes the groups; the last thing that a file of tests does. */
export function leaveOwnCgroups(): void {
  for (const from of left.splice(0)) {
    // Helpers of the test's own, such as a compiler that stays, go with it.
    const members = readFileSync(within(from, `${name}/cgroup.procs`), 'utf8')
      .split('\n')
      .filter(Boolean);
    for (const pid of members) {
      try {
        writeFileSync(within(from, 'cgroup.procs'), pid);
      } catch (error) {
        if (!isErrno(error, 'ESRCH')) throw error; // it has ended
      }
    }
    removeGroups(within(from, name));
    closeSync(from);
  }
}

/** Every group there is now. */
export function ownCgroups(): string[] {
  return cgroupMounts().flatMap(({ path }) => groupsBelow(path));
}

/** As after a reboot; no process may be in one. */
export function emptyOwnCgroups(): void {
  for (const { path } of cgroupMounts()) for (const entry of groupsAt(path)) removeGroups(entry);
}

const groupsAt = (path: string): string[] =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name));

const groupsBelow = (path: string): string[] => groupsAt(path).flatMap((group) => [group, ...groupsBelow(group)]);

function removeGroups(path: string): void {
  if (!existsSync(path)) return;
  for (const group of [...groupsBelow(path).reverse(), path]) {
    for (let tries = 0; ; tries++) {
      try {
        rmdirSync(group);
        break;
      } catch (error) {
        if (isErrno(error, 'ENOENT')) break; // another test process tidies, too
        // A process that has ended is in its group until it is reaped.
        if (!isErrno(error, 'EBUSY') || tries === 100) throw error;
        sleepMs(10);
      }
    }
  }
}
