/** Files that must survive a crash whole, and the small reads everybody needs. Synchronous. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isErrno } from './linux.ts';

/** Text of a file, undefined when it does not exist. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Names in a directory, sorted; none when it does not exist. Throws where a file stands in its place: what cannot be listed is not empty. */
export function namesIn(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

export function fsyncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Replaces `path` as a whole: temp file beside it, rename. With `durable` the bytes and the name are on the
 * platter when this returns; without, a power loss may bring the old content back, never half of the new.
 * A process that is killed leaves the temp file: what is not removed with its directory anyway says `soleWriter` (nobody else
 * writes this path meanwhile) and is removed by {@link removeAtomic}.
 */
export function writeAtomic(
  path: string,
  content: string | Uint8Array,
  options: { mode?: number; durable?: boolean; soleWriter?: boolean } = {},
): void {
  const temporary = options.soleWriter ? soleTemporary(path) : join(dirname(path), `.${basename(path)}.${process.pid}.tmp`);
  const fd = openSync(temporary, 'w', options.mode ?? 0o640);
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    for (let offset = 0; offset < bytes.length;) offset += writeSync(fd, bytes, offset);
    if (options.durable) fsyncSync(fd);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
  if (options.durable) fsyncDirectory(dirname(path));
}

const soleTemporary = (path: string): string => join(dirname(path), `.${basename(path)}.tmp`);

/** `path` and what a killed sole writer may have left of it. */
export const atomicFiles = (path: string): string[] => [path, soleTemporary(path)];

/** Removes {@link atomicFiles}, as far as they are there. */
export function removeAtomic(path: string): void {
  for (const file of atomicFiles(path)) rmSync(file, { force: true });
}

/** Makes `path` and the missing directories above it, as others may at the same time. (Node's own recursive mkdir never returns below /proc.) */
export const makeDirectory = (path: string, mode = 0o750): void => makeBelow(path, mode, true);

function makeBelow(path: string, mode: number, mayMakeParent: boolean): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return;
    if (!isErrno(error, 'ENOENT') || !mayMakeParent || dirname(path) === path) throw error;
    makeBelow(dirname(path), mode, true);
    makeBelow(path, mode, false);
  }
}
