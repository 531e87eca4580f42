/**
 * Members of a layer's tar → a lower directory for overlay: whiteouts as character devices 0:0, opaque directories by
 * extended attribute, and everything else as it is written, ownership and nanoseconds included.
 * A layer is unpacked alone, without those below it: what it links to must be in it.
 * @see OCI image-spec 1.1 layer.md; Documentation/filesystems/overlayfs.rst "whiteouts and opaque directories"; native.md E
 */
import { createHash, type Hash } from 'node:crypto';
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
import type { LoggedRegion, LoggedXattrs, TreeLog } from '../../state/images/tree-log.ts';
import { isAufsPath, splitLayerPath, whiteoutOf, type LayerPath, type Whiteout } from './layer-path.ts';
import { LayerTree, isOverlayXattr, kindOf, leafPath, removeWhiteoutsOnly } from './layer-tree.ts';
import { beyondLimit, type ImageLimits } from './limits.ts';
import { corrupt, shownName, type TarEntry } from './tar-header.ts';
import type { TarHandler } from './tar.ts';

/** PATH_MAX without the NUL: no file system keeps more of a link. */
const maxTargetBytes = 4095;
const S = { fifo: 0o010000, character: 0o020000, block: 0o060000 } as const;

/** What an unpacked layer turned out to be. */
export type UnpackedLayer = Omit<LayerRecord, 'diffId' | 'tarBytes'>;

/** A regular file that is being written. */
interface OpenFile {
  readonly fd: number;
  readonly parentFd: number;
  readonly leaf: string;
  position: number;
  /** what of it is logged: where it is, the hash of its data, and where that stands */
  readonly path: string;
  readonly hash: Hash | undefined;
  readonly regions: [offset: number, bytes: number][];
}

export class LayerUnpacker implements TarHandler, Disposable {
  readonly #tree: LayerTree;
  readonly #limits: ImageLimits;
  /** time by directory that the layer lists, by where it really is; set when nothing is put into them any more */
  readonly #directories = new Map<string, bigint>();
  #file: OpenFile | undefined;
  #entries = 0;
  readonly #whitedOut = new Set<string>();
  #opaqueRoot = false;

  /**
   * `root`: an empty directory of our own; `what` names the layer in errors; `log` is told of everything that is made;
   * `names`: whether `.wh.` at the beginning of one means something.
   */
  constructor(
    root: string,
    limits: ImageLimits,
    readonly what: string,
    readonly log?: TreeLog,
    readonly names: 'whiteouts' | 'plain names' = 'whiteouts',
  ) {
    this.#tree = new LayerTree(root, what, limits, log);
    this.#limits = limits;
    log?.add(['directory', '', 0o755, 0, 0, '', []]);
  }

  /** How many entries there were so far, directories included that nobody listed. */
  get entries(): number {
    return this.#entries + this.#tree.implicit.size;
  }

  /** @throws ERR_LAYER_ESCAPE, ERR_LAYER_CORRUPT, ERR_LAYER_LIMIT; ERR_STORE_IO when the disk refuses */
  entry(entry: TarEntry): void {
    const where = this.#whereOf(entry);
    this.#entries++;
    this.#tree.settle();
    this.#guard(where, () => this.#place(entry, where));
  }

  #whereOf = ({ name }: TarEntry): string => `${this.what}: entry ${JSON.stringify(shownName(name))}`;

