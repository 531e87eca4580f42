/** What a pod frees by itself when it ends: handed to the supervisor as a file, and waited for. @see release.c */
import { writeAtomic } from '../../../host/files.ts';
import { tryLockNamed } from '../../../host/flock.ts';
import { SIGNAL } from '../../../host/linux.ts';
import { holdProcess, readProcessId } from '../../../host/process.ts';
import { RuntimeError, diskHint, messageOf } from '../../../model/errors.ts';
import { ociFiles } from './layout.ts';

/** @throws ERR_STAGE1_LAUNCH */
export function writeRelease(podDir: string, release: Uint8Array): void {
  const path = ociFiles(podDir).release;
  try {
    // Stdin of plugins is in it, as in the journal.
    writeAtomic(path, release, { mode: 0o640 });
  } catch (cause) {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot write ${path}: ${messageOf(cause)}`, { cause, ...diskHint(cause) });
  }
}

/** As long as a plugin may take. */
const patienceMs = 30_000;
const killMs = 5_000;

/**
 * Returns when no release of the pod is under way: whoever undoes it next has the field to himself. The lock is taken by the
 * supervisor and passes to the child that does the work. One that takes longer than a plugin may is killed, and its
 * plugin with it. @throws ERR_EFFECT_FAILED
 */
export function awaitRelease(podDir: string): void {
  const files = ociFiles(podDir);
  const isOver = (withinMs: number): boolean => {
    const lock = tryLockNamed(files.release, 'exclusive', { patienceMs: withinMs });
    if (typeof lock !== 'string') lock.release();
    return lock !== 'held';
  };
  if (isOver(patienceMs)) return;
  const pid = readProcessId(files.releasePid);
  using process = pid === undefined ? undefined : holdProcess(pid);
  process?.signal(SIGNAL.KILL);
  if (!isOver(killMs))
    throw new RuntimeError('ERR_EFFECT_FAILED', `process ${pid?.pid ?? '(unknown)'} still releases what the pod had, and does not end`);
}
