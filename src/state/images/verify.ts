/** A layer's tree against the log of its unpacking. @see tree-log.ts; rkt.md 1.4 (image verify) */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isErrno } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import { imagePaths } from './layout.ts';
import type { ImageStore } from './store.ts';
import type { LoggedRegion, LoggedXattrs, TreeRecord } from './tree-log.ts';
import { S, chosenXattrs, contentOf, isOpaque, targetOf, typeBits, walk, wholeFile, type Found } from './tree.ts';

/** One thing that is not as it was unpacked. `path`: a binary string; empty for the root, or when it is the layer as a whole. */
export interface Damage {
  readonly path: string;
  readonly what: string;
}

/** What a name should be. Shared by the names of a file with several. */
interface Expected {
  readonly type: number;
  readonly mode: number | undefined;
  readonly uid: number;
  readonly gid: number;
  mtimeNs: string;
  readonly xattrs: LoggedXattrs;
  readonly content?: { readonly bytes: number; readonly sha256: string; readonly regions: readonly LoggedRegion[] };
  readonly target?: string;
  readonly rdev?: number;
  opaque: boolean;
}

/** Everything about a layer that is not as it was; empty when all is well. */
export function verifyLayer(store: ImageStore, diffId: Digest): Damage[] {
  const record = store.layer(diffId);
  if (record === undefined) return [{ path: '', what: 'the layer is not in the store' }];
  const log = readLog(imagePaths(store.dataDir).layerLog(diffId));
  if (record.tree === undefined || log === undefined) return [{ path: '', what: 'nothing is recorded of what it was like' }];
  if (createHash('sha256').update(log).digest('hex') !== record.tree.sha256) return [{ path: '', what: 'the record of what it was like is damaged' }];
  return compareTree(store.layerPaths({ layers: [diffId] })[0] ?? '', replay(log));
}