  #place(entry: TarEntry, where: string): void {
    const path = splitLayerPath(entry.name, this.#limits, where);
    if (path.leaf === '') {
      if (entry.type !== 'directory') throw corrupt(`${where} makes the root a ${entry.type}`);
      this.#logDirectory('', entry, this.#describe(this.#tree.rootFd, '.', entry));
      this.#directories.set('', entry.mtimeNs);
      return;
    }
    const mayHide = this.names === 'whiteouts';
    if (mayHide && isAufsPath(path.parent)) return;
    const whiteout = mayHide ? whiteoutOf(path.leaf, where) : undefined;
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
      this.log?.add(['whiteout', joined(this.#tree.realPath(parentFd), name)]);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
      if (kindOf(parentFd, name) === 'directory') this.#tree.makeOpaque(parentFd, name);
    }
  }

  #make(entry: TarEntry, path: LayerPath, parentFd: number, where: string): void {
    const { leaf } = path;
    const name = rawName(leaf);
    const real = this.#tree.realLeaf(path.parent, parentFd, leaf);
    switch (entry.type) {
      case 'directory':
        if (!this.#tree.makeDirectory(parentFd, leaf) && kindOf(parentFd, leaf) !== 'directory')
          throw twoTypes(where, kindOf(parentFd, leaf), 'directory');
        this.#tree.listed(parentFd, leaf);
        this.#logDirectory(real, entry, this.#describe(parentFd, leaf, entry));
        this.#directories.set(real, entry.mtimeNs);
        return;
      case 'file':
        this.#replacing(path, parentFd, entry, where, () => {
          const fd = openat2(parentFd, name, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600, RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS);
          const hash = this.log === undefined ? undefined : createHash('sha256');
          this.#file = { fd, parentFd, leaf, position: 0, path: real, hash, regions: [] };
        });
        return;
      case 'hardlink':
        this.#link(entry, path, parentFd, where);
        return;
      case 'symlink':
        if (entry.linkName === '') throw corrupt(`${where} is a symbolic link to nothing`);
        if (entry.linkName.length > maxTargetBytes) throw beyondLimit('maxPathBytes', `${where} has a target of ${entry.linkName.length} bytes`);
        this.#replacing(path, parentFd, entry, where, () => symlinkat(rawName(entry.linkName), parentFd, name));
        this.#tree.hasLinks = true;
        this.#logSymlink(real, entry, this.#describe(parentFd, leaf, entry));
        return;
      default:
        this.#makeNode(entry, path, parentFd, where, real);
    }
  }

  #makeNode(entry: TarEntry, path: LayerPath, parentFd: number, where: string, real: string): void {
    const type = S[entry.type as keyof typeof S];
    const device = deviceOf(entry, where);
    this.#replacing(path, parentFd, entry, where, () => mknodat(parentFd, rawName(path.leaf), type | 0o600, device));
    const xattrs = this.#describe(parentFd, path.leaf, entry);
    this.log?.add(
      device === 0 && entry.type === 'character'
        ? ['whiteout', real]
        : ['node', real, entry.mode, entry.uid, entry.gid, String(entry.mtimeNs), xattrs, type, device],
    );
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
      const to = this.#tree.realLeaf(target.parent, fromFd, target.leaf);
      this.log?.add(['link', this.#tree.realLeaf(path.parent, parentFd, path.leaf), to]);
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
    const real = this.#tree.realLeaf(path.parent, parentFd, leaf);
    if (there === 'directory' && !this.#directories.has(real) && removeWhiteoutsOnly(parentFd, leaf)) {
      this.log?.add(['gone', real]);
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
      file.hash?.update(chunk);
      const last = file.regions.at(-1);
      if (last !== undefined && file.position === position) last[1] += chunk.length;
      else file.regions.push([position, chunk.length]);
      for (let at = 0; at < chunk.length;) at += writeSync(file.fd, chunk, at);
      file.position = position + chunk.length;
    });
  }

