/** Files that only this process and its children see, and that end with it, kill -9 included. @see memfd_create(2) */
import { closeSync, writeSync } from 'node:fs';
import { Errno, raw } from './linux.ts';

const MFD_CLOEXEC = 1;

export interface MemoryFile extends Disposable {
  /** opens the file from its beginning, also in another process, as long as this one lives and holds it */
  readonly path: string;
}

/** A file in memory with `content`; `name` is what the kernel shows in /proc. */
export function memoryFile(name: string, content: Uint8Array): MemoryFile {
  const fd = raw('memfd_create', name, MFD_CLOEXEC);
  if (fd < 0) throw new Errno('memfd_create', -fd, name);
  const file = { path: `/proc/${process.pid}/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) };
  try {
    for (let at = 0; at < content.length;) at += writeSync(fd, content, at);
    return file;
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}
