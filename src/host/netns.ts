/** Network namespaces held by a bind mount. Synchronous by type: a namespace is a property of the thread. @see native.md B */
import { closeSync, mkdirSync, openSync, readFileSync, readlinkSync, realpathSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CLONE, Errno, MNT_DETACH, MS, errnoName, filesystemType, isErrno, mount, namespaceMoves, raw, umount, unshare } from './linux.ts';

const NSFS_MAGIC = 0x6e736673;
const own = '/proc/thread-self/ns/net';

/** A thread that cannot go back would do the rest of the program's work inside a pod: nothing may run after this. Recovery is that of SIGKILL. */
function goHome(home: number): void {
  const result = raw('setns', home, CLONE.NEWNET);
  if (result === 0) return;
  writeSync(2, `cannot return to the network namespace of the host: ${errnoName(-result)}\n`);
  process.abort();
}

/** Runs `fn` with the calling thread in the namespace at `path`, then returns. Promises are refused by type: they would go on elsewhere. @throws Errno naming `path` when it holds no namespace */
export function withNetns<T>(path: string, fn: () => T, ..._refused: T extends PromiseLike<unknown> ? [never] : []): T {
  const home = openSync(own, 'r');
  try {
    enter(path);
    try {
      return fn();
    } finally {
      goHome(home);
    }
  } finally {
    closeSync(home);
  }
}

function enter(path: string): void {
  const target = openSync(path, 'r');
  try {
    const result = raw('setns', target, CLONE.NEWNET);
    if (result !== 0) throw new Errno('setns', -result, path);
  } finally {
    closeSync(target);
  }
}

/** The namespace this thread is in, for those that put something into it; the caller closes it. */
export const openCurrentNetns = (): number => openSync(own, 'r');

/** True when a namespace is mounted at `path` (not when a plain file lies there). */
export function netnsExists(path: string): boolean {
  try {
    return filesystemType(path) === NSFS_MAGIC;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** True when a namespace at `path` is one of networks; needs no privilege. */
export function isNetworkNamespace(path: string): boolean {
  try {
    // Before statfs, which the kernel refuses on other kinds there.
    if (/^\/proc\/[^/]+\/(task\/\d+\/)?ns\//.test(path)) return readlinkSync(path).startsWith('net:');
    if (!netnsExists(path)) return false;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'EPERM', 'ESRCH', 'EINVAL')) return false;
    throw error;
  }
  // A mount shows what is mounted as its root: "net:[4026532177]". The last one on a path is the one that is seen.
  const place = realpathSync(path).replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
  const mounts = readFileSync('/proc/thread-self/mountinfo', 'utf8').split('\n');
  const root = mounts.map((line) => line.split(' ')).findLast((fields) => fields[4] === place)?.[3];
  return root?.startsWith('net:') === true;
}

/** Makes a namespace and holds it at `path`. A failure leaves neither file nor mount. */
export function createNetns(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const home = openSync(own, 'r');
  try {
    // A file that is there already is somebody else's: it must stay when this throws.
    writeFileSync(path, '', { flag: 'wx', mode: 0o444 });
    try {
      unshare(CLONE.NEWNET);
      try {
        mount(own, path, null, MS.BIND, null);
      } finally {
        goHome(home);
      }
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
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
export function currentNetns(): string {
  if (known.moves !== namespaceMoves()) known = { moves: namespaceMoves(), identity: netnsIdentity(own) };
  return known.identity;
}
let known = { moves: -1, identity: '' };
