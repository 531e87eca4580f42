/** Removes whatever somebody else made: trees deeper than a path can name or a stack can follow, names that are not text. */
import { closeSync, opendirSync, type Dirent } from 'node:fs';
import { AT_FDCWD, O, RESOLVE, isErrno, openat2, renameat, unlinkat, type Name } from './linux.ts';
import { rawName } from './names.ts';

/** Prefix of a directory on its way out; what has such a name already is skipped over by counting on. */
const movedName = (n: number): string => `.rkt-removed-${n}`;

function* entriesOf(fd: number): Generator<Dirent> {
  const dir = opendirSync(`/proc/self/fd/${fd}`, { encoding: 'latin1', bufferSize: 256 });
  try {
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) yield entry;
  } finally {
    dir.closeSync();
  }
}

const openDirectory = (fromFd: number, name: Name): number =>
  openat2(fromFd, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW, 0, fromFd === AT_FDCWD ? 0 : RESOLVE.BENEATH | RESOLVE.NO_XDEV);

/**
 * Removes `path` and all that is in it; nothing there is fine. Links are removed, not followed, and no mounted file
 * system is entered. Deep directories are moved up as they are met, so there is no recursion, and no long path:
 * Node 20's rmSync overflows its stack at some 1000 levels, which an image or an app can make.
 * @throws Errno, after which calling again goes on
 */
export function removeTree(path: Name): void {
  let rootFd: number;
  try {
    rootFd = openDirectory(AT_FDCWD, path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    if (!isErrno(error, 'ENOTDIR', 'ELOOP')) throw error;
    unlinkat(AT_FDCWD, path);
    return;
  }
  try {
    const state = { rootFd, moved: 0 };
    // A directory that is changed while it is read may not tell all: it is asked again until it is empty.
    while (emptyOnce(state, rootFd)) continue;
  } finally {
    closeSync(rootFd);
  }
  unlinkat(AT_FDCWD, path, true);
}

interface Removal {
  readonly rootFd: number;
  moved: number;
}

/** Removes what is directly in the directory, and what is in its directories. False when there was nothing. */
function emptyOnce(removal: Removal, fd: number): boolean {
  let found = false;
  for (const entry of entriesOf(fd)) {
    found = true;
    if (entry.isDirectory()) removeDirectory(removal, fd, entry.name);
    else unlinkat(fd, rawName(entry.name));
  }
  return found;
}

/** Removes a directory of the root: its files go, its directories that are not empty move into the root and wait there. */
function removeDirectory(removal: Removal, parentFd: number, name: string): void {
  if (removedEmpty(parentFd, name)) return;
  const fd = openDirectory(parentFd, rawName(name));
  try {
    for (let again = true; again;) {
      again = false;
      for (const entry of entriesOf(fd)) {
        again = true;
        if (!entry.isDirectory()) unlinkat(fd, rawName(entry.name));
        else if (!removedEmpty(fd, entry.name)) moveUp(removal, fd, entry.name);
      }
    }
  } finally {
    closeSync(fd);
  }
  unlinkat(parentFd, rawName(name), true);
}

function removedEmpty(parentFd: number, name: string): boolean {
  try {
    unlinkat(parentFd, rawName(name), true);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) return false;
    throw error;
  }
}

function moveUp(removal: Removal, fd: number, name: string): void {
  for (;;) {
    try {
      renameat(fd, rawName(name), removal.rootFd, movedName(removal.moved++));
      return;
    } catch (error) {
      // Somebody has that name: a file, or a directory that is not empty.
      if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) throw error;
    }
  }
}
