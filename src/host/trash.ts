/** Deleting a tree takes longer than anybody wants to wait: it is renamed away at once and deleted by a process nobody waits for. */
import { mkdirSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isErrno, runDetached } from './linux.ts';

/** Moves `path` into the trash directory (same file system). */
export function discardTree(path: string, trashDir: string): void {
  for (;;) {
    mkdirSync(trashDir, { recursive: true, mode: 0o700 });
    try {
      renameSync(path, join(trashDir, basename(path)));
      return;
    } catch (error) {
      // The trash is being emptied, and its directory with it. An entry of that name is one that an interrupted emptying left.
      if (!isErrno(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw error;
      if (isErrno(error, 'ENOENT')) continue;
      renameSync(path, join(trashDir, `${basename(path)}.${process.pid}`));
      return;
    }
  }
}

/** Starts emptying the trash. What an interrupted emptying left goes with the next one. */
export function emptyTrash(trashDir: string): void {
  runDetached('/bin/rm', ['rm', '-rf', '--one-file-system', '--', trashDir], {});
}
