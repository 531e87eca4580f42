/** Short programs: run to their end under a deadline, everything they say kept. */
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';
import { errnoName, run } from './linux.ts';

export interface ProgramCall {
  readonly path: string;
  /** with argv[0] */
  readonly argv: readonly string[];
  /** the whole environment; NODE_EXTRA_CA_CERTS is left out (it costs every Node child 73 ms) */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
  readonly timeoutMs: number;
  /** of stdout and of stderr; what is beyond is read and dropped, and `truncated` says so */
  readonly maxBytes: number;
  readonly cwd?: string;
}

interface Printed {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly truncated: boolean;
}
/** How it ended. `interrupted`: a trapped signal arrived while it ran, and it was killed. */
export type ProgramOutcome =
  | ({ readonly kind: 'exited'; readonly status: number } & Printed)
  | ({ readonly kind: 'signal'; readonly signal: number } & Printed)
  | ({ readonly kind: 'timeout' } & Printed)
  | ({ readonly kind: 'interrupted' } & Printed)
  | { readonly kind: 'not-started'; readonly errno: number; readonly reason: string };

/** Runs a program and waits for its end; never throws for what the program does. */
export function runProgram(call: ProgramCall): ProgramOutcome {
  const { NODE_EXTRA_CA_CERTS: _dropped, ...env } = call.env;
  const { errno, status, signal, timedOut, interrupted, stdout, stderr, truncated } = run(call.path, call.argv, env, {
    timeoutMs: Math.max(1, Math.ceil(call.timeoutMs)),
    maxBytes: call.maxBytes,
    ...(call.stdin === undefined ? {} : { stdin: call.stdin }),
    ...(call.cwd === undefined ? {} : { cwd: call.cwd }),
  });
  if (errno !== 0) return { kind: 'not-started', errno, reason: errnoName(errno) };
  const printed = { stdout, stderr, truncated };
  // A program that ended by itself at the very deadline did its work, and said how it went.
  if (status >= 0) return { kind: 'exited', status, ...printed };
  if (interrupted) return { kind: 'interrupted', ...printed };
  if (timedOut) return { kind: 'timeout', ...printed };
  return { kind: 'signal', signal, ...printed };
}

/** The first regular file called `name` in `directories`, links followed, executability not asked (CNI L17); undefined when there is none. */
export function findExecutable(name: string, directories: readonly string[]): string | undefined {
  if (name === '' || name.includes('/')) return undefined;
  return directories.map((directory) => join(directory, name)).find(isFile);
}

function isFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
  } catch {
    return false; // not a directory, not permitted, a loop of links: not a program we could run
  }
}

/** Beside the system's own places, so that a PATH that sudo emptied is no obstacle. */
const systemPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The program `name` as a shell would find it, or in the system's own directories; undefined when it is not installed. */
export function findProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(':').filter((path) => path.startsWith('/')), ...systemPath];
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // whatever the reason, it is not what we run
  }
}
