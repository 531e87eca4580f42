/** `rkt stop` for the fly flavor: signals to the app, or to its group where it leads one. @see rkt.md 2.13 */
import { statSync } from 'node:fs';
import { monotonicMs, sleepMs } from '../../../host/clock.ts';
import { readText } from '../../../host/files.ts';
import { tryLock } from '../../../host/flock.ts';
import { SIGNAL, isErrno } from '../../../host/linux.ts';
import { holdProcess, openersOf, readProcessId, type ProcessId } from '../../../host/process.ts';
import { RuntimeError } from '../../../model/errors.ts';
import { podFiles } from '../../../state/pod/layout.ts';
import type { StopOutcome } from '../../contract.ts';

const startMs = 10_000;
const killMs = 10_000;

/** TERM, the grace time, KILL to all that is left of the pod; `force`: KILL at once. */
export function stop(podDir: string, { force, graceMs }: { readonly force: boolean; readonly graceMs: number }): StopOutcome {
  if (!awaitStart(podDir)) return 'was not running';
  if (!force) {
    signalApp(podDir, SIGNAL.TERM);
    if (awaitEnd(podDir, graceMs)) return 'stopped';
  }
  const deadline = monotonicMs() + killMs;
  do {
    signalApp(podDir, SIGNAL.KILL);
    for (const process of holdersOf(podDir)) sendTo(process, SIGNAL.KILL);
    if (awaitEnd(podDir, 100)) return 'killed';
  } while (monotonicMs() < deadline);
  throw new RuntimeError('ERR_POD_STATE', `the pod in ${podDir} does not end, not even by SIGKILL`);
}

/** Ends the app `pid`, if it still is the process that started at `startTime`. */
export function kill(podDir: string, pid: number, startTime: string): void {
  // Undone by the very process that failed to become the app.
  if (pid === process.pid) return;
  using app = holdProcess({ pid, startTime });
  if (app?.signal(SIGNAL.KILL) === true && !app.waitEnd(killMs))
    throw new RuntimeError('ERR_EFFECT_FAILED', `process ${pid} of ${podDir} does not end, not even by SIGKILL`);
}

const isRunning = (podDir: string): boolean => {
  using free = tryLock(podDir, 'shared');
  return free === undefined;
};

/** A pod that is being started is locked but has no pid file. False: it does not run. @throws ERR_POD_STATE */
function awaitStart(podDir: string): boolean {
  const deadline = monotonicMs() + startMs;
  while (isRunning(podDir)) {
    if (readProcessId(podFiles(podDir).pid) !== undefined) return true;
    if (monotonicMs() > deadline) throw new RuntimeError('ERR_POD_STATE', `the pod in ${podDir} does not become ready`);
    sleepMs(10);
  }
  return false;
}

function awaitEnd(podDir: string, timeoutMs: number): boolean {
  const deadline = monotonicMs() + timeoutMs;
  while (isRunning(podDir)) {
    if (monotonicMs() >= deadline) return false;
    sleepMs(10);
  }
  return true;
}

/** An app that does not lead its group shares it with whoever started rkt. */
function signalApp(podDir: string, signal: number): void {
  const files = podFiles(podDir);
  const wanted = readProcessId(files.pid);
  if (wanted === undefined) return;
  using app = holdProcess(wanted);
  if (app === undefined) return;
  const leads = readText(files.processGroup)?.trim() === String(wanted.pid);
  if (!leads || !sendToGroup(wanted.pid, signal)) app.signal(signal);
}

/** False: there is no such group (any more). The group cannot be another's, for its leader is held. */
function sendToGroup(group: number, signal: number): boolean {
  try {
    return process.kill(-group, signal);
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

function sendTo(wanted: ProcessId, signal: number): void {
  using process = holdProcess(wanted);
  process?.signal(signal);
}

/** What the app started and the pod's lock keeps alive. Who only looks at the pod's directory has the host's root. */
function holdersOf(podDir: string): ProcessId[] {
  const host = statSync('/');
  return openersOf(podDir).filter(({ pid }) => {
    try {
      const root = statSync(`/proc/${pid}/root/`);
      return root.dev !== host.dev || root.ino !== host.ino;
    } catch (error) {
      if (isErrno(error, 'ENOENT', 'ESRCH', 'EACCES')) return false;
      throw error;
    }
  });
}
