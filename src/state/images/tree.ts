/**
 * A directory tree as it is: every name with all that is kept of it. What is written about a layer when it was not unpacked
 * from an archive, and what verification compares with the log.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, lstatSync, openSync, readSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { AT_FDCWD, O, openat2, type Name } from '../../host/linux.ts';
import { nodePath, rawName } from '../../host/names.ts';
import { readXattr, readXattrs } from '../../host/xattr.ts';
import type { LoggedRegion, LoggedXattrs, TreeLog } from './tree-log.ts';

export { TreeLogFile } from './tree-log.ts';

/** S_IFMT of a mode. */
export const typeBits = 0o170_000;
export const S = { fifo: 0o010_000, character: 0o020_000, directory: 0o040_000, block: 0o060_000, file: 0o100_000, symlink: 0o120_000 } as const;
export const opaqueAttribute = 'trusted.overlay.opaque';

/** One name of a tree. */
export interface Found {
  /** binary, relative, `''` for the root */
  readonly path: string;
  /** by which it can be reached, until the next one is asked for: the names of a tree may be longer together than a path can be */
  readonly at: Name;
  readonly stat: BigIntStats;
}

/** A directory whose names are being gone through. */
interface Open {
  readonly fd: number;
  readonly path: string;
  readonly names: string[];
}

const inDirectory = (fd: number, name: string): Name => rawName(`/proc/self/fd/${fd}/${name}`);

function openDirectory(parentFd: number, name: Name, path: string): Open {
  const fd = openat2(parentFd, name, O.PATH | O.DIRECTORY | O.NOFOLLOW, 0, 0);
  return { fd, path, names: readdirSync(`/proc/self/fd/${fd}`, { encoding: 'latin1' }).sort().reverse() };
}

/** Every name of the tree at `root`, directories before what is in them, names in order. */
export function* walk(root: string): Generator<Found> {
  const open: Open[] = [];
  try {
    const top = openDirectory(AT_FDCWD, root, '');
    open.push(top);
    yield { path: '', at: inDirectory(top.fd, '.'), stat: lstatSync(`/proc/self/fd/${top.fd}/.`, { bigint: true }) };
    for (let directory = open.at(-1); directory !== undefined; directory = open.at(-1)) {
      const name = directory.names.pop();
      if (name === undefined) {
        closeSync(directory.fd);
        open.pop();
        continue;
      }
      const path = directory.path === '' ? name : `${directory.path}/${name}`;
      const at = inDirectory(directory.fd, name);
      const stat = lstatSync(nodePath(at), { bigint: true });
      yield { path, at, stat };
      if (stat.isDirectory()) open.push(openDirectory(directory.fd, rawName(name), path));
    }
  } finally {
    for (const { fd } of open) closeSync(fd);
  }
}

/** Attributes that whoever made the tree chose: what overlayfs and security modules keep for themselves is left out. */
export const chosenXattrs = (at: Name): LoggedXattrs =>
  readXattrs(at)
    .filter(([name]) => !name.startsWith('trusted.overlay.') && name !== 'security.selinux')
    .map(([name, value]) => [name, value.toString('hex')]);

export const isOpaque = (at: Name): boolean => readXattr(at, opaqueAttribute)?.toString() === 'y';

export const targetOf = (at: Name): string => readlinkSync(nodePath(at), 'latin1');

const chunkBytes = 256 * 1024;
const chunk = Buffer.allocUnsafe(chunkBytes);

/** Hash of the regions of a file, and whether all the rest of it is zero. */
export function contentOf(at: Name, bytes: number, regions: readonly LoggedRegion[]): { sha256: string; holesAreEmpty: boolean } {
  const fd = openSync(nodePath(at), constants.O_RDONLY | constants.O_NOFOLLOW);
  const hash = createHash('sha256');
  let holesAreEmpty = true;
  const pass = (from: number, to: number, take: (part: Buffer) => void): void => {
    for (let position = from; position < to;) {
      const got = readSync(fd, chunk, 0, Math.min(chunkBytes, to - position), position);
      if (got === 0) return;
      take(chunk.subarray(0, got));
      position += got;
    }
  };
  try {
    let position = 0;
    for (const [offset, length] of [...regions, [bytes, 0] as const]) {
      pass(position, offset, (part) => {
        holesAreEmpty &&= part.every((byte) => byte === 0);
      });
      pass(offset, offset + length, (part) => hash.update(part));
      position = offset + length;
    }
  } finally {
    closeSync(fd);
  }
  return { sha256: hash.digest('hex'), holesAreEmpty };
}

export const wholeFile = (bytes: number): readonly LoggedRegion[] => (bytes === 0 ? [] : [[0, bytes]]);

/** Writes down the tree at `root`. */
export function logTree(root: string, log: TreeLog): void {
  const seen = new Map<bigint, string>();
  for (const { path, at, stat } of walk(root)) {
    const { mode, uid, gid, ino, rdev, mtimeNs, size } = stat;
    const type = Number(mode) & typeBits;
    const permissions = Number(mode) & 0o7777;
    const first = stat.isDirectory() ? undefined : seen.get(ino);
    if (first !== undefined) {
      log.add(['link', path, first]);
      continue;
    }
    seen.set(ino, path);
    const owner = [Number(uid), Number(gid), String(mtimeNs), chosenXattrs(at)] as const;
    if (type === S.directory) {
      log.add(['directory', path, permissions, ...owner]);
      if (isOpaque(at)) log.add(['opaque', path]);
    } else if (type === S.file) {
      const bytes = Number(size);
      log.add(['file', path, permissions, ...owner, bytes, contentOf(at, bytes, wholeFile(bytes)).sha256]);
    } else if (type === S.symlink) log.add(['symlink', path, ...owner, targetOf(at)]);
    else if (type === S.character && rdev === 0n) log.add(['whiteout', path]);
    else log.add(['node', path, permissions, ...owner, type, Number(rdev)]);
  }
}
