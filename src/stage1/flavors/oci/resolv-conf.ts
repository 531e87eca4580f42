/** /etc/resolv.conf of a running pod, changed. */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { RuntimeError, diskHint, isErrno, messageOf } from '../../../model/errors.ts';
import { ociFiles } from './layout.ts';

/** In place: the apps have the file mounted, and a new one under its name would not be theirs. */
export function replaceResolvConf(podDir: string, text: string, beginning: string): void {
  const path = `${ociFiles(podDir).etc}/resolv.conf`;
  try {
    const fd = openSync(path, 'r+');
    try {
      const there = readFileSync(fd, 'utf8');
      if (!there.startsWith(beginning) || there === text) return;
      const bytes = Buffer.from(text);
      // Whoever reads in between sees the rest of the old lines, never an empty file.
      writeSync(fd, bytes, 0, bytes.length, 0);
      ftruncateSync(fd, bytes.length);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return;
    throw new RuntimeError('ERR_POD_IO', `cannot write ${path}: ${messageOf(cause)}`, { cause, ...diskHint(cause) });
  }
}
