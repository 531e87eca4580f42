/** A directory tree as text, to the last attribute: equal listings mean equal trees. For tests that compare trees. */
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { readXattrs } from '../../src/host/xattr.ts';

export interface TreeOptions {
  /** Paths, relative and as binary strings, that are left out with all that is below them. */
  readonly ignore?: RegExp;
  /** Adds how much of each file is allocated (`data N`, whole KiB): for trees on the same file system whose holes are to be the same. */
  readonly allocated?: boolean;
}

const chunk = Buffer.allocUnsafe(256 * 1024);

function contentHash(path: Buffer): string {
  const hash = createHash('sha256');
  const fd = openSync(path, 'r');
  try {
    for (let got = readSync(fd, chunk); got > 0; got = readSync(fd, chunk)) hash.update(chunk.subarray(0, got));
  } finally {
    closeSync(fd);
  }
  return hash.digest('hex').slice(0, 32);
}

const deviceOf = ({ rdev }: BigIntStats): string => `${(rdev >> 8n) & 0xfffn}:${(rdev & 0xffn) | ((rdev >> 12n) & 0xfff00n)}`;

function kindOf(path: Buffer, stat: BigIntStats): string {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return `link to ${readlinkSync(path, 'latin1')}`;
  if (stat.isFile()) return `file ${stat.size} ${contentHash(path)}`;
  if (stat.isFIFO()) return 'fifo';
  return stat.isSocket() ? 'socket' : `${stat.isBlockDevice() ? 'block' : 'character'} ${deviceOf(stat)}`;
}

/**
 * Every file below `root`, one line each, sorted by name: type with size and hash of the content, device number or
 * target of a link; mode, owner, time in nanoseconds, `= FIRST` for a further name of a file, and all extended
 * attributes in hexadecimal. Names are binary strings (one character a byte). The root is `.` and has no time: not
 * every tool packs the root. Links and mount points are not followed.
 */
export function treeOf(root: string, { ignore, allocated = false }: TreeOptions = {}): string[] {
  const lines: string[] = [];
  const firstName = new Map<bigint, string>();
  const visit = (path: Buffer, name: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const known = stat.isDirectory() || stat.nlink === 1n ? undefined : firstName.get(stat.ino);
    firstName.set(stat.ino, known ?? name);
    const xattrs = readXattrs(Buffer.concat([path, Buffer.of(0)])).map(([key, value]) => ` ${key}=${value.toString('hex')}`);
    const parts = [
      `${name || '.'}: ${kindOf(path, stat)} ${(stat.mode & 0o7777n).toString(8)} ${stat.uid}:${stat.gid}`,
      name === '' ? '' : ` ${stat.mtimeNs}`,
      allocated && stat.isFile() ? ` data ${stat.blocks / 2n}` : '',
      known === undefined ? '' : ` = ${known}`,
      ...xattrs,
    ];
    lines.push(parts.join(''));
    if (!stat.isDirectory()) return;
    const children = readdirSync(path, { encoding: 'buffer' }).map((entry) => entry.toString('latin1'));
    for (const child of children.sort()) {
      const below = name === '' ? child : `${name}/${child}`;
      if (ignore?.test(below) !== true) visit(Buffer.concat([path, Buffer.from(`/${child}`, 'latin1')]), below);
    }
  };
  visit(Buffer.from(root), '');
  return lines;
}