  end(entry: TarEntry): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#guard(this.#whereOf(entry), () => {
      if (file.position < entry.bytes) ftruncateSync(file.fd, entry.bytes);
      // Owner first: it takes set-id bits and capabilities away.
      fchownSync(file.fd, entry.uid, entry.gid);
      fchmodSync(file.fd, entry.mode);
      const xattrs = setXattrs(
        entry.xattrs,
        () => this.#whereOf(entry),
        (name, value) => fsetxattr(file.fd, name, value),
      );
      utimensat(file.parentFd, rawName(file.leaf), entry.mtimeNs);
      this.#logFile(file, entry, xattrs);
    });
    this.#file = undefined;
    closeSync(file.fd);
  }

  #logDirectory(real: string, { mode, uid, gid }: TarEntry, xattrs: LoggedXattrs): void {
    this.log?.add(['directory', real, mode, uid, gid, '', xattrs]);
  }
  #logSymlink(real: string, { uid, gid, mtimeNs, linkName }: TarEntry, xattrs: LoggedXattrs): void {
    this.log?.add(['symlink', real, uid, gid, String(mtimeNs), xattrs, linkName]);
  }
  #logFile({ path, hash, regions }: OpenFile, { mode, uid, gid, mtimeNs, bytes }: TarEntry, xattrs: LoggedXattrs): void {
    if (hash === undefined) return;
    const isWhole = bytes === 0 ? regions.length === 0 : regions.length === 1 && regions[0]?.[0] === 0 && regions[0][1] === bytes;
    const record = ['file', path, mode, uid, gid, String(mtimeNs), xattrs, bytes, hash.digest('hex')] as const;
    this.log?.add(isWhole ? record : [...record, regions satisfies readonly LoggedRegion[]]);
  }

  /** Owner, mode, attributes and time of anything but a regular file. @returns the attributes it has now */
  #describe(parentFd: number, leaf: string, entry: TarEntry): LoggedXattrs {
    const name = rawName(leaf);
    fchownat(parentFd, name, entry.uid, entry.gid);
    if (entry.type !== 'symlink') fchmodat(parentFd, name, entry.mode);
    const xattrs = setXattrs(
      entry.xattrs,
      () => this.#whereOf(entry),
      (xattr, value) => lsetxattr(leafPath(parentFd, leaf), xattr, value),
    );
    if (entry.type !== 'directory') utimensat(parentFd, name, entry.mtimeNs);
    return xattrs;
  }

  /** Everything is there: times of directories. */
  finish(): UnpackedLayer {
    this.#guard(this.what, () => {
      for (const [directory, mtimeNs] of this.#directories) {
        this.#tree.setTime(directory, mtimeNs);
        this.log?.add(['time', directory, String(mtimeNs)]);
      }
    });
    return {
      entries: this.#entries,
      opaqueRoot: this.#opaqueRoot,
      implicit: [...this.#tree.implicit],
      whitedOut: [...this.#whitedOut],
      listsRoot: this.#directories.has(''),
    };
  }

  /** Makes failed system calls speak of the layer. */
  #guard(where: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof Errno) && !(error instanceof Error && 'syscall' in error)) throw error;
      if (isErrno(error, 'ENAMETOOLONG')) throw beyondLimit('maxPathBytes', `${where}: the name is too long`);
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

/** More would not fit the list that the kernel gives of them (XATTR_LIST_MAX), and file systems keep far fewer. */
const maxXattrs = 1000;
/** What ext4 keeps of all attributes of a file; with larger ones its ENOSPC is not about the disk. */
const smallXattrBytes = 3000;

/**
 * Overlay's own attributes are not a layer's to set; those the file system or kernel does not know are passed over, except
 * capabilities. @returns what was set, in the order of names
 * @throws ERR_LAYER_CORRUPT for what the kernel calls malformed, ERR_LAYER_LIMIT for what is too large for the file system
 */
function setXattrs(xattrs: ReadonlyMap<string, Buffer>, where: () => string, set: (name: string, value: Buffer) => void): LoggedXattrs {
  if (xattrs.size === 0) return none;
  if (xattrs.size > maxXattrs) throw new RuntimeError('ERR_LAYER_LIMIT', `${where()} has ${xattrs.size} extended attributes`);
  const done: [string, string][] = [];
  let bytes = 0;
  for (const [name, value] of xattrs) {
    if (isOverlayXattr(name)) continue;
    bytes += name.length + value.length;
    try {
      set(name, value);
      done.push([name, value.toString('hex')]);
    } catch (error) {
      const attribute = `the extended attribute ${JSON.stringify(shownName(name))} of ${value.length} bytes`;
      if (isErrno(error, 'EINVAL')) throw corrupt(`${where()}: ${attribute} makes no sense to the kernel`, error);
      if (isErrno(error, 'E2BIG', 'ERANGE') || (isErrno(error, 'ENOSPC') && bytes > smallXattrBytes))
        throw new RuntimeError('ERR_LAYER_LIMIT', `${where()}: ${attribute} is more than the file system keeps`, { cause: error });
      if (!isErrno(error, 'EOPNOTSUPP', 'EPERM') || name === 'security.capability') throw error;
    }
  }
  return done.sort(([a], [b]) => (a < b ? -1 : 1));
}
const none: LoggedXattrs = [];

const joined = (parent: string, leaf: string): string => (parent === '' ? leaf : `${parent}/${leaf}`);
