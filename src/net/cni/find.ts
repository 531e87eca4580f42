/** Which CNI versions a plugin executable speaks. @see cni.md V6, V7, V9, V10, L20 */
import { statSync } from 'node:fs';
import { runProgram } from '../../host/run-program.ts';
import { parseErrorObject } from '../../model/cni/error-object.ts';
import { cniVersions } from '../../model/cni/types.ts';
import { versionsOfReply } from '../../model/cni/version.ts';
import { RuntimeError, messageOf, printable } from '../../model/errors.ts';

const timeoutMs = 10_000;

/** Answers of earlier commands. `file` tells one file from another. */
export interface AnswerCache {
  get(executable: string, file: string): readonly string[] | undefined;
  set(executable: string, file: string, versions: readonly string[]): void;
}
/** Answers of this command. */
const answers = new Map<string, readonly string[]>();

/**
 * Asks `executable` for its versions (VERSION); the answer is remembered as long as the file is the same one.
 * A plugin from before there was VERSION says 0.1.0 only (V9).
 * Throws RuntimeError ERR_PLUGIN_NOT_FOUND, ERR_PLUGIN_FAILED, ERR_PLUGIN_TIMEOUT, ERR_PLUGIN_OUTPUT.
 */
export function versionsOf(executable: string, cache?: AnswerCache): readonly string[] {
  const stat = statSync(executable, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) throw new RuntimeError('ERR_PLUGIN_NOT_FOUND', `plugin ${executable} does not exist`);
  const file = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`;
  const key = `${executable} ${file}`;
  const known = answers.get(key) ?? cache?.get(executable, file);
  if (known !== undefined) return known;
  const asked = ask(executable);
  answers.set(key, asked);
  cache?.set(executable, file, asked);
  return asked;
}

function ask(path: string): readonly string[] {
  const failed = (code: 'ERR_PLUGIN_FAILED' | 'ERR_PLUGIN_TIMEOUT' | 'ERR_PLUGIN_OUTPUT', what: string): RuntimeError =>
    new RuntimeError(code, `plugin ${path} does not tell its CNI versions: ${printable(what)}`, {
      hint: `try it: echo '{"cniVersion":"1.0.0"}' | CNI_COMMAND=VERSION ${path}`,
    });
  // Plugins from before VERSION check the other variables first: give them something (L20).
  const env = { ...(process.env as Record<string, string>), CNI_COMMAND: 'VERSION', CNI_NETNS: 'dummy', CNI_IFNAME: 'dummy', CNI_PATH: 'dummy' };
  const outcome = runProgram({
    path,
    argv: [path],
    env,
    stdin: Buffer.from(JSON.stringify({ cniVersion: cniVersions.at(-1) })),
    timeoutMs,
    maxBytes: 1 << 20,
  });
  if (outcome.kind === 'timeout') throw failed('ERR_PLUGIN_TIMEOUT', `no answer in ${timeoutMs / 1000} s`);
  if (outcome.kind === 'not-started') throw failed('ERR_PLUGIN_FAILED', `cannot be run: ${outcome.reason}`);
  const stdout = outcome.stdout.toString();
  if (outcome.kind !== 'exited' || outcome.status !== 0) {
    const error = parseErrorObject(stdout);
    if (error?.message === 'unknown CNI_COMMAND: VERSION') return ['0.1.0'];
    throw failed('ERR_PLUGIN_FAILED', error?.message ?? (outcome.stderr.toString().trim() || outcome.kind));
  }
  try {
    return versionsOfReply(JSON.parse(stdout));
  } catch (error) {
    throw failed('ERR_PLUGIN_OUTPUT', `${messageOf(error)} (it printed ${JSON.stringify(stdout.slice(0, 200))})`);
  }
}
