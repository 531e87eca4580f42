/** `rkt enter` for the fly flavor: a command in the app's root. @see rkt.md 1.4 */
import { openSync } from 'node:fs';
import { readText } from '../../../host/files.ts';
import { chroot } from '../../../host/identity.ts';
import { CLONE, execve, setns, unshare } from '../../../host/linux.ts';
import { isAlive, readProcessId } from '../../../host/process.ts';
import { RuntimeError, messageOf } from '../../../model/errors.ts';
import type { PodId } from '../../../model/ids.ts';
import { podFiles } from '../../../state/pod/layout.ts';
import { ociFiles } from '../oci/layout.ts';
import { Rootfs } from '../oci/rootfs.ts';
import { terminalType } from '../oci/terminal.ts';
import { flyFiles } from './layout.ts';
import { programIn } from './program.ts';

/** Threads share root and working directory; setns(2) wants the caller to have its own. */
const CLONE_FS = 0x200;

/** As root in /, with the app's environment and TERM. Never returns. @throws ERR_POD_STATE, ERR_APP_NOT_FOUND, ERR_STAGE1_LAUNCH */
export function enter(podDir: string, podId: PodId, app: string, command: readonly string[]): never {
  const text = readText(flyFiles(podDir).environment(app));
  if (text === undefined) throw new RuntimeError('ERR_APP_NOT_FOUND', `pod ${podId} has no app ${app}`);
  const running = readProcessId(podFiles(podDir).pid);
  if (running === undefined || !isAlive(running)) throw new RuntimeError('ERR_POD_STATE', `app ${app} of pod ${podId} is not running`);
  const environment = Object.fromEntries([...(JSON.parse(text) as string[]).map(pairOf), ['TERM', terminalType()]]) as Record<string, string>;
  const mounts = openSync(`/proc/${running.pid}/ns/mnt`, 'r');
  unshare(CLONE_FS);
  setns(mounts, CLONE.NEWNS);
  // By its path, for the app may have changed its own root since.
  const path = ociFiles(podDir).rootfs(app);
  const root = new Rootfs(path);
  const program = programIn(root, app, command[0] ?? '', environment['PATH'] ?? '', '/');
  process.chdir(path);
  chroot('.');
  try {
    return execve(program, command, environment, []);
  } catch (error) {
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `cannot enter app ${app}: ${messageOf(error)}`, { cause: error });
  }
}

function pairOf(entry: string): [string, string] {
  const equals = entry.indexOf('=');
  return [entry.slice(0, equals), entry.slice(equals + 1)];
}
