/** `rkt cp`: files between the host and an app. @see podman-cp(1) for what a destination means */
import { closeSync, fstatSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { copyContents, copyTree, placeName, type CopyOptions } from '../host/copy-tree.ts';
import { AT_FDCWD, O, RESOLVE, isErrno, openat2 } from '../host/linux.ts';
import { RuntimeError, diskHint, messageOf } from '../model/errors.ts';
import { appToEnter, podInfo } from '../state/pod/info.ts';
import { findPod } from '../state/pod/lifecycle.ts';
import { withAppRoot } from './app-root.ts';

/** One end of a copy. */
export type CopyEnd =
  | { readonly path: string; readonly pod: string; readonly app: string | undefined }
  | { readonly path: string; readonly pod: undefined };

/** `POD:PATH`, `POD:APP:PATH`; what begins with `/` or `.`, or has no colon, is a path of the host. */
export function parseCopyEnd(text: string): CopyEnd {
  const [, pod, app, path] = /^([^/.:][^/:]*):(?:([a-z0-9-]+):)?(.*)$/s.exec(text) ?? [];
  return pod === undefined ? { path: text, pod: undefined } : { pod, app, path: path ?? '' };
}

/** An open root and how paths are looked up in it. */
interface Root {
  readonly fd: number;
  readonly resolve: number;
}
const hostRoot: Root = { fd: AT_FDCWD, resolve: 0 };

/** Copies `from` to `to`, of which one is in a pod. @throws ERR_CLI_USAGE, ERR_POD_STATE, ERR_POD_IO */
export function copyFiles(dataDir: string, from: CopyEnd, to: CopyEnd, options: CopyOptions): void {
  if ((from.pod === undefined) === (to.pod === undefined))
    throw new RuntimeError('ERR_CLI_USAGE', 'one of the two is in a pod, the other is not', {
      hint: 'write POD:PATH or POD:APP:PATH for what is in a pod',
    });
  if (from.path === '' || to.path === '') throw new RuntimeError('ERR_CLI_USAGE', 'a path is missing');
  const inRoot = (end: CopyEnd, use: (root: Root) => void): void => {
    if (end.pod === undefined) {
      use(hostRoot);
      return;
    }
    const pod = podInfo(findPod(dataDir, end.pod));
    const name = appToEnter(pod, end.app);
    const app = pod.manifest?.apps.find((one) => one.name === name);
    if (app === undefined) throw new RuntimeError('ERR_APP_NOT_FOUND', `pod ${pod.id} has no app ${name}`);
    withAppRoot(dataDir, pod, app, (fd) => use({ fd, resolve: RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS }));
  };
  const isPulled = from.pod !== undefined;
  inRoot(isPulled ? from : to, (root) => {
    try {
      copyBetween({ root: isPulled ? root : hostRoot, path: from.path }, { root: isPulled ? hostRoot : root, path: to.path }, options);
    } catch (error) {
      if (error instanceof RuntimeError) throw error;
      throw new RuntimeError('ERR_POD_IO', `cannot copy ${from.path} to ${to.path}: ${messageOf(error)}`, { cause: error, ...diskHint(error) });
    }
  });
}

interface RootedPath {
  readonly root: Root;
  readonly path: string;
}

const open = ({ root, path }: RootedPath, flags: number): number => openat2(root.fd, path, flags, 0, root.resolve);

function copyBetween(from: RootedPath, to: RootedPath, options: CopyOptions): void {
  const target = openDirectory(to);
  const name = basename(from.path);
  try {
    if (from.path.endsWith('/.') || name === '' || name === '.' || name === '..') {
      if (target === undefined) throw new RuntimeError('ERR_POD_IO', `${to.path} is not a directory that is there`);
      using source = opened(open(from, O.RDONLY | O.DIRECTORY));
      copyContents(source.fd, target, options);
      return;
    }
    using parent = opened(open({ root: from.root, path: dirname(from.path) }, O.PATH | O.DIRECTORY));
    const source = { fd: parent.fd, name: placeName(name) };
    if (target !== undefined) {
      copyTree(source, { fd: target, name: placeName(name) }, options);
      return;
    }
    if (to.path.endsWith('/')) throw new RuntimeError('ERR_POD_IO', `${to.path} is not a directory that is there`);
    using place = opened(open({ root: to.root, path: dirname(to.path) }, O.PATH | O.DIRECTORY));
    copyTree(source, { fd: place.fd, name: placeName(basename(to.path)) }, options);
  } finally {
    if (target !== undefined) closeSync(target);
  }
}

const opened = (fd: number): Disposable & { readonly fd: number } => ({ fd, [Symbol.dispose]: () => closeSync(fd) });

/** Undefined when there is nothing, or no directory. */
function openDirectory(path: RootedPath): number | undefined {
  try {
    const fd = open(path, O.PATH);
    if (fstatSync(fd).isDirectory()) return fd;
    closeSync(fd);
    return undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
