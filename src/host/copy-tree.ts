/**
 * Copies files between directories that are held by descriptor. Every name is looked up beneath its directory, no link is followed, and a
 * file gets its name when it is whole: whoever changes the trees meanwhile can spoil the copy, but not lead it elsewhere.
 */
import { closeSync, fchmodSync, fstatSync, openSync, readSync, readdirSync, readlinkSync, writeSync, type BigIntStats } from 'node:fs';
import {
  O,
  RESOLVE,
  fchmodat,
  fchownat,
  isErrno,
  linkat,
  lsetxattr,
  mkdirat,
  mknodat,
  openat2,
  renameat,
  symlinkat,
  unlinkat,
  utimensat,
  type Name,
} from './linux.ts';
import { binaryName, rawName } from './names.ts';
import { readXattrs } from './xattr.ts';

export interface CopyOptions {
  /** who owns the copies; undefined: who owns the originals */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** a socket, which means nothing without its process */
  readonly skipped: (name: string) => void;
}

interface Copy extends CopyOptions {
  /** first copy of a file with several names: descriptor of its directory's copy is gone by then, so by its path from `root` */
  readonly names: Map<string, string>;
  readonly rootFd: number;
}

const beneath = RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS;
const typeBits = 0o170000n;
const FIFO = 0o010000n;
const SOCKET = 0o140000n;

/** A name in a directory, as binary string. */
export interface Place {
  readonly fd: number;
  readonly name: string;
}

/** Copies `from` to be `to`: a file takes the place of a file, a directory is merged into a directory. @throws Errno */
export function copyTree(from: Place, to: Place, options: CopyOptions): void {
  copyEntry(from, to, to.name, { ...options, names: new Map(), rootFd: to.fd });
}

/** Copies what is in the directory `from` into the directory `to`. */
export function copyContents(fromFd: number, toFd: number, options: CopyOptions): void {
  const copy = { ...options, names: new Map<string, string>(), rootFd: toFd };
  for (const name of namesOf(fromFd)) copyEntry({ fd: fromFd, name }, { fd: toFd, name }, name, copy);
}

const namesOf = (fd: number): string[] => readdirSync(`/proc/self/fd/${fd}`, { encoding: 'latin1' });
/** For calls that take a path and follow no link at its end. */
const pathOf = ({ fd, name }: Place): Name => rawName(`/proc/self/fd/${fd}/${name}`);

function copyEntry(from: Place, to: Place, below: string, copy: Copy): void {
  const source = openat2(from.fd, rawName(from.name), O.PATH | O.NOFOLLOW, 0, beneath);
  try {
    const stat = fstatSync(source, { bigint: true });
    if (stat.isDirectory()) {
      copyDirectory(source, from, stat, to, below, copy);
      return;
    }
    if ((stat.mode & typeBits) === SOCKET) {
      copy.skipped(from.name);
      return;
    }
    const key = stat.nlink > 1n ? `${stat.dev}:${stat.ino}` : undefined;
    const first = key === undefined ? undefined : copy.names.get(key);
    place(to, (temporary) => {
      if (first !== undefined) linkTo(first, { fd: to.fd, name: temporary }, copy);
      else makeFile(source, from, stat, { fd: to.fd, name: temporary }, copy);
    });
    if (key !== undefined && first === undefined) copy.names.set(key, below);
  } finally {
    closeSync(source);
  }
}

