/**
 * Answers of plugin executables to VERSION, kept from one command to the next (a call costs 5 to 40 ms). Only a cache: it may be
 * deleted at any time, and one that cannot be read or written is no error.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readText, writeAtomic } from '../../host/files.ts';
import { isErrno } from '../../model/errors.ts';
import { isObject } from '../../model/cni/known-key.ts';

interface Kept {
  /** tells one file from another: device, inode, size, modification time */
  readonly file: string;
  readonly versions: readonly string[];
}

const pathIn = (dataDir: string): string => join(dataDir, 'plugin-versions.json');

function read(dataDir: string): Map<string, Kept> {
  try {
    const value = JSON.parse(readText(pathIn(dataDir)) ?? '{}') as unknown;
    return new Map(Object.entries(isObject(value) ? value : {}).flatMap(([executable, kept]) => (isKept(kept) ? [[executable, kept]] : [])));
  } catch (error) {
    if (error instanceof SyntaxError || isErrno(error, 'EACCES', 'EPERM')) return new Map();
    throw error;
  }
}
const isKept = (value: unknown): value is Kept =>
  isObject(value) &&
  typeof value['file'] === 'string' &&
  Array.isArray(value['versions']) &&
  value['versions'].every((version) => typeof version === 'string');

/** The answer kept for exactly this file; undefined when there is none. */
export const keptVersions = (dataDir: string, executable: string, file: string): readonly string[] | undefined => {
  const kept = read(dataDir).get(executable);
  return kept?.file === file ? kept.versions : undefined;
};

/** Of two that write at once one wins, and the other's answer is asked for again. Answers of executables that are gone are dropped. */
export function keepVersions(dataDir: string, executable: string, file: string, versions: readonly string[]): void {
  const all = new Map([...read(dataDir)].filter(([path]) => existsSync(path)));
  all.set(executable, { file, versions });
  try {
    writeAtomic(pathIn(dataDir), `${JSON.stringify(Object.fromEntries(all))}\n`, { mode: 0o644 });
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT')) throw error;
  }
}
