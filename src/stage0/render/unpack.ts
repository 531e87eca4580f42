/**
 * Members of a layer's tar → a lower directory for overlay: whiteouts as character devices 0:0, opaque directories by
 * extended attribute, and everything else as it is written, ownership and nanoseconds included.
 * A layer is unpacked alone, without those below it: what it links to must be in it.
 * @see OCI image-spec 1.1 layer.md; Documentation/filesystems/overlayfs.rst "whiteouts and opaque directories"; native.md E
 */
import { closeSync, fchmodSync, fchownSync, ftruncateSync, writeSync } from 'node:fs';
import {
  Errno,
  O,
  RESOLVE,
  fchmodat,
  fchownat,
  fsetxattr,
  isErrno,
  linkat,
  lsetxattr,
  mknodat,
  openat2,
  seek,
  symlinkat,
  unlinkat,
  utimensat,
} from '../../host/linux.ts';
import { rawName } from '../../host/names.ts';
import { RuntimeError, diskHint, messageOf } from '../../model/errors.ts';
import type { LayerRecord } from '../../state/images/records.ts';
import { isAufsPath, splitLayerPath, whiteoutOf, type LayerPath, type Whiteout } from './layer-path.ts';
import { LayerTree, isOverlayXattr, kindOf, leafPath, removeWhiteoutsOnly } from './layer-tree.ts';
import type { ImageLimits } from './limits.ts';
import { corrupt, shownName, type TarEntry } from './tar-header.ts';
import type { TarHandler } from './tar.ts';

const S = { fifo: 0o010000, character: 0o020000, block: 0o060000 } as const;

/** What an unpacked layer turned out to be. */
export type UnpackedLayer = Omit<LayerRecord, 'diffId' | 'tarBytes'>;

/** A regular file that is being written. */
interface OpenFile {
  readonly fd: number;
  readonly parentFd: number;
  readonly leaf: string;
  position: number;
}

export class LayerUnpacker implements TarHandler, Disposable {
  readonly #tree: LayerTree;
  readonly #limits: ImageLimits;
  /** directories the layer lists, whose times are set when nothing is put into them any more */
  readonly #directories = new Map<string, { readonly path: LayerPath; readonly mtimeNs: bigint }>();
  #file: OpenFile | undefined;
  #entries = 0;
  readonly #whitedOut = new Set<string>();
  #opaqueRoot = false;

  /** `root`: an empty directory of our own; `what` names the layer in errors. */
  constructor(
    root: string,
    limits: ImageLimits,
    readonly what: string,
  ) {
    this.#tree = new LayerTree(root, what, limits.maxEntries);
    this.#limits = limits;
  }

  /** @throws ERR_LAYER_ESCAPE, ERR_LAYER_CORRUPT, ERR_LAYER_LIMIT; ERR_STORE_IO when the disk refuses */
  entry(entry: TarEntry): void {
    const where = `${this.what}: entry ${JSON.stringify(shownName(entry.name))}`;
    this.#entries++;
    this.#tree.settle();
    this.#guard(where, () => this.#place(entry, where));
  }

  #place(entry: TarEntry, where: string): void {
    const path = splitLayerPath(entry.name, this.#limits, where);
    if (path.leaf === '') {
      if (entry.type !== 'directory') throw corrupt(`${where} makes the root a ${entry.type}`);
      this.#describe(this.#tree.rootFd, '.', entry);
      this.#directories.set('', { path, mtimeNs: entry.mtimeNs });
      return;
    }
    if (isAufsPath(path.parent)) return;
    const whiteout = whiteoutOf(path.leaf, where);
    if (whiteout === undefined) this.#make(entry, path, this.#tree.directory(path.parent), where);
    else if (whiteout.kind !== 'ignored') this.#whiteout(whiteout, path.parent);
  }

  #whiteout(whiteout: Exclude<Whiteout, { kind: 'ignored' }>, parent: string): void {
    // umoci also lists the children of a directory that a file took the place of: the file hides them.
    if (!this.#tree.canHold(parent)) return;
    if (whiteout.kind === 'hide') this.#hide(this.#tree.directory(parent), whiteout.name);
    else if (parent === '') this.#opaqueRoot = true;
    else this.#tree.makeOpaque(this.#tree.directory(parent), '.');
  }

