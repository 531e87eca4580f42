/** Step 'pod.launch': this process becomes the supervisor. @see DESIGN 5; ../../README.md (argv, files) */
import { join } from 'node:path';
import { execve, isErrno, pendingSignal } from '../../../host/linux.ts';
import { holdProcess } from '../../../host/process.ts';
import { findProgram } from '../../../host/run-program.ts';
import { RuntimeError, messageOf } from '../../../model/errors.ts';
import type { Stage1Pod } from '../../contract.ts';
import { podCgroupPath } from './cgroup.ts';
import { maxApps } from './layout.ts';
import { hostMountsFd } from './mounts.ts';
import { awaitRelease, writeRelease } from './release.ts';
import { stopSignalNumber } from './signals.ts';
import { wantedTerminal } from './terminal.ts';

declare const __DIST__: string;

/** The crun that runs apps. @throws ERR_HOST_PROGRAM_MISSING */
export function findCrun(): string {
  const found = findProgram('crun');
  if (found === undefined) throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', 'crun is not installed', { hint: 'apt install crun' });
  return found;
}

/** What the supervisor is handed besides the pod. */
export interface Handover {
  readonly crun: string;
  /** path of the pod's group in the hierarchy that its changes are hastened in */
  readonly cgroup: string;
  readonly lockFd: number;
  /** the host's mount namespace; undefined: the supervisor is in it */
  readonly mountsFd: number | undefined;
  readonly terminal: boolean;
  /** whoever started us ends everything that outlives the supervisor */
  readonly releaseFirst: boolean;
}

/** Pure: argv of the supervisor. @throws ERR_STAGE1_LAUNCH for a pod it cannot run */
export function supervisorArgv(pod: Stage1Pod, { crun, cgroup, lockFd, mountsFd, terminal, releaseFirst }: Handover): string[] {
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
    ...(mountsFd === undefined ? [] : ['--mounts-fd', String(mountsFd)]),
    ...(pod.netns === undefined ? ['--host-net'] : ['--netns', pod.netns]),
    '--hostname',
    pod.hostname,
    '--crun',
    crun,
    '--cgroup',
    cgroup,
    '--grace-ms',
    String(pod.graceMs),
    ...(releaseFirst ? ['--release-first'] : []),
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
export function launch(pod: Stage1Pod, lockFd: number, release: Uint8Array | undefined): never {
  const mountsFd = hostMountsFd();
  // systemd (which sets INVOCATION_ID) ends what is left of a service when its main process ends.
  const releaseFirst = process.env['INVOCATION_ID'] !== undefined;
  const argv = supervisorArgv(pod, {
    crun: findCrun(),
    cgroup: podCgroupPath(pod.id),
    lockFd,
    mountsFd,
    terminal: wantedTerminal(pod) !== undefined,
    releaseFirst,
  });
  if (release !== undefined) writeRelease(pod.dir, release);
  const supervisor = join(__DIST__, 'stage1/oci/rkt-supervisor');
  try {
    return execve(supervisor, argv, supervisorEnvironment(), [lockFd, ...(mountsFd === undefined ? [] : [mountsFd])]);
  } catch (error) {
    const signal = pendingSignal();
    if (signal !== 0 && isErrno(error, 'EINTR'))
      throw new RuntimeError('ERR_INTERRUPTED', `stopped by signal ${signal} before the pod was launched`, { exitCode: 128 + signal });
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot become ${supervisor}: ${messageOf(error)}`, { cause: error, hint: 'npm run build makes it' });
  }
}

const killMs = 10_000;

/** Ends the supervisor `pid`, and with it the pod, if it still is the process that started at `startTime`; its release is over then. */
export function kill(podDir: string, pid: number, startTime: string): void {
  // Undone by the very process that failed to become the supervisor.
  if (pid === process.pid) return;
  using supervisor = holdProcess({ pid, startTime });
  if (supervisor?.signal(9) === true && !supervisor.waitEnd(killMs))
    throw new RuntimeError('ERR_EFFECT_FAILED', `process ${pid} does not end, not even by SIGKILL`);
  awaitRelease(podDir);
}
