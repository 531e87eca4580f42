/** An app's mounted root, made ready: what rkt promises to be there, without ever following a link out of it. */
import { closeSync, fchmodSync, fstatSync, openSync, readSync } from 'node:fs';
import { O, RESOLVE, isErrno, mkdirat, openat2, symlinkat } from '../../../host/linux.ts';
import { RuntimeError, diskHint, messageOf } from '../../../model/errors.ts';

const inRoot = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS;

/** An open root directory; every path is resolved inside it. */
export class Rootfs implements Disposable {
  readonly fd: number;
  constructor(readonly path: string) {
    this.fd = openSync(path, O.PATH | O.DIRECTORY);
  }

  has(path: string): boolean {
    try {
      closeSync(openat2(this.fd, path, O.PATH, 0, inRoot));
      return true;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return false;
      throw error;
    }
  }

  /** A descriptor (O_PATH) of a directory; undefined when there is none. */
  openDirectory(path: string): number | undefined {
    try {
      return openat2(this.fd, path, O.PATH | O.DIRECTORY, 0, inRoot);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return undefined;
      throw error;
    }
  }

  /** The first 64 KiB of a regular file; undefined when there is none. */
  readText(path: string): string | undefined {
    let fd: number;
    try {
      fd = openat2(this.fd, path, O.RDONLY | O.NONBLOCK, 0, inRoot);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) return undefined;
      throw error;
    }
    try {
      if (!fstatSync(fd).isFile()) return undefined;
      const bytes = Buffer.alloc(64 << 10);
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  }

  /** Makes `path` and the missing directories above it, `mode` for the last, 0755 for the others. Existing ones are left as they are. */
  makeDirectory(path: string, mode = 0o755): void {
    const names = path.split('/').filter((name) => name !== '' && name !== '.');
    let parent = openat2(this.fd, '.', O.PATH | O.DIRECTORY, 0, inRoot);
    try {
      for (let depth = 1; depth <= names.length; depth++) {
        const next = this.#openOrMake(parent, names[depth - 1] ?? '', names.slice(0, depth).join('/'), depth === names.length ? mode : 0o755);
        closeSync(parent);
        parent = next;
      }
    } finally {
      closeSync(parent);
    }
  }

  /** Makes an empty file if nothing has its name. */
  makeFile(path: string): void {
    try {
      closeSync(openat2(this.fd, path, O.WRONLY | O.CREAT | O.EXCL, 0o644, inRoot));
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw cannotMake(`the file /${path}`, error);
    }
  }

  /** Opened by its whole path, so that links are taken from the root; made beside its already resolved parent. */
  #openOrMake(parent: number, name: string, whole: string, mode: number): number {
    try {
      return openat2(this.fd, whole, O.PATH | O.DIRECTORY, 0, inRoot);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw new RuntimeError('ERR_STAGE1_LAUNCH', `/${whole} in the image is not a directory`, { cause: error });
    }
    try {
      mkdirat(parent, name, mode);
      // mkdir obeys the umask. By descriptor: an app that shares a volume may put a link in the place of what was just made.
      const made = openat2(parent, name, O.RDONLY | O.DIRECTORY, 0, RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS);
      try {
        fchmodSync(made, mode);
      } finally {
        closeSync(made);
      }
    } catch (error) {
      // EEXIST: a link that leads nowhere. Nothing good can be made of it.
      throw cannotMake(`directory /${whole}`, error);
    }
    return openat2(this.fd, whole, O.PATH | O.DIRECTORY, 0, inRoot);
  }

  /**
   * What a volume is mounted over: `path`, made when it is missing, as a directory or as an empty file, and the directories above it too.
   * @returns a descriptor (O_PATH). @throws ERR_STAGE1_LAUNCH when it is of the other kind
   */
  openTarget(path: string, isDirectory: boolean): number {
    const relative = path.replace(/^\/+/, '');
    if (isDirectory) this.makeDirectory(relative);
    else {
      const slash = relative.lastIndexOf('/');
      if (slash > 0) this.makeDirectory(relative.slice(0, slash));
    }
    try {
      if (!isDirectory && !this.has(relative)) closeSync(openat2(this.fd, relative, O.WRONLY | O.CREAT | O.EXCL, 0o644, inRoot));
      const fd = openat2(this.fd, relative, O.PATH | (isDirectory ? O.DIRECTORY : 0), 0, inRoot);
      if (isDirectory || !fstatSync(fd).isDirectory()) return fd;
      closeSync(fd);
    } catch (cause) {
      throw new RuntimeError('ERR_STAGE1_LAUNCH', `nothing can be mounted at ${path} in the image: ${messageOf(cause)}`, {
        cause,
        ...diskHint(cause),
      });
    }
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `${path} is a directory in the image, the volume is a file`);
  }

  /** Makes a symbolic link if nothing has its name. */
  linkIfMissing(directory: string, name: string, target: string): void {
    let fd: number;
    try {
      fd = openat2(this.fd, directory, O.PATH | O.DIRECTORY, 0, inRoot);
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return;
      throw error;
    }
    try {
      symlinkat(target, fd, name);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    } finally {
      closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}

const cannotMake = (what: string, cause: unknown): RuntimeError =>
  new RuntimeError('ERR_STAGE1_LAUNCH', `cannot make ${what} in the image: ${messageOf(cause)}`, { cause, ...diskHint(cause) });

/**
 * rkt.md 2.7, as far as the runtime does not make it itself. The working directory is made because images
 * built by Docker rely on that.
 */
export function completeRootfs(root: Rootfs, workingDirectory: string): void {
  root.makeDirectory('tmp', 0o1777);
  for (const path of ['dev', 'etc', 'proc', 'sys', 'run/systemd/journal']) root.makeDirectory(path);
  root.linkIfMissing('etc', 'mtab', '../proc/self/mounts');
  root.makeDirectory(workingDirectory);
}
