/** Mounts that are nowhere yet: copied in one mount namespace, put in place in another. @see open_tree(2), move_mount(2), mount_setattr(2) */
import { readFileSync } from 'node:fs';
import { AT_FDCWD, O, call } from './linux.ts';

const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const MOUNT_ATTR_RDONLY = 1n;
/** both ends are descriptors */
const MOVE_MOUNT_EMPTY_PATHS = 0x44;

/** A copy of what is mounted at `path`, file or directory; the copy of a shared mount is its peer. @returns a descriptor for {@link attachTree} */
export const cloneTree = (path: string, recursive: boolean): number =>
  call('open_tree', path, AT_FDCWD, path, OPEN_TREE_CLONE | O.CLOEXEC | (recursive ? AT_RECURSIVE : 0));

/** Makes every mount of a detached tree read-only; the mounts it was copied from stay as they are. */
export function makeTreeReadOnly(tree: number): void {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(MOUNT_ATTR_RDONLY, 0);
  call('mount_setattr', `fd ${tree}`, tree, '', AT_EMPTY_PATH | AT_RECURSIVE, attributes, attributes.length);
}

/** Mounts a detached tree over what the descriptor `target` stands for. */
export const attachTree = (tree: number, target: number): void =>
  void call('move_mount', `fd ${target}`, tree, '', target, '', MOVE_MOUNT_EMPTY_PATHS);

/** Where something is mounted in this thread's namespace. */
export const mountPoints = (): string[] =>
  readFileSync('/proc/thread-self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))));
