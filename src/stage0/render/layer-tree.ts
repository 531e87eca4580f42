/**
 * The directory a layer is unpacked into. Every path is resolved by the kernel inside that directory
 * (openat2 with RESOLVE_IN_ROOT), links included: there is no way out of it, whatever the layer planted before.
 * @see openat2(2); native.md E
 */
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { O, RESOLVE, fchmodat, fchownat, isErrno, lsetxattr, mkdirat, openat2, unlinkat, utimensat, type Name } from '../../host/linux.ts';
import { nodePath, rawName } from '../../host/names.ts';
import { removeTree } from '../../host/remove-tree.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { TreeLog } from '../../state/images/tree-log.ts';
import { beyondLimit, type ImageLimits } from './limits.ts';
import { corrupt, shownName } from './tar-header.ts';

const inRoot = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;
const maxOpenDirectories = 128;
const maxKnownPaths = 4096;
/** Marks a directory whose lower layers are hidden. */
export const opaqueXattr = 'trusted.overlay.opaque';
/** Attributes by which overlayfs keeps its own state: never taken from a layer. */
export const isOverlayXattr = (name: string): boolean => name.startsWith('trusted.overlay.');

export type NodeKind = 'file' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo' | 'socket' | 'whiteout';

/** A leaf of an open directory as a path for calls that have no *at form. */
export function leafPath(dirFd: number, leaf: string): Name {
  return rawName(`/proc/self/fd/${dirFd}/${leaf}`);
}

/** What `leaf` is, links not followed; undefined when there is nothing. */
export function kindOf(dirFd: number, leaf: string): NodeKind | undefined {
  const path = leafPath(dirFd, leaf);
  let stat: Stats;
  try {
    stat = lstatSync(nodePath(path));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isCharacterDevice()) return stat.rdev === 0 ? 'whiteout' : 'character';
  if (stat.isBlockDevice()) return 'block';
  return stat.isFIFO() ? 'fifo' : 'socket';
}

/** Removes the directory `leaf` if there is nothing in it but whiteouts and directories of such; false when there is more. */
export function removeWhiteoutsOnly(parentFd: number, leaf: string): boolean {
  const root = nodePath(leafPath(parentFd, leaf));
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  if (!entries.every((entry) => entry.isDirectory() || entry.isCharacterDevice())) return false;
  removeTree(leafPath(parentFd, leaf));
  return true;
}

const joined = (parent: string, leaf: string): string => (parent === '' ? leaf : `${parent}/${leaf}`);

export class LayerTree implements Disposable {
  readonly rootFd: number;
  /** path → descriptor, least recently used first */
  readonly #open = new Map<string, number>();
  readonly #retired: number[] = [];
  /** directories that were made without being listed, by their path without links */
  readonly implicit = new Set<string>();
  /** A symbolic link was made: a short path may now lead to a deep place. */
  hasLinks = false;
  readonly #rootPath: string;
  /** path → where it really is */
  readonly #real = new Map<string, string>();

  constructor(
    root: string,
    readonly what: string,
    readonly limits: ImageLimits,
    readonly log: TreeLog | undefined,
  ) {
    this.rootFd = openSync(root, O.PATH | O.DIRECTORY | O.NOFOLLOW);
    this.#rootPath = readlinkSync(`/proc/self/fd/${this.rootFd}`, 'latin1');
  }

