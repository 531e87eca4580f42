/**
 * Work in progress: a directory in the store's `tmp`, locked by who works in it. The kernel drops the lock with the
 * process, so what a killed one left is recognised by being unlocked: by the next who wants the same name, and by gc.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fsyncDirectory, makeDirectory, namesIn } from '../../host/files.ts';
import { tryLockNamed } from '../../host/flock.ts';
import { refuseInterrupted } from '../../host/interruption.ts';
import { isErrno, syncfs } from '../../host/linux.ts';
import { removeTree } from '../../host/remove-tree.ts';
import { RuntimeError, messageOf } from '../../model/errors.ts';
import { imagePaths } from './layout.ts';

const pollMs = 50;

/** A locked, at first empty directory; disposing removes it with everything in it. */
export interface Staging extends Disposable {
  readonly dir: string;
}

/** Opens the staging directory `name`, waiting while another process (or task of this one) has it. What a killed owner left is removed. @throws ERR_INTERRUPTED */
export async function openStaging(dataDir: string, name: string): Promise<Staging> {
  const { temporary } = imagePaths(dataDir);
  const dir = join(temporary, name);
  for (;;) {
    makeDirectory(temporary);
    try {
      mkdirSync(dir, { mode: 0o700 });
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    const lock = tryLockNamed(dir, 'exclusive');
    if (typeof lock !== 'string') {
      for (const left of readdirSync(dir)) removeTree(join(dir, left));
      return {
        dir,
        [Symbol.dispose]() {
          removeTree(dir);
          lock.release();
        },
      };
    }
    refuseInterrupted();
    await sleep(pollMs);
  }
}

/** A staging directory of this call's own, at once. */
export function openOwnStaging(dataDir: string, name: string): Staging {
  const dir = join(imagePaths(dataDir).temporary, name);
  for (;;) {
    makeDirectory(dir, 0o700);
    // Gone: a sweep saw it before it was locked.
    const lock = tryLockNamed(dir, 'exclusive');
    if (typeof lock === 'string') continue;
    return {
      dir,
      [Symbol.dispose]() {
        removeTree(dir);
        lock.release();
      },
    };
  }
}

/** Puts `content` at `target` as a whole and for good: written in `staging`, flushed, renamed, its directory flushed. */
export function placeFile(staging: Staging, target: string, content: string | Uint8Array): void {
  const temporary = join(staging.dir, 'file');
  const bytes = typeof content === 'string' ? Buffer.from(content) : content;
  const fd = openSync(temporary, 'w', 0o640);
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  makeDirectory(dirname(target));
  renameSync(temporary, target);
  fsyncDirectory(dirname(target));
}

/** Everything below `root` is on the platter when this returns: one barrier instead of one a file, for all that was made before it on that file system. */
export function flushTree(root: string): void {
  const fd = openSync(root, 'r');
  try {
    syncfs(fd);
  } catch (error) {
    throw new RuntimeError('ERR_STORE_IO', `cannot flush ${root}: ${messageOf(error)}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

/** Removes what killed processes left in the store; `dryRun`: only looks. @returns names of what was removed */
export function sweepTemporary(dataDir: string, dryRun = false): string[] {
  const { temporary } = imagePaths(dataDir);
  return namesIn(temporary).filter((name) => {
    const path = join(temporary, name);
    const lock = tryLockNamed(path, 'exclusive');
    if (typeof lock === 'string') return false;
    try {
      if (!dryRun) removeTree(path);
    } finally {
      lock.release();
    }
    return true;
  });
}
