/**
 * Who may take things out of the store. Its directory is locked: shared by whoever is about to use or record something in it
 * (an instant), exclusive by whoever removes. What is added over a longer time is named in a lease, a file that is locked
 * as long as its process works: a dead one is recognised by being unlocked.
 */
import { closeSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, readText } from '../../host/files.ts';
import { lock, tryLockNamed, type Lock } from '../../host/flock.ts';
import { LOCK, flock, isErrno } from '../../host/linux.ts';
import { newPodId } from '../../host/uuid.ts';
import { isDigest, type Digest } from '../../model/ids.ts';
import { imagePaths } from './layout.ts';

/** Locks the store; it is made if there is none. Nothing may be awaited under it. */
export function lockStore(dataDir: string, kind: 'shared' | 'exclusive'): Lock {
  const { cas } = imagePaths(dataDir);
  try {
    return lock(cas, kind);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  makeDirectory(cas);
  return lock(cas, kind);
}

/** Layers that nobody may remove, though no image has them yet, and images that gc may not, though no pod has them yet. */
export interface Lease extends Disposable {
  /** From when this returns, the layer or image stays if it is there: look for it afterwards. */
  keep(digest: Digest): void;
}

export function openLease(dataDir: string): Lease {
  const { leases } = imagePaths(dataDir);
  const path = join(leases, newPodId());
  const kept = new Set<Digest>();
  let fd: number;
  {
    using store = lockStore(dataDir, 'shared');
    void store;
    makeDirectory(leases);
    fd = openSync(path, 'ax', 0o600);
    flock(fd, LOCK.EX);
  }
  return {
    keep(digest) {
      if (kept.has(digest)) return;
      using store = lockStore(dataDir, 'shared');
      void store;
      writeSync(fd, `${digest}\n`);
      kept.add(digest);
    },
    [Symbol.dispose]() {
      rmSync(path, { force: true });
      closeSync(fd);
    },
  };
}

/** What is under lease, and the leases whose owners are dead. The caller holds the store exclusively. */
export function readLeases(dataDir: string): { readonly kept: ReadonlySet<Digest>; readonly dead: readonly string[] } {
  const { leases } = imagePaths(dataDir);
  let names: string[];
  try {
    names = readdirSync(leases);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
    names = [];
  }
  const kept = new Set<Digest>();
  const dead: string[] = [];
  for (const name of names) {
    const path = join(leases, name);
    const held = tryLockNamed(path, 'exclusive');
    if (held === 'held') for (const line of (readText(path) ?? '').split('\n')) if (isDigest(line)) kept.add(line);
    if (typeof held === 'string') continue;
    dead.push(path);
    held.release();
  }
  return { kept, dead };
}