  /** Where an open directory of the tree really is, relative and without links. */
  realPath(fd: number): string {
    return readlinkSync(`/proc/self/fd/${fd}`, 'latin1').slice(this.#rootPath.length + 1);
  }

  /** Where `leaf` of the open directory `fd` really is; `path`: what the directory was asked for by. */
  realLeaf(path: string, fd: number, leaf: string): string {
    let real = this.#real.get(path);
    if (real === undefined) {
      real = this.realPath(fd);
      if (this.#real.size > maxKnownPaths) this.#real.clear();
      this.#real.set(path, real);
    }
    return leaf === '' ? real : joined(real, leaf);
  }

  /** The directory at `path`, made with what is missing above it. The descriptor is good until {@link settle}, among the last hundred handed out. */
  directory(path: string): number {
    if (path === '') return this.rootFd;
    const known = this.existing(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    this.#make(this.directory(slash < 0 ? '' : path.slice(0, slash)), path.slice(slash + 1), path);
    const made = this.existing(path);
    if (made === undefined) throw corrupt(`${this.what}: ${JSON.stringify(shownName(path))} is not a directory`);
    return made;
  }

  /** False when `path` is, or is inside, something of this layer that is no directory. */
  canHold(path: string): boolean {
    if (this.existing(path) !== undefined) return true;
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '' : path.slice(0, slash);
    const parentFd = this.existing(parent);
    if (parentFd === undefined) return this.canHold(parent);
    const kind = kindOf(parentFd, path.slice(slash + 1));
    return kind === undefined || kind === 'whiteout';
  }

  /** The directory at `path`; undefined when there is none. */
  existing(path: string): number | undefined {
    if (path === '') return this.rootFd;
    const cached = this.#open.get(path);
    if (cached !== undefined) {
      this.#open.delete(path);
      this.#open.set(path, cached);
      return cached;
    }
    let fd: number;
    try {
      fd = openat2(this.rootFd, rawName(path), O.PATH | O.DIRECTORY, 0, inRoot);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
      if (isErrno(error, 'ELOOP')) throw corrupt(`${this.what}: ${JSON.stringify(shownName(path))} is a loop of symbolic links`, error);
      throw error;
    }
    if (this.hasLinks) this.#checkDepth(fd, path);
    this.#open.set(path, fd);
    const [oldest] = this.#open;
    if (this.#open.size > maxOpenDirectories && oldest !== undefined) {
      closeSync(oldest[1]);
      this.#open.delete(oldest[0]);
    }
    return fd;
  }

  /** Links to deep places, with links in them to deeper ones, would make paths that nobody can name, and that the kernel does not tell. */
  #checkDepth(fd: number, path: string): void {
    const { maxPathBytes, maxNameBytes } = this.limits;
    let deep = true;
    try {
      deep = this.realPath(fd).length + 1 + maxNameBytes > maxPathBytes && path.length + 1 + maxNameBytes <= maxPathBytes;
    } catch (error) {
      if (!isErrno(error, 'ENAMETOOLONG')) throw error;
    }
    if (!deep) return;
    closeSync(fd);
    throw beyondLimit('maxPathBytes', `${this.what}: ${JSON.stringify(shownName(path))} leads to a directory whose path is too long`);
  }

  /** A directory that the layer uses but does not list: root's, 0755. */
  #make(parentFd: number, leaf: string, path: string): void {
    if (!this.makeDirectory(parentFd, leaf)) {
      const kind = kindOf(parentFd, leaf);
      if (kind === 'symlink') {
        throw new RuntimeError(
          'ERR_LAYER_ESCAPE',
          `${this.what}: an entry goes through the symbolic link ${JSON.stringify(shownName(path))}, which leads to nothing in this layer`,
        );
      }
      throw corrupt(`${this.what}: an entry is inside ${JSON.stringify(shownName(path))}, which is a ${kind ?? 'thing'} and not a directory`);
    }
    const { maxEntries } = this.limits;
    if (this.implicit.size >= maxEntries)
      throw beyondLimit('maxEntries', `${this.what} uses more than ${maxEntries} directories that it does not list`);
    const real = joined(this.realPath(parentFd), leaf);
    this.implicit.add(real);
    const name = rawName(leaf);
    fchownat(parentFd, name, 0, 0);
    fchmodat(parentFd, name, 0o755);
    this.log?.add(['directory', real, 0o755, 0, 0, '', []]);
  }

  /** Makes a directory, opaque in place of a whiteout: the layer hides what was there and begins anew. False when something else has the name. */
  makeDirectory(parentFd: number, leaf: string): boolean {
    const name = rawName(leaf);
    try {
      mkdirat(parentFd, name, 0o755);
      return true;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    if (kindOf(parentFd, leaf) !== 'whiteout') return false;
    unlinkat(parentFd, name);
    mkdirat(parentFd, name, 0o755);
    this.makeOpaque(parentFd, leaf);
    return true;
  }

  /** The layer lists this directory after all. */
  listed(parentFd: number, leaf: string): void {
    if (this.implicit.size > 0) this.implicit.delete(joined(this.realPath(parentFd), leaf));
  }

  /** Hides what lower layers have in this directory. */
  makeOpaque(parentFd: number, leaf: string): void {
    lsetxattr(leafPath(parentFd, leaf), opaqueXattr, Buffer.from('y'));
    this.log?.add(['opaque', leaf === '.' ? this.realPath(parentFd) : joined(this.realPath(parentFd), leaf)]);
  }

  /** A link changed its target: what was resolved through it may be elsewhere now. Descriptors in use stay open until {@link settle}. */
  forget(): void {
    this.#real.clear();
    this.#retired.push(...this.#open.values());
    this.#open.clear();
  }
  /** Descriptors handed out before are no longer used. */
  settle(): void {
    for (const fd of this.#retired.splice(0)) closeSync(fd);
  }

  /** Sets the time of the directory that really is at `path`. */
  setTime(path: string, mtimeNs: bigint): void {
    const slash = path.lastIndexOf('/');
    const fd = this.existing(path.slice(0, Math.max(0, slash)));
    if (fd !== undefined) utimensat(fd, path === '' ? '.' : rawName(path.slice(slash + 1)), mtimeNs);
  }

  [Symbol.dispose](): void {
    this.forget();
    this.settle();
    closeSync(this.rootFd);
  }
}
