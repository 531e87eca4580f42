/** `rkt stop`: asks the supervisor, then waits. @see rkt.md 2.13 */
import { monotonicMs, sleepMs } from '../../../host/clock.ts';
import { tryLock } from '../../../host/flock.ts';
import { SIGNAL } from '../../../host/linux.ts';
import { holdProcess, readProcessId, type ProcessId } from '../../../host/process.ts';
import { RuntimeError } from '../../../model/errors.ts';
import { podFiles } from '../../../state/pod/layout.ts';
import type { StopOutcome } from '../../contract.ts';

/** What the supervisor needs beyond the apps' grace time; generous, because a loaded machine is no reason to kill. */
const marginMs = 5_000;
const startMs = 10_000;
const killMs = 10_000;

/** supervisor.h: SIGKILL to every app at once, then the ordinary end, with the release of what the pod held. */
const forceSignal = 64;
/** A supervisor that is stopped or frozen does not answer. */
const forceMs = 3_000;

/**
 * In order: stop signals, grace time, KILL, all by the supervisor. `force`: KILL, by the supervisor. When it does not end in time, SIGKILL to it
 * takes every process of the pod along; what the pod held is then gc's.
 */
export function stop(podDir: string, options: { readonly force: boolean; readonly graceMs: number }): StopOutcome {
  const wanted = supervisorOf(podDir);
  using supervisor = wanted === undefined ? undefined : holdProcess(wanted);
  if (supervisor === undefined) return 'was not running';
  if (!supervisor.signal(options.force ? forceSignal : SIGNAL.TERM)) return 'was not running';
  if (supervisor.waitEnd(options.force ? forceMs : options.graceMs + marginMs)) return options.force ? 'killed' : 'stopped';
  supervisor.signal(SIGNAL.KILL);
  if (!supervisor.waitEnd(killMs)) throw new RuntimeError('ERR_POD_STATE', `the supervisor of ${podDir} does not end, not even by SIGKILL`);
  return 'killed';
}

/** A pod that is being started is locked but has no pid file: its supervisor writes it as soon as it can be signalled. @throws ERR_POD_STATE */
function supervisorOf(podDir: string): ProcessId | undefined {
  const deadline = monotonicMs() + startMs;
  for (;;) {
    const found = readProcessId(podFiles(podDir).pid);
    if (found !== undefined) return found;
    using free = tryLock(podDir, 'shared');
    if (free !== undefined) return undefined;
    if (monotonicMs() > deadline)
      throw new RuntimeError('ERR_POD_STATE', `the pod in ${podDir} runs, but its file pid is gone: nobody knows its supervisor`, {
        hint: `fuser -v ${podDir} shows who holds the pod: that process ended, gc removes what is left`,
      });
    sleepMs(10);
  }
}
