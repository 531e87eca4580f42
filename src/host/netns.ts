/** Network namespaces held by a bind mount. Synchronous by type: a namespace is a property of the thread. @see native.md B */
import { closeSync, mkdirSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CLONE, MNT_DETACH, MS, filesystemType, isErrno, mount, setns, umount, unshare } from './linux.ts';

const NSFS_MAGIC = 0x6e736673;
const own = '/proc/thread-self/ns/net';

/** Runs `fn` with the calling thread in the namespace at `path`, then returns. Promises are refused by type: they would go on elsewhere. */
export function withNetns<T>(path: string, fn: () => T, ..._refused: T extends PromiseLike<unknown> ? [never] : []): T {
  const target = openSync(path, 'r');
  const home = openSync(own, 'r');
  try {
    setns(target, CLONE.NEWNET);
    try {
      return fn();
    } finally {
      setns(home, CLONE.NEWNET);
    }
  } finally {
    closeSync(target);
    closeSync(home);
  }
}

/** True when a namespace is mounted at `path` (not when a plain file lies there). */
export function netnsExists(path: string): boolean {
  try {
    return filesystemType(path) === NSFS_MAGIC;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Makes a namespace and holds it at `path`. A failure leaves neither file nor mount. */
export function createNetns(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  writeFileSync(path, '', { flag: 'wx', mode: 0o444 });
  const home = openSync(own, 'r');
  try {
    unshare(CLONE.NEWNET);
    try {
      mount(own, path, null, MS.BIND, null);
    } finally {
      setns(home, CLONE.NEWNET);
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(home);
  }
}

/**
 * Lets go of the namespace at `path`; with its last user it ends, and with it every link in it. Idempotent: a
 * missing file, a plain file and several mounts on top of each other are all fine.
 */
export function removeNetns(path: string): void {
  while (netnsExists(path)) umount(path, MNT_DETACH);
  // Unlinking also detaches the mount from the namespaces of other pods, which inherited it.
  rmSync(path, { force: true });
}

/** Identity of the namespace at `path`: equal for equal namespaces. */
export const netnsIdentity = (path: string): string => {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
};
/** Identity of the namespace this thread is in. */
export const currentNetns = (): string => netnsIdentity(own);
