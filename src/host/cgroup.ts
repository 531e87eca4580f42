/** Control groups as files: what is mounted, and making and removing groups. Which ones is decided by the caller. */
import { mkdirSync, readFileSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { monotonicMs, sleepMs } from './clock.ts';
import { readText } from './files.ts';
import { isErrno } from './linux.ts';

/** One mounted hierarchy. */
export interface CgroupMount {
  readonly path: string;
  readonly version: 1 | 2;
  /** v1: the controllers or `name=…`; v2: what cgroup.controllers lists */
  readonly controllers: readonly string[];
}

/** Every hierarchy mounted below /sys/fs/cgroup in this thread's mount namespace, each once. One that another mount hides is not there. */
export function cgroupMounts(): CgroupMount[] {
  const found = new Map<string, CgroupMount>();
  for (const line of readFileSync('/proc/thread-self/mountinfo', 'utf8').split('\n')) {
    if (!line.includes(' - cgroup')) continue;
    const [before = '', after = ''] = line.split(' - ');
    const [, , device = '', root, path = ''] = before.split(' ');
    const [type, , options = ''] = after.split(' ');
    if (root !== '/' || found.has(device) || !/^\/sys\/fs\/cgroup(\/|$)/.test(path) || deviceOf(path) !== device) continue;
    if (type === 'cgroup2')
      found.set(device, { path, version: 2, controllers: (readText(join(path, 'cgroup.controllers')) ?? '').split(/\s+/).filter(Boolean) });
    if (type === 'cgroup')
      found.set(device, {
        path,
        version: 1,
        controllers: options.split(',').filter((option) => !/^(rw|ro|xattr|clone_children|release_agent=.*|noprefix|none)$/.test(option)),
      });
  }
  return [...found.values()];
}

/** The device of what `path` leads to, as mountinfo writes it (makedev(3)). */
function deviceOf(path: string): string | undefined {
  const dev = statSync(path, { throwIfNoEntry: false })?.dev;
  return dev === undefined ? undefined : `${(dev >>> 8) & 0xfff}:${(dev & 0xff) | ((dev >>> 12) & 0xfff00)}`;
}

/**
 * Takes `pid` out of the service or session of whoever started it, which ends all that is in its group when it ends (systemd's
 * own hierarchy, v1 or v2). Limits of other hierarchies stay. Where groups are not ours to change it stays as well.
 */
export function leaveService(pid: number): void {
  for (const { path, version, controllers } of cgroupMounts()) {
    if (version === 1 && !controllers.includes('name=systemd')) continue;
    try {
      writeFileSync(join(path, 'cgroup.procs'), String(pid));
    } catch (error) {
      if (!isErrno(error, 'EACCES', 'EPERM', 'EROFS', 'EBUSY', 'EOPNOTSUPP', 'EINVAL', 'ENOENT', 'ESRCH')) throw error;
    }
  }
}

/** Makes the group at `path` and its parents. */
export function makeCgroup(path: string): void {
  // A parent that was empty may be removed by another pod's end between two steps of mkdir -p.
  for (let tries = 0; ; tries++) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o755 });
      return;
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || tries === 10) throw error;
    }
  }
}

/**
 * Removes the group at `path` with everything below it, then its parent if nothing else is in that. A group is
 * busy as long as one of its processes is not reaped: waits up to `timeoutMs` for that. Nothing there is fine.
 * @throws Errno-like EBUSY at the deadline
 */
export function removeCgroup(path: string, timeoutMs: number): void {
  const deadline = monotonicMs() + timeoutMs;
  for (let pause = 1; ; pause = Math.min(pause * 2, 20)) {
    try {
      removeTree(path);
      break;
    } catch (error) {
      if (!isErrno(error, 'EBUSY', 'ENOTEMPTY') || monotonicMs() >= deadline) throw error;
    }
    sleepMs(pause);
  }
  removeGroup(dirname(path), ['EBUSY', 'ENOTEMPTY']);
}

function removeTree(path: string): void {
  let names: string[];
  try {
    names = readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENODEV')) return;
    throw error;
  }
  for (const name of names) removeTree(join(path, name));
  removeGroup(path, []);
}

function removeGroup(path: string, tolerate: readonly string[]): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', ...tolerate)) throw error;
  }
}
