/** Where an image is written to: there is nothing, or all of it. */
import { closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { removeTree } from '../../host/remove-tree.ts';
import { RuntimeError, diskHint, isErrno, messageOf } from '../../model/errors.ts';

const temporaryOf = (path: string): string => join(dirname(path), `.${basename(path)}.rkt-${process.pid}`);

/** Failed system calls said as what they are: ERR_IMAGE_OUTPUT. Anything else stays as it is. */
export function outputFault(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error || 'errno' in error)) return error;
  return new RuntimeError('ERR_IMAGE_OUTPUT', `cannot write ${path}: ${messageOf(error)}`, { cause: error, ...diskHint(error) });
}

/** A file at `path`, written by `write`. @throws ERR_IMAGE_OUTPUT when there is one and it may not be replaced */
export function writeOutputFile(written: string, overwrite: boolean, write: (fd: number) => void): void {
  const path = resolve(written);
  const exists = (): RuntimeError => new RuntimeError('ERR_IMAGE_OUTPUT', `${written} exists`, { hint: '--overwrite replaces it' });
  if (!overwrite && existsSync(path)) throw exists();
  const temporary = temporaryOf(path);
  try {
    const fd = openSync(temporary, 'w', 0o644);
    try {
      write(fd);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (overwrite) renameSync(temporary, path);
    // A rename would replace what somebody put there meanwhile.
    else linkSync(temporary, path);
  } catch (error) {
    if (!overwrite && isErrno(error, 'EEXIST')) throw exists();
    throw outputFault(written, error);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** A directory at `path`, filled by `fill` under another name. @throws ERR_IMAGE_OUTPUT when there is something and it may not be replaced */
export function writeOutputDirectory(written: string, overwrite: boolean, fill: (directory: string) => void): void {
  const path = resolve(written);
  if (path === '/') throw new RuntimeError('ERR_IMAGE_OUTPUT', 'this would delete your root filesystem. Refusing.');
  if (!overwrite && existsSync(path)) throw new RuntimeError('ERR_IMAGE_OUTPUT', `output directory ${written} exists`, { hint: 'try --overwrite' });
  const temporary = temporaryOf(path);
  const aside = `${temporary}.old`;
  try {
    mkdirSync(temporary, { recursive: true, mode: 0o755 });
    fill(temporary);
    if (existsSync(path)) renameSync(path, aside);
    renameSync(temporary, path);
  } catch (error) {
    if (existsSync(aside) && !existsSync(path)) renameSync(aside, path);
    throw outputFault(written, error);
  } finally {
    for (const left of [temporary, aside]) removeTree(left);
  }
}
