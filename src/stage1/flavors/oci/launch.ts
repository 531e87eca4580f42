/** Step 'pod.launch': this process becomes the supervisor. @see DESIGN 5; ../../README.md (argv, files) */
import { join } from 'node:path';
import { execve, pendingSignal } from '../../../host/linux.ts';
import { holdProcess } from '../../../host/process.ts';
import { findProgram } from '../../../host/run-program.ts';
import { RuntimeError, messageOf } from '../../../model/errors.ts';
import type { Stage1Pod } from '../../contract.ts';
import { podCgroupPath } from './cgroup.ts';
import { maxApps } from './layout.ts';
import { stopSignalNumber } from './signals.ts';
import { wantedTerminal } from './terminal.ts';

declare const __DIST__: string;

/** The crun that runs apps. @throws ERR_HOST_PROGRAM_MISSING */
export function findCrun(): string {
  const found = findProgram('crun');
  if (found === undefined) throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', 'crun is not installed', { hint: 'apt install crun' });
  return found;
}

/** Pure: argv of the supervisor. @throws ERR_STAGE1_LAUNCH for a pod it cannot run */
export function supervisorArgv(pod: Stage1Pod, crun: string, cgroup: string, lockFd: number, terminal: boolean): string[] {
  const refuse = (why: string): never => {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', why);
  };
  if (pod.apps.length === 0 || pod.apps.length > maxApps) refuse(`a pod has 1 to ${maxApps} apps, not ${pod.apps.length}`);
  if (pod.interactive && pod.apps.length > 1) refuse('interactive option only supports pods with one app');
  const hostnameBytes = Buffer.byteLength(pod.hostname);
  if (hostnameBytes === 0 || hostnameBytes > 64) refuse(`a host name has 1 to 64 bytes, not ${hostnameBytes}`);
  return [
    'rkt-supervisor',
    '--pod-dir',
    pod.dir,
    '--uuid',
    pod.id,
    '--lock-fd',
    String(lockFd),
    ...(pod.netns === undefined ? ['--host-net'] : ['--netns', pod.netns]),
    '--hostname',
    pod.hostname,
    '--crun',
    crun,
    '--cgroup',
    cgroup,
    '--grace-ms',
    String(pod.graceMs),
    ...(terminal ? ['--terminal'] : pod.interactive ? ['--interactive'] : []),
    ...pod.apps.flatMap(({ spec, image }) => ['--app', `${spec.name}:${stopSignalNumber(spec.name, image.config.stopSignal)}`]),
  ];
}

/** Only what names a program or rkt itself: an LD_PRELOAD or NOTIFY_SOCKET of the caller is not for crun. */
const supervisorEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value !== undefined && (name === 'PATH' || name.startsWith('RKT_')) ? [[name, value]] : [],
    ),
  );

/** Never returns. The supervisor writes the pod's pid file when it can be signalled; a signal before that ends the pod. */
export function launch(pod: Stage1Pod, lockFd: number): never {
  const argv = supervisorArgv(pod, findCrun(), podCgroupPath(pod.id), lockFd, wantedTerminal(pod) !== undefined);
  const supervisor = join(__DIST__, 'stage1/oci/rkt-supervisor');
  const signal = pendingSignal();
  if (signal !== 0) throw new RuntimeError('ERR_INTERRUPTED', `stopped by signal ${signal} before the pod was launched`, { exitCode: 128 + signal });
  try {
    return execve(supervisor, argv, supervisorEnvironment(), [lockFd]);
  } catch (error) {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot become ${supervisor}: ${messageOf(error)}`, { cause: error, hint: 'npm run build makes it' });
  }
}

const killMs = 10_000;

/** Ends the supervisor `pid`, and with it the pod, if it still is the process that started at `startTime`. */
export function kill(pid: number, startTime: string): void {
  // Undone by the very process that failed to become the supervisor.
  if (pid === process.pid) return;
  using supervisor = holdProcess({ pid, startTime });
  if (supervisor === undefined || !supervisor.signal(9)) return;
  if (!supervisor.waitEnd(killMs)) throw new RuntimeError('ERR_EFFECT_FAILED', `process ${pid} does not end, not even by SIGKILL`);
}