  /** Marks `name` as deleted from the layers below. What this very layer has there stays and hides them as well. */
  #hide(parentFd: number, name: string): void {
    this.#whitedOut.add(this.#tree.realPath(parentFd));
    try {
      mknodat(parentFd, rawName(name), S.character, 0);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      if (kindOf(parentFd, name) === 'directory') this.#tree.makeOpaque(parentFd, name);
    }
  }

  #make(entry: TarEntry, path: LayerPath, parentFd: number, where: string): void {
    const { leaf } = path;
    const name = rawName(leaf);
    switch (entry.type) {
      case 'directory':
        if (!this.#tree.makeDirectory(parentFd, leaf) && kindOf(parentFd, leaf) !== 'directory')
          throw twoTypes(where, kindOf(parentFd, leaf), 'directory');
        this.#tree.listed(parentFd, leaf);
        this.#describe(parentFd, leaf, entry);
        this.#directories.set(`${path.parent}/${leaf}`, { path, mtimeNs: entry.mtimeNs });
        return;
      case 'file':
        this.#replacing(path, parentFd, entry, where, () => {
          const fd = openat2(parentFd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600, RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS);
          this.#file = { fd, parentFd, leaf, position: 0 };
        });
        return;
      case 'hardlink':
        this.#link(entry, path, parentFd, where);
        return;
      case 'symlink':
        if (entry.linkName === '') throw corrupt(`${where} is a symbolic link to nothing`);
        if (entry.linkName.length > this.#limits.maxPathBytes)
          throw new RuntimeError('ERR_LAYER_LIMIT', `${where} has a target of ${entry.linkName.length} bytes`);
        this.#replacing(path, parentFd, entry, where, () => symlinkat(rawName(entry.linkName), parentFd, name));
        this.#describe(parentFd, leaf, entry);
        return;
      default:
        this.#replacing(path, parentFd, entry, where, () => mknodat(parentFd, name, S[entry.type as keyof typeof S] | 0o600, deviceOf(entry, where)));
        this.#describe(parentFd, leaf, entry);
    }
  }

  /** Hard links are resolved inside the layer; a link to a file of a lower layer would be a copy that nobody made. */
  #link(entry: TarEntry, path: LayerPath, parentFd: number, where: string): void {
    const target = splitLayerPath(entry.linkName, this.#limits, `${where}: its target`);
    const fromFd = this.#tree.existing(target.parent);
    const missing = (cause?: unknown): RuntimeError =>
      corrupt(`${where} is a hard link to ${JSON.stringify(shownName(entry.linkName))}, which this layer does not have`, cause);
    if (fromFd === undefined || target.leaf === '') throw missing();
    if (this.#whitedOut.size > 0 && kindOf(fromFd, target.leaf) === 'whiteout') throw missing();
    try {
      this.#replacing(path, parentFd, entry, where, () => linkat(fromFd, rawName(target.leaf), parentFd, rawName(path.leaf)));
    } catch (error) {
      if (isErrno(error, 'ENOENT')) throw missing(error);
      // EPERM: a directory. EXDEV cannot be: one directory tree of our own.
      if (isErrno(error, 'EPERM')) throw corrupt(`${where} is a hard link to a directory`, error);
      throw error;
    }
  }

  /** Archives that were appended to name things twice: the last one counts, as long as it is the same kind of thing. */
  #replacing(path: LayerPath, parentFd: number, entry: TarEntry, where: string, make: () => void): void {
    try {
      make();
      return;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
    const { leaf } = path;
    const there = kindOf(parentFd, leaf);
    if (there === 'directory' && !this.#directories.has(`${path.parent}/${leaf}`) && removeWhiteoutsOnly(parentFd, leaf)) {
      this.#tree.forget();
      make();
      return;
    }
    const same = there === 'whiteout' || there === entry.type || (entry.type === 'hardlink' && there !== 'directory');
    if (!same) throw twoTypes(where, there, entry.type);
    unlinkat(parentFd, rawName(leaf));
    if (there === 'symlink') this.#tree.forget();
    make();
  }

  data(chunk: Buffer, position: number): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#guard(this.what, () => {
      if (file.position !== position) seek(file.fd, position);
      for (let at = 0; at < chunk.length;) at += writeSync(file.fd, chunk, at);
      file.position = position + chunk.length;
    });
  }

  end(entry: TarEntry): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#guard(`${this.what}: entry ${JSON.stringify(shownName(entry.name))}`, () => {
      if (file.position < entry.bytes) ftruncateSync(file.fd, entry.bytes);
      // Owner first: it takes set-id bits and capabilities away.
      fchownSync(file.fd, entry.uid, entry.gid);
      fchmodSync(file.fd, entry.mode);
      for (const [name, value] of entry.xattrs) setXattr(name, () => fsetxattr(file.fd, name, value));
      utimensat(file.parentFd, rawName(file.leaf), entry.mtimeNs);
    });
    this.#file = undefined;
    closeSync(file.fd);
  }

  /** Owner, mode, attributes and time of anything but a regular file. */
  #describe(parentFd: number, leaf: string, entry: TarEntry): void {
    const name = rawName(leaf);
    fchownat(parentFd, name, entry.uid, entry.gid);
    if (entry.type !== 'symlink') fchmodat(parentFd, name, entry.mode);
    for (const [xattr, value] of entry.xattrs) setXattr(xattr, () => lsetxattr(leafPath(parentFd, leaf), xattr, value));
    if (entry.type !== 'directory') utimensat(parentFd, name, entry.mtimeNs);
  }

  /** Everything is there: times of directories. */
  finish(): UnpackedLayer {
    this.#guard(this.what, () => {
      for (const { path, mtimeNs } of this.#directories.values()) this.#tree.setTime(path.parent, path.leaf, mtimeNs);
    });
    return { entries: this.#entries, opaqueRoot: this.#opaqueRoot, implicit: [...this.#tree.implicit], whitedOut: [...this.#whitedOut] };
  }

  /** Makes failed system calls speak of the layer. */
  #guard(where: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Errno) && !(error instanceof Error && 'syscall' in error)) throw error;
      if (isErrno(error, 'ENAMETOOLONG')) throw new RuntimeError('ERR_LAYER_LIMIT', `${where}: the name is too long`, { cause: error });
      throw new RuntimeError('ERR_STORE_IO', `${where} cannot be unpacked: ${messageOf(error)}`, {
        cause: error,
        ...diskHint(error),
      });
    }
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
    this.#tree[Symbol.dispose]();
  }
}

const twoTypes = (where: string, there: string | undefined, entry: string): RuntimeError =>
  corrupt(`${where} is a ${entry}, and was a ${there ?? 'thing'} before`);

/** dev_t as the kernel takes it from mknod(2) (new_encode_dev). */
function deviceOf({ type, major, minor }: TarEntry, where: string): number {
  if (type === 'fifo') return 0;
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xfffff) throw corrupt(`${where} is device ${major}:${minor}, which Linux does not have`);
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Overlay's own attributes are not a layer's to set; those the file system or kernel does not know are passed over, except capabilities. */
function setXattr(name: string, set: () => void): void {
  if (isOverlayXattr(name)) return;
  try {
    set();
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP', 'EPERM') || name === 'security.capability') throw error;
  }
}
