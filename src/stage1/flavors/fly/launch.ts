/** Step 'pod.launch' of the fly flavor: this process becomes the app. */
import { closeSync, openSync, readFileSync, symlinkSync } from 'node:fs';
import { writeAtomic } from '../../../host/files.ts';
import { becomeRootAgain, becomeUser, chroot } from '../../../host/identity.ts';
import { execve, isErrno, pendingSignal, releaseSignals } from '../../../host/linux.ts';
import { startTimeOf } from '../../../host/process.ts';
import { RuntimeError, messageOf } from '../../../model/errors.ts';
import { podFiles } from '../../../state/pod/layout.ts';
import type { Stage1Pod } from '../../contract.ts';
import { environmentOf } from '../oci/bundle.ts';
import { ociFiles } from '../oci/layout.ts';
import { Rootfs } from '../oci/rootfs.ts';
import { resolveUser } from '../oci/users.ts';
import { flyFiles } from './layout.ts';
import { programIn } from './program.ts';

/**
 * Never returns. The app keeps the pod's lock open, and so does what it starts: the pod runs as long as one of them does.
 * @throws ERR_STAGE1_LAUNCH, ERR_APP_USER, ERR_INTERRUPTED; this process is then what it was
 */
export function launch(pod: Stage1Pod, lockFd: number): never {
  const [app] = pod.apps;
  if (app === undefined) throw new RuntimeError('ERR_STAGE1_LAUNCH', 'a pod needs an app');
  const { name, app: spec } = app.spec;
  const rootPath = ociFiles(pod.dir).rootfs(name);
  using root = new Rootfs(rootPath);
  const user = resolveUser(name, spec, root.fd);
  const environment = Object.fromEntries(
    environmentOf(app.spec, pod.interactive ? (process.env['TERM'] ?? 'vt100') : undefined).map((entry): [string, string] => {
      const equals = entry.indexOf('=');
      return [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
  const program = programIn(root, name, spec.exec[0] ?? '', environment['PATH'] ?? '', spec.workingDirectory ?? '/');
  writeFiles(pod, name, environment);
  releaseSignals();
  const signal = pendingSignal();
  if (signal !== 0) throw new RuntimeError('ERR_INTERRUPTED', `stopped by signal ${signal} before the pod was launched`, { exitCode: 128 + signal });
  if (!pod.interactive) {
    closeSync(0);
    openSync('/dev/null', 'r');
  }
  process.chdir(rootPath);
  chroot('.');
  process.chdir(spec.workingDirectory ?? '/');
  try {
    becomeUser({ uid: user.uid, gid: user.gid, groups: user.additionalGids });
    return execve(program, spec.exec, environment, [lockFd]);
  } catch (error) {
    becomeRootAgain();
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `app ${name} could not be started: ${messageOf(error)}`, {
      cause: error,
      ...(isErrno(error, 'ENOENT') ? { hint: `${program} is there, so its interpreter or a library is not` } : {}),
      ...(isErrno(error, 'EACCES') ? { hint: `may user ${user.uid} execute ${program}?` } : {}),
      ...(isErrno(error, 'ENOEXEC') ? { hint: `${program} is neither a program of this machine nor a script with #!` } : {}),
    });
  }
}

/** The pod can be found by them from here on; a signal that comes earlier is this process's. */
function writeFiles(pod: Stage1Pod, app: string, environment: Readonly<Record<string, string>>): void {
  const files = podFiles(pod.dir);
  const own = flyFiles(pod.dir);
  const self = `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`;
  writeAtomic(own.environment(app), JSON.stringify(Object.entries(environment).map(([key, value]) => `${key}=${value}`)));
  writeAtomic(own.appPid(app), self);
  writeAtomic(files.processGroup, `${processGroup()}\n`);
  writeAtomic(files.pid, self);
  symlinkSync('ready', own.ready);
}

/** Field 5 of the stat file, the third behind the command. */
function processGroup(): string {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2] ?? '';
}
