/** What this thread is to the kernel: its root, its user. For a process that is about to become another program. */
import { call } from './linux.ts';

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** The calling thread's root; its working directory stays where it is. */
export const chroot = (path: string): void => void call('chroot', path, path);

/**
 * User and groups of the calling thread, real and effective. The saved ones stay root's, so that {@link becomeRootAgain} works until the
 * next execve, which forgets them, and the capabilities of a user who is not root with them.
 */
export function becomeUser({ uid, gid, groups }: Identity): void {
  const list = Buffer.alloc(groups.length * 4);
  for (const [i, group] of groups.entries()) list.writeUInt32LE(group, i * 4);
  call('setgroups', `${groups.length} groups`, groups.length, groups.length === 0 ? null : list);
  call('setresgid', `gid ${gid}`, gid, gid, 0);
  call('setresuid', `uid ${uid}`, uid, uid, 0);
}

/** Undoes {@link becomeUser} after an execve that failed. */
export function becomeRootAgain(): void {
  call('setresuid', 'uid 0', 0, 0, 0);
  call('setresgid', 'gid 0', 0, 0, 0);
  call('setgroups', 'no groups', 0, null);
}
