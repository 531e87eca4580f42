/** flock(2): the kernel drops a lock when its last holder dies, so a lock can never go stale. */
import { fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { monotonicMs, sleepMs } from './clock.ts';
import { Errno, LOCK, close, flock, isErrno, raw } from './linux.ts';

const EWOULDBLOCK = 11;

/** A held lock; `fd` may be handed to another program (it is close-on-exec until kept by execve). */
export interface Lock extends Disposable {
  readonly fd: number;
  release(): void;
}

function lockOf(fd: number): Lock {
  let held = true;
  const release = (): void => {
    if (held) close(fd);
    held = false;
  };
  return { fd, release, [Symbol.dispose]: release };
}

/** Locks a file or directory, waiting for it. A missing file is created when `create` is set (directories never). */
export function lock(path: string, kind: 'shared' | 'exclusive', options: { create?: boolean } = {}): Lock {
  const fd = openSync(path, options.create ? 'a' : 'r', 0o600);
  try {
    flock(fd, kind === 'shared' ? LOCK.SH : LOCK.EX);
  } catch (error) {
    close(fd);
    throw error;
  }
  return lockOf(fd);
}

export interface TryOptions {
  readonly create?: boolean;
  /** how long it is tried */
  readonly patienceMs?: number;
}
const pollMs = 2;

/** Like {@link lock}, but undefined when somebody else holds it, all through `patienceMs` (at once without). */
export function tryLock(path: string, kind: 'shared' | 'exclusive', options: TryOptions = {}): Lock | undefined {
  const fd = openSync(path, options.create ? 'a' : 'r', 0o600);
  const deadline = options.patienceMs === undefined ? 0 : monotonicMs() + options.patienceMs;
  for (;;) {
    const result = raw('flock', fd, (kind === 'shared' ? LOCK.SH : LOCK.EX) | LOCK.NB);
    if (result === 0) return lockOf(fd);
    const held = result === -EWOULDBLOCK;
    if (held && monotonicMs() < deadline) {
      sleepMs(pollMs);
      continue;
    }
    close(fd);
    if (held) return undefined;
    throw new Errno('flock', -result, path);
  }
}

/**
 * Like {@link tryLock}, for what may be moved or removed at any time: between opening and locking it may have been, and the
 * lock would then be on something that nobody finds at `path` any more.
 */
export function tryLockNamed(path: string, kind: 'shared' | 'exclusive', options: TryOptions = {}): Lock | 'held' | 'gone' {
  let held: Lock | undefined;
  try {
    held = tryLock(path, kind, options);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'gone';
    throw error;
  }
  if (held === undefined) return 'held';
  const named = statSync(path, { throwIfNoEntry: false });
  const own = fstatSync(held.fd);
  if (named !== undefined && named.ino === own.ino && named.dev === own.dev) return held;
  held.release();
  return 'gone';
}

/** Whether somebody waits in flock(2) for a file with the inode of `lock`. Who tries again and again ({@link tryLock}), or has only opened it yet, is not seen. */
export function isAwaited(lock: Lock): boolean {
  const { ino } = fstatSync(lock.fd, { bigint: true });
  // `7: -> FLOCK  ADVISORY  WRITE 4711 00:2d:3145 0 EOF`; the device is that of the file system below an overlay, so only the inode counts.
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .some((line) => line.includes(' -> FLOCK ') && line.includes(`:${ino} `));
}
