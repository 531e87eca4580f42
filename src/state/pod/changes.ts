/**
 * The right to change a running pod. Its directory's lock is the supervisor's as long as it runs, so changes have a lock file
 * of their own, `changes`. Order: who changes locks it and then looks whether the supervisor lives; who takes an exited pod
 * apart holds the directory (the supervisor is dead) and then asks for `changes` ({@link holdPod}). So one of two always sees the other.
 */
import { tryLock, type Lock } from '../../host/flock.ts';
import { isAlive, readProcessId } from '../../host/process.ts';
import { RuntimeError, isErrno } from '../../model/errors.ts';
import { podFiles } from './layout.ts';
import type { PodEntry } from './lifecycle.ts';

/**
 * Takes a running pod for a change, waiting at most `patienceMs` for another one to finish.
 * @throws ERR_POD_STATE when it does not run, or is still being changed
 */
export function holdRunningPod(pod: PodEntry, patienceMs: number): Lock {
  const notRunning = (state: string): RuntimeError => new RuntimeError('ERR_POD_STATE', `pod ${pod.id} is ${state}, not running`);
  if (pod.state !== 'running') throw notRunning(pod.state);
  const files = podFiles(pod.dir);
  let held: Lock | undefined;
  try {
    held = tryLock(files.changes, 'exclusive', { create: true, patienceMs });
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw notRunning('exited');
    throw error;
  }
  if (held === undefined) throw new RuntimeError('ERR_POD_STATE', `somebody else is changing pod ${pod.id}`, { hint: 'try again' });
  if (supervisorLives(pod)) return held;
  held.release();
  throw notRunning('starting or exiting');
}

/** Whether the pod's supervisor has started and not ended. */
export function supervisorLives(pod: Pick<PodEntry, 'dir'>): boolean {
  const supervisor = readProcessId(podFiles(pod.dir).pid);
  return supervisor !== undefined && isAlive(supervisor);
}
