/**
 * What layers that were unpacked apart get wrong together, and a thin layer on top that puts it right.
 *
 * An overlay mount shows a directory as its topmost layer has it. Two kinds of directories need help:
 * - those that a layer uses without listing them (umoci packs like that): they would hide owner and mode that a layer
 *   below gave them;
 * - those that hold whiteouts but are in one layer only: overlayfs does not look for whiteouts in a directory it need
 *   not merge, and shows the devices (seen on Linux 6.18).
 * A directory of the same name in the top layer has the right owner and mode, and makes it a merge.
 * @see Documentation/filesystems/overlayfs.rst "Merging directories", "whiteouts and opaque directories"
 */
import { lstatSync, mkdirSync, type BigIntStats } from 'node:fs';
import { AT_FDCWD, fchmodat, fchownat, isErrno, lsetxattr, utimensat, type Name } from '../../host/linux.ts';
import { nodePath, rawName } from '../../host/names.ts';
import { readXattr, readXattrs } from '../../host/xattr.ts';
import type { LayerRecord } from '../../state/images/records.ts';
import { isOverlayXattr, opaqueXattr } from './layer-tree.ts';

/** A layer as it was unpacked, at `root`. */
export type UnpackedTree = Pick<LayerRecord, 'implicit' | 'whitedOut'> & { readonly root: string };

/** A directory of the correcting layer; it can be written as JSON. */
export interface DirectoryFacts {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: string;
  /** values in hexadecimal */
  readonly xattrs: readonly (readonly [string, string])[];
}

const statOf = (path: Name): BigIntStats | undefined => {
  try {
    return lstatSync(nodePath(path), { bigint: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
};

/** `a/b/c` → `a`, `a/b`, `a/b/c` */
function prefixes(path: string): string[] {
  const parts = path.split('/');
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** What one layer says about a directory, and whether layers below still have a say. */
interface Look {
  readonly holds: boolean;
  readonly last: boolean;
}

/** Looks into a layer, at each path once: a layer may use a thousand directories inside each other without listing them. */
function lookInto(root: string): (path: string) => Look {
  const known = new Map<string, Look>([['', { holds: true, last: false }]]);
  const look = (path: string): Look => {
    const there = known.get(path);
    if (there !== undefined) return there;
    const above = look(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    const found = above.holds ? lookAt(rawName(`${root}/${path}`), above.last) : above;
    known.set(path, found);
    return found;
  };
  return look;
}

/** `last`: whether a directory above hides what layers below have. */
function lookAt(at: Name, last: boolean): Look {
  const stat = statOf(at);
  if (stat === undefined) return { holds: false, last };
  if (!stat.isDirectory()) return { holds: false, last: true };
  return { holds: true, last: last || readXattr(at, opaqueXattr)?.toString() === 'y' };
}

/** The layers whose directory at a path is merged into what one sees, top first. */
function contributorsIn(layers: readonly UnpackedTree[]): (path: string) => UnpackedTree[] {
  const looks = layers.map((layer) => ({ layer, look: lookInto(layer.root) }));
  return (path) => {
    const found: UnpackedTree[] = [];
    for (const { layer, look } of looks) {
      const { holds, last } = look(path);
      if (holds) found.push(layer);
      if (last) break;
    }
    return found;
  };
}

/** {@link contributorsIn}, for one path. */
export const contributors = (layers: readonly UnpackedTree[], path: string): UnpackedTree[] => contributorsIn(layers)(path);

/** The directories of a layer that corrects `layers` (top first), parents before children; none when nothing is wrong. */
export function correctionsOf(layers: readonly UnpackedTree[]): DirectoryFacts[] {
  const implicit = new Map(layers.map((layer) => [layer, new Set(layer.implicit)]));
  const whitedOut = new Map(layers.map((layer) => [layer, new Set(layer.whitedOut)]));
  const contributorsAt = contributorsIn(layers);
  const source = (found: readonly UnpackedTree[], path: string): UnpackedTree | undefined =>
    found.find((layer) => implicit.get(layer)?.has(path) !== true) ?? found[0];
  const isWrong = (path: string): boolean => {
    const found = contributorsAt(path);
    const [top] = found;
    return top !== undefined && (source(found, path) !== top || (found.length === 1 && whitedOut.get(top)?.has(path) === true));
  };
  const candidates = new Set(layers.flatMap((layer) => [...layer.implicit, ...layer.whitedOut]).filter((path) => path !== ''));
  const wanted = new Set([...candidates].filter(isWrong).flatMap(prefixes));
  return [...wanted].sort().flatMap((path) => {
    const from = source(contributorsAt(path), path);
    return from === undefined ? [] : [factsOf(from.root, path)];
  });
}

/** The directories `paths` as one sees them in `layers` (top first); what is none is left out. */
export function directoryFacts(layers: readonly UnpackedTree[], paths: readonly string[]): DirectoryFacts[] {
  const implicit = new Map(layers.map((layer) => [layer, new Set(layer.implicit)]));
  return paths.flatMap((path) => {
    const found = contributors(layers, path);
    const from = found.find((layer) => implicit.get(layer)?.has(path) !== true) ?? found[0];
    return from === undefined ? [] : [factsOf(from.root, path)];
  });
}

/** Makes the root of `to` look as that of `from`. */
export function takeFacts(from: string, to: string): void {
  const facts = factsOf(from, '');
  describe(rawName(to), facts);
  utimensat(AT_FDCWD, rawName(to), BigInt(facts.mtimeNs));
}

function describe(at: Name, facts: DirectoryFacts): void {
  fchownat(AT_FDCWD, at, facts.uid, facts.gid);
  fchmodat(AT_FDCWD, at, facts.mode);
  for (const [name, value] of facts.xattrs) lsetxattr(at, name, Buffer.from(value, 'hex'));
}

function factsOf(root: string, path: string): DirectoryFacts {
  const at = rawName(`${root}/${path}`);
  const stat = lstatSync(nodePath(at), { bigint: true });
  return {
    path,
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeNs: String(stat.mtimeNs),
    xattrs: readXattrs(at)
      .filter(([name]) => !isOverlayXattr(name))
      .map(([name, value]) => [name, value.toString('hex')]),
  };
}

/** Makes the directories in `root`, an empty directory of our own, and `fill`s them. */
export function makeCorrections(root: string, directories: readonly DirectoryFacts[], fill: () => void = () => undefined): void {
  const at = ({ path }: DirectoryFacts): Name => rawName(`${root}/${path}`);
  for (const facts of directories) {
    mkdirSync(nodePath(at(facts)));
    describe(at(facts), facts);
  }
  fill();
  for (const facts of directories) utimensat(AT_FDCWD, at(facts), BigInt(facts.mtimeNs));
}