/** Makes something under another name and gives it its own then, in the place of a file that has it. */
function place(to: Place, make: (temporary: string) => void): void {
  const temporary = `.rkt-cp-${process.pid}`;
  try {
    unlinkat(to.fd, temporary);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  make(temporary);
  try {
    renameat(to.fd, temporary, to.fd, rawName(to.name));
  } catch (error) {
    unlinkat(to.fd, temporary);
    throw error;
  }
}

function linkTo(first: string, to: Place, { rootFd }: Copy): void {
  const slash = first.lastIndexOf('/');
  const directory = openat2(rootFd, slash < 0 ? '.' : rawName(first.slice(0, slash)), O.PATH | O.DIRECTORY, 0, beneath);
  try {
    linkat(directory, rawName(first.slice(slash + 1)), to.fd, rawName(to.name));
  } finally {
    closeSync(directory);
  }
}

function makeFile(source: number, from: Place, stat: BigIntStats, to: Place, copy: Copy): void {
  const name = rawName(to.name);
  if (stat.isSymbolicLink()) symlinkat(rawName(readlinkSync(asPath(pathOf(from)), { encoding: 'latin1' })), to.fd, name);
  else if (stat.isFile()) copyData(source, to);
  else mknodat(to.fd, name, Number(stat.mode & typeBits) | 0o600, (stat.mode & typeBits) === FIFO ? 0 : stat.rdev);
  setFacts(from, stat, to, copy);
}

const asPath = (name: Name): string | Buffer => (typeof name === 'string' ? name : Buffer.from(name.subarray(0, -1)));
const chunk = Buffer.allocUnsafe(256 << 10);

function copyData(source: number, to: Place): void {
  // The very file that was looked at, whatever its name means by now.
  const input = openSync(`/proc/self/fd/${source}`, O.RDONLY | O.NONBLOCK);
  try {
    const output = openat2(to.fd, rawName(to.name), O.WRONLY | O.CREAT | O.EXCL, 0o600, beneath);
    try {
      for (let got = readSync(input, chunk); got > 0; got = readSync(input, chunk))
        for (let done = 0; done < got;) done += writeSync(output, chunk, done, got - done);
    } finally {
      closeSync(output);
    }
  } finally {
    closeSync(input);
  }
}

function copyDirectory(source: number, from: Place, stat: BigIntStats, to: Place, below: string, copy: Copy): void {
  let isNew = true;
  try {
    mkdirat(to.fd, rawName(to.name), 0o700);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    isNew = false;
  }
  const input = openat2(source, '.', O.RDONLY | O.DIRECTORY, 0, beneath);
  try {
    const output = openat2(to.fd, rawName(to.name), O.RDONLY | O.DIRECTORY | O.NOFOLLOW, 0, beneath);
    try {
      for (const name of namesOf(input)) copyEntry({ fd: input, name }, { fd: output, name }, `${below}/${name}`, copy);
      // By descriptor: the name may be a link by now. A directory that was there stays what it was.
      if (isNew) setDirectoryFacts(from, stat, output, copy);
    } finally {
      closeSync(output);
    }
  } finally {
    closeSync(input);
  }
}

/** chown clears set-id bits and capabilities, so it comes first. */
function setFacts(from: Place, stat: BigIntStats, to: Place, { owner }: Copy): void {
  const name = rawName(to.name);
  fchownat(to.fd, name, owner?.uid ?? Number(stat.uid), owner?.gid ?? Number(stat.gid));
  if (!stat.isSymbolicLink()) chmodNoFollow(to, Number(stat.mode & 0o7777n));
  copyXattrs(from, pathOf(to));
  utimensat(to.fd, name, stat.mtimeNs);
}

function setDirectoryFacts(from: Place, stat: BigIntStats, output: number, { owner }: Copy): void {
  fchownat(output, '', owner?.uid ?? Number(stat.uid), owner?.gid ?? Number(stat.gid));
  fchmodSync(output, Number(stat.mode & 0o7777n));
  copyXattrs(from, `/proc/self/fd/${output}/.`);
  utimensat(output, '.', stat.mtimeNs);
}

/** fchmodat(2) follows links; a descriptor stands for the file it was opened from. */
function chmodNoFollow({ fd, name }: Place, mode: number): void {
  const file = openat2(fd, rawName(name), O.PATH | O.NOFOLLOW, 0, beneath);
  try {
    if (!fstatSync(file).isSymbolicLink()) fchmodat(-1, `/proc/self/fd/${file}`, mode);
  } finally {
    closeSync(file);
  }
}

function copyXattrs(from: Place, to: Name): void {
  for (const [name, value] of readXattrs(pathOf(from))) {
    if (name.startsWith('trusted.overlay.')) continue;
    try {
      lsetxattr(to, name, value);
    } catch (error) {
      // The other file system has none, or not of this kind.
      if (!isErrno(error, 'EOPNOTSUPP')) throw error;
    }
  }
}

/** The last part of a path as a {@link Place}'s name. */
export const placeName = (path: string): string => binaryName(path);