function readLog(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Names, each reachable from those above it: a hostile layer replaces directories as often as it likes, and each time costs what is in them. */
class Names extends Map<string, Expected> {
  readonly #below = new Map<string, Set<string>>();

  override set(path: string, expected: Expected): this {
    // Directories that no record is about are on the way, too.
    for (let name = path; name !== '';) {
      const parent = name.slice(0, Math.max(0, name.lastIndexOf('/')));
      const siblings = this.#below.get(parent);
      if (siblings?.has(name) === true) break;
      if (siblings === undefined) this.#below.set(parent, new Set([name]));
      else siblings.add(name);
      name = parent;
    }
    return super.set(path, expected);
  }

  deleteTree(path: string): void {
    for (const pending = [path]; ;) {
      const name = pending.pop();
      if (name === undefined) break;
      this.delete(name);
      for (const child of this.#below.get(name) ?? []) pending.push(child);
      this.#below.delete(name);
    }
    this.#below.get(path.slice(0, Math.max(0, path.lastIndexOf('/'))))?.delete(path);
  }
}

/** Does what the log says, on a map of names. */
function replay(log: Buffer): ReadonlyMap<string, Expected> {
  const names = new Names();
  for (const line of log.toString().split('\n')) {
    if (line === '') continue;
    const record = JSON.parse(line) as TreeRecord;
    const [kind, path] = record;
    switch (kind) {
      case 'directory': {
        const [, , mode, uid, gid, mtimeNs, xattrs] = record;
        // Listed again, it is still the same directory.
        names.set(path, { type: S.directory, mode, uid, gid, mtimeNs, xattrs, opaque: names.get(path)?.opaque ?? false });
        break;
      }
      case 'file': {
        const [, , mode, uid, gid, mtimeNs, xattrs, bytes, sha256, regions = wholeFile(bytes)] = record;
        names.set(path, { type: S.file, mode, uid, gid, mtimeNs, xattrs, content: { bytes, sha256, regions }, opaque: false });
        break;
      }
      case 'symlink': {
        const [, , uid, gid, mtimeNs, xattrs, target] = record;
        names.set(path, { type: S.symlink, mode: undefined, uid, gid, mtimeNs, xattrs, target, opaque: false });
        break;
      }
      case 'node': {
        const [, , mode, uid, gid, mtimeNs, xattrs, type, rdev] = record;
        names.set(path, { type, mode, uid, gid, mtimeNs, xattrs, rdev, opaque: false });
        break;
      }
      case 'link': {
        const target = names.get(record[2]);
        if (target !== undefined) names.set(path, target);
        break;
      }
      case 'whiteout':
        names.set(path, { type: S.character, mode: undefined, uid: 0, gid: 0, mtimeNs: '', xattrs: [], rdev: 0, opaque: false });
        break;
      case 'opaque': {
        const directory = names.get(path);
        if (directory !== undefined) directory.opaque = true;
        break;
      }
      case 'time': {
        const directory = names.get(path);
        if (directory !== undefined) directory.mtimeNs = record[2];
        break;
      }
      case 'gone':
        names.deleteTree(path);
        break;
    }
  }
  return names;
}

function compareTree(root: string, expected: ReadonlyMap<string, Expected>): Damage[] {
  const damages: Damage[] = [];
  const left = new Map(expected);
  /** what stands for a file on the disk, and in the log: names of one are names of the other */
  const inodes = new Map<bigint, Expected>();
  const files = new Map<Expected, bigint>();
  /** its content comes right behind it */
  let unknown: string | undefined;
  for (const found of walk(root)) {
    const { path, stat } = found;
    const wanted = left.get(path);
    left.delete(path);
    if (wanted === undefined) {
      // One line for a directory nobody knows, not one for each of its files.
      if (unknown !== undefined && path.startsWith(`${unknown}/`)) continue;
      damages.push({ path, what: 'does not belong there' });
      unknown = path;
      continue;
    }
    const known = files.get(wanted);
    if (known === undefined && !inodes.has(stat.ino)) {
      if (!stat.isDirectory()) {
        inodes.set(stat.ino, wanted);
        files.set(wanted, stat.ino);
      }
      damages.push(...differences(found, wanted).map((what) => ({ path, what })));
    } else if (known !== stat.ino || inodes.get(stat.ino) !== wanted) damages.push({ path, what: 'is not the hard link it was' });
  }
  for (const path of left.keys()) damages.push({ path, what: 'is missing' });
  return damages;
}

const kinds: Readonly<Record<number, string>> = {
  [S.directory]: 'directory',
  [S.file]: 'file',
  [S.symlink]: 'symbolic link',
  [S.character]: 'character device',
  [S.block]: 'block device',
  [S.fifo]: 'fifo',
};
const kindText = (type: number): string => kinds[type] ?? 'thing';
const octal = (mode: number): string => mode.toString(8).padStart(4, '0');

function differences({ at, stat }: Found, wanted: Expected): string[] {
  const type = Number(stat.mode) & typeBits;
  if (type !== wanted.type) return [`is a ${kindText(type)}, was a ${kindText(wanted.type)}`];
  const faults: string[] = [];
  const isWhiteout = wanted.rdev === 0 && type === S.character;
  if (wanted.rdev !== undefined && Number(stat.rdev) !== wanted.rdev) faults.push(`is device ${stat.rdev}, was ${wanted.rdev}`);
  // What it hides is all that matters of one.
  if (isWhiteout) return faults;
  // The kernel keeps the mask of an access list in the group's bits.
  const ignored = wanted.xattrs.some(([name]) => name === 'system.posix_acl_access') ? 0o070 : 0;
  const mode = Number(stat.mode) & 0o7777;
  if (wanted.mode !== undefined && (mode | ignored) !== (wanted.mode | ignored)) faults.push(`has mode ${octal(mode)}, had ${octal(wanted.mode)}`);
  if (Number(stat.uid) !== wanted.uid || Number(stat.gid) !== wanted.gid)
    faults.push(`belongs to ${stat.uid}:${stat.gid}, did to ${wanted.uid}:${wanted.gid}`);
  if (wanted.mtimeNs !== '' && String(stat.mtimeNs) !== wanted.mtimeNs) faults.push('has another modification time');
  if (wanted.target !== undefined && targetOf(at) !== wanted.target) faults.push('leads elsewhere');
  if (JSON.stringify(chosenXattrs(at)) !== JSON.stringify(wanted.xattrs)) faults.push('has other extended attributes');
  if (type === S.directory && isOpaque(at) !== wanted.opaque) faults.push(wanted.opaque ? 'no longer hides what is below' : 'hides what is below');
  if (wanted.content !== undefined) {
    const { bytes, sha256, regions } = wanted.content;
    if (Number(stat.size) !== bytes) faults.push(`has ${stat.size} bytes, had ${bytes}`);
    else {
      const now = contentOf(at, bytes, regions);
      if (now.sha256 !== sha256 || !now.holesAreEmpty) faults.push('has other content');
    }
  }
  return faults;
}
