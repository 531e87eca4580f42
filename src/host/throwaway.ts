/** A throw-away host: network and mount namespaces of this process's own, in which nothing of the machine can be changed. */
import { existsSync, mkdirSync } from 'node:fs';
import { CLONE, MS, O, AT_FDCWD, close, mount, openat2, unshare } from './linux.ts';
import { bringUpLoopback } from './netlink/loopback.ts';

/** What outlives a process is kept below these. */
export const volatileRoots = ['/run', '/var/lib'] as const;

/**
 * Moves the calling thread, and whatever it starts from now on, into fresh network, mount, UTS and IPC namespaces with
 * empty {@link volatileRoots}. Irreversible; with the last process inside, everything in it is gone.
 * Synchronous file access only: libuv's threads stay outside.
 * @param keep - directories below the volatile roots that must be seen inside as well (plugins may be installed there)
 */
export function enterThrowawayHost(keep: readonly string[]): void {
  const held = keep
    .filter((path) => volatileRoots.some((root) => path.startsWith(`${root}/`)) && existsSync(path))
    .map((path) => ({ path, fd: openat2(AT_FDCWD, path, O.PATH | O.DIRECTORY, 0, 0) }));
  unshare(CLONE.NEWNET | CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC);
  mount(null, '/', null, MS.REC | MS.PRIVATE, null);
  for (const root of volatileRoots) mount('rkt', root, 'tmpfs', 0, 'mode=755');
  for (const { path, fd } of held) {
    mkdirSync(path, { recursive: true });
    mount(`/proc/thread-self/fd/${fd}`, path, null, MS.BIND, null);
    close(fd);
  }
  // The old one shows the links of the namespace it was mounted in.
  mount('rkt', '/sys', 'sysfs', MS.NOSUID | MS.NODEV | MS.NOEXEC, null);
  for (const path of ['/run/netns', '/var/lib/cni']) mkdirSync(path, { recursive: true });
  bringUpLoopback();
}
