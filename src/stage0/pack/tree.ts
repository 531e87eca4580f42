/** A directory tree → members of a tar archive: a root file system as it is, or a layer with its whiteouts as images write them. */
import { closeSync, constants, openSync, readSync, type BigIntStats } from 'node:fs';
import type { Name } from '../../host/linux.ts';
import { nodePath } from '../../host/names.ts';
import { RuntimeError, printable } from '../../model/errors.ts';
import { S, chosenXattrs, isOpaque, targetOf, typeBits, walk } from '../../state/images/tree.ts';
import type { PackedEntry, PackedType, TarWriter } from './tar-writer.ts';

export interface PackOptions {
  /** what all names begin with: `rootfs/` */
  readonly prefix: string;
  /** present: a layer. `opaqueRoot`: it hides everything below it; `listsRoot`: it says what its root is like; `implicit`: directories it uses without listing them */
  readonly layer?: { readonly opaqueRoot: boolean; readonly listsRoot: boolean; readonly implicit: readonly string[] };
}

const types: Readonly<Record<number, PackedType>> = {
  [S.fifo]: 'fifo',
  [S.character]: 'character',
  [S.block]: 'block',
  [S.directory]: 'directory',
  [S.file]: 'file',
  [S.symlink]: 'symlink',
};

/** Adds everything below `directory`, and itself. Sockets are left out, as by every tool: they mean nothing without their process. */
export function packTree(directory: string, { prefix, layer }: PackOptions, tar: TarWriter): void {
  const names = new Map<bigint, string>();
  const unlisted = new Set([...(layer?.implicit ?? []), ...(layer?.listsRoot === false ? [''] : [])]);
  const marker = (name: string): void => tar.entry({ name, type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, bytes: 0 });
  for (const { path, at, stat } of walk(directory)) {
    const type = types[Number(stat.mode) & typeBits];
    if (type === undefined) continue;
    if (layer !== undefined && type === 'character' && stat.rdev === 0n) {
      marker(`${prefix}${hidden(path)}`);
      continue;
    }
    // The root itself is `rootfs/`, or `./` in a layer.
    const name = path === '' ? (prefix === '' ? './' : prefix) : `${prefix}${path}`;
    const first = type === 'directory' ? undefined : names.get(stat.ino);
    if (first !== undefined) {
      tar.entry({ ...described(name, 'hardlink', stat), linkName: first });
      continue;
    }
    if (stat.nlink > 1n) names.set(stat.ino, name);
    if (!unlisted.has(path)) addMember(at, stat, { ...described(name, type, stat), xattrs: xattrsOf(at) }, tar);
    if (layer !== undefined && type === 'directory' && (path === '' ? layer.opaqueRoot : isOpaque(at)))
      marker(`${prefix}${path === '' ? '' : `${path}/`}.wh..wh..opq`);
  }
}

/** `a/b` → `a/.wh.b` */
function hidden(path: string): string {
  const slash = path.lastIndexOf('/');
  return `${path.slice(0, slash + 1)}.wh.${path.slice(slash + 1)}`;
}

const described = (name: string, type: PackedType, { mode, uid, gid, mtimeNs }: BigIntStats): PackedEntry => ({
  name,
  type,
  mode: Number(mode & 0o7777n),
  uid: Number(uid),
  gid: Number(gid),
  mtimeNs,
});

const xattrsOf = (at: Name): [string, Buffer][] => chosenXattrs(at).map(([name, value]) => [name, Buffer.from(value, 'hex')]);

/** dev_t as stat(2) gives it, taken apart. */
const majorOf = (rdev: bigint): number => Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn));
const minorOf = (rdev: bigint): number => Number((rdev & 0xffn) | ((rdev >> 12n) & ~0xffn & 0xffffffffn));

function addMember(at: Name, stat: BigIntStats, entry: PackedEntry, tar: TarWriter): void {
  switch (entry.type) {
    case 'file':
      tar.entry({ ...entry, bytes: Number(stat.size) });
      addData(at, entry.name, Number(stat.size), tar);
      return;
    case 'symlink':
      tar.entry({ ...entry, mode: 0o777, linkName: targetOf(at) });
      return;
    case 'character':
    case 'block':
      tar.entry({ ...entry, major: majorOf(stat.rdev), minor: minorOf(stat.rdev) });
      return;
    default:
      tar.entry(entry);
  }
}

const chunk = Buffer.allocUnsafe(256 * 1024);

function addData(at: Name, name: string, bytes: number, tar: TarWriter): void {
  const fd = openSync(nodePath(at), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (let done = 0; done < bytes;) {
      const got = readSync(fd, chunk, 0, Math.min(chunk.length, bytes - done), null);
      if (got === 0) throw new RuntimeError('ERR_STORE_IO', `a file became shorter while it was packed: ${printable(name)}`);
      tar.data(chunk.subarray(0, got));
      done += got;
    }
  } finally {
    closeSync(fd);
  }
}
