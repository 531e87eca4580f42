/** `rkt enter`: this process becomes a command inside a running app. @see rkt.md 1.4, 2.14 */
import { openSync } from 'node:fs';
import * as z from 'zod/mini';
import { readText } from '../../../host/files.ts';
import { CLONE, execve, isTerminal, setns, unshare } from '../../../host/linux.ts';
import { isAlive, readProcessId } from '../../../host/process.ts';
import { RuntimeError, messageOf } from '../../../model/errors.ts';
import type { PodId } from '../../../model/ids.ts';
import { podFiles } from '../../../state/pod/layout.ts';
import { findCrun } from './launch.ts';
import { containerId, ociFiles } from './layout.ts';
import { terminalType } from './terminal.ts';

/** Threads share root and working directory; setns(2) wants the caller to have its own. */
const CLONE_FS = 0x200;

/** As root in /, as rkt does it, whoever the app runs as; capabilities at most the app's, its filter, its environment, and TERM. Never returns. */
export function enter(podDir: string, podId: PodId, app: string, command: readonly string[]): never {
  const files = ociFiles(podDir);
  const environment = environmentOf(files.config(app));
  if (environment === undefined) throw new RuntimeError('ERR_APP_NOT_FOUND', `pod ${podId} has no app ${app}`);
  const supervisor = readProcessId(podFiles(podDir).pid);
  const process_ = readProcessId(files.appPid(app));
  if (supervisor === undefined || !isAlive(supervisor)) throw new RuntimeError('ERR_POD_STATE', `pod ${podId} is not running`);
  if (process_ === undefined || !isAlive(process_)) throw new RuntimeError('ERR_POD_STATE', `app ${app} of pod ${podId} is not running`);
  const crun = findCrun();
  // crun must see the cgroup mounts it saw when it made the container.
  const mounts = openSync(`/proc/${supervisor.pid}/ns/mnt`, 'r');
  unshare(CLONE_FS);
  setns(mounts, CLONE.NEWNS);
  const argv = [
    'crun',
    '--root',
    files.crunRoot,
    '--cgroup-manager=cgroupfs',
    'exec',
    ...(isTerminal(0) ? ['--tty'] : []),
    ...[...environment, `TERM=${terminalType()}`].map((entry) => `--env=${entry}`),
    containerId(podId, app),
    ...command,
  ];
  try {
    return execve(crun, argv, { PATH: process.env['PATH'] ?? '' }, []);
  } catch (error) {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot enter app ${app}: ${messageOf(error)}`, { cause: error });
  }
}

/** Made when it is needed: every run has this file in its bundle. */
const environmentSchema = () => z.object({ process: z.object({ env: z.array(z.string()) }) });

/** crun gives an exec'd process the app's capabilities and filter, but not its environment. */
function environmentOf(config: string): string[] | undefined {
  const text = readText(config);
  return text === undefined
    ? undefined
    : environmentSchema()
        .parse(JSON.parse(text))
        .process.env.filter((entry) => !entry.startsWith('TERM='));
}
