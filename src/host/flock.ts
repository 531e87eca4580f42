/** flock(2): the kernel drops a lock when its last holder dies, so a lock can never go stale. */
import { openSync } from 'node:fs';
import { LOCK, close, flock, raw } from './linux.ts';

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
  flock(fd, kind === 'shared' ? LOCK.SH : LOCK.EX);
  return lockOf(fd);
}

/** Like {@link lock}, but undefined at once when somebody else holds it. */
export function tryLock(path: string, kind: 'shared' | 'exclusive', options: { create?: boolean } = {}): Lock | undefined {
  const fd = openSync(path, options.create ? 'a' : 'r', 0o600);
  if (raw('flock', fd, (kind === 'shared' ? LOCK.SH : LOCK.EX) | LOCK.NB) === 0) return lockOf(fd);
  close(fd);
  return undefined;
}
