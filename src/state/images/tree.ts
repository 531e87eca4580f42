/**
 * A directory tree as it is: every name with all that is kept of it. What is written about a layer when it was not unpacked
 * from an archive, and what verification compares with the log.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, lstatSync, openSync, readSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { nodePath, rawName } from '../../host/names.ts';
import { readXattrs } from '../../host/xattr.ts';
import type { LoggedRegion, LoggedXattrs, TreeLog } from './tree-log.ts';

export { TreeLogFile } from './tree-log.ts';

/** S_IFMT of a mode. */
export const typeBits = 0o170_000;
export const S = { fifo: 0o010_000, character: 0o020_000, directory: 0o040_000, block: 0o060_000, file: 0o100_000, symlink: 0o120_000 } as const;
export const opaqueAttribute = 'trusted.overlay.opaque';

/** One name of a tree; `path`: binary, relative, `''` for the root. */
export interface Found {
  readonly path: string;
  readonly stat: BigIntStats;
}

const at = (root: string, path: string): string => (path === '' ? root : `${root}/${path}`);

/** Every name below `root`, directories before what is in them. @param root - binary string */
export function* walk(root: string, path = ''): Generator<Found> {
  const stat = lstatSync(nodePath(rawName(at(root, path))), { bigint: true });
  yield { path, stat };
  if (!stat.isDirectory()) return;
  const names = readdirSync(nodePath(rawName(at(root, path))), { encoding: 'latin1' }).sort();
  for (const name of names) yield* walk(root, path === '' ? name : `${path}/${name}`);
}

/** Attributes that whoever made the tree chose: what overlayfs and security modules keep for themselves is left out. */
export const chosenXattrs = (root: string, path: string): LoggedXattrs =>
  readXattrs(rawName(at(root, path)))
    .filter(([name]) => !name.startsWith('trusted.overlay.') && name !== 'security.selinux')
    .map(([name, value]) => [name, value.toString('hex')]);

export const isOpaque = (root: string, path: string): boolean =>
  readXattrs(rawName(at(root, path))).some(([name, value]) => name === opaqueAttribute && value.toString() === 'y');

export const targetOf = (root: string, path: string): string => readlinkSync(nodePath(rawName(at(root, path))), 'latin1');

const chunkBytes = 256 * 1024;
const chunk = Buffer.allocUnsafe(chunkBytes);

/** Hash of the regions of a file, and whether all the rest of it is zero. */
export function contentOf(root: string, path: string, bytes: number, regions: readonly LoggedRegion[]): { sha256: string; holesAreEmpty: boolean } {
  const fd = openSync(nodePath(rawName(at(root, path))), constants.O_RDONLY | constants.O_NOFOLLOW);
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
export function logTree(rootDirectory: string, log: TreeLog): void {
  const root = Buffer.from(rootDirectory).toString('latin1');
  const seen = new Map<bigint, string>();
  for (const { path, stat } of walk(root)) {
    const { mode, uid, gid, ino, rdev, mtimeNs, size } = stat;
    const type = Number(mode) & typeBits;
    const permissions = Number(mode) & 0o7777;
    const first = stat.isDirectory() ? undefined : seen.get(ino);
    if (first !== undefined) {
      log.add(['link', path, first]);
      continue;
    }
    seen.set(ino, path);
    const owner = [Number(uid), Number(gid), String(mtimeNs), chosenXattrs(root, path)] as const;
    if (type === S.directory) {
      log.add(['directory', path, permissions, ...owner]);
      if (isOpaque(root, path)) log.add(['opaque', path]);
    } else if (type === S.file) {
      const bytes = Number(size);
      log.add(['file', path, permissions, ...owner, bytes, contentOf(root, path, bytes, wholeFile(bytes)).sha256]);
    } else if (type === S.symlink) log.add(['symlink', path, ...owner, targetOf(root, path)]);
    else if (type === S.character && rdev === 0n) log.add(['whiteout', path]);
    else log.add(['node', path, permissions, ...owner, type, Number(rdev)]);
  }
}
