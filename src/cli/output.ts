/** Where commands print, and the JSON form every command shares. Synchronous: execve may follow. */
import { writeSync } from 'node:fs';
import { isErrno, isRuntimeError, messageOf, printable } from '../model/errors.ts';
import type { Flag } from './command.ts';

export const formatFlag = {
  type: 'string',
  value: 'FORMAT',
  choices: ['json', 'json-pretty'],
  help: 'print JSON instead of a table',
} as const satisfies Flag;

/** Status of a command that did its work but could not tell: with `rkt list > FULL-DISK`, silence would read as "no pods". */
const unheardStatus = 254;

/** Never throws: what a command does must not depend on who listens. */
function write(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let offset = 0; offset < bytes.length;) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      if (isErrno(error, 'EPIPE')) return; // the reader has seen enough (`rkt list | head`)
      if (isErrno(error, 'EAGAIN')) continue;
      // process.exitCode, because each bundle that is loaded on demand has its own copy of this module.
      if (fd === 1) {
        process.exitCode = unheardStatus;
        write(2, `error: cannot write to standard output: ${messageOf(error)}\n`);
      }
      return;
    }
  }
}
export const out = (text: string): void => write(1, text);
export const err = (text: string): void => write(2, text);
export const outJson = (value: unknown, format: string): void =>
  out(`${JSON.stringify(value, undefined, format === 'json-pretty' ? '\t' : undefined)}\n`);
/** Foreign text may be in it: control characters are shown, not sent. */
export const warn = (text: string): void => err(`warning: ${printable(text)}\n`);

export const note = (text: string): void => err(`${printable(text)}\n`);

/** A failure as people read it: what, on what, the cure. What carries no code is a bug, and says where. */
export function errorText(error: unknown, debug = false): string {
  if (!isRuntimeError(error))
    return printable(`error: this is a bug in rkt: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  const lines = [`error: ${error.message} [${error.code}]`, ...error.details.map((line) => `  - ${line}`)];
  if (error.hint !== undefined) lines.push(`hint: ${error.hint}`);
  if (debug && error.stack !== undefined) lines.push(error.stack, ...(error.cause === undefined ? [] : [`caused by: ${messageOf(error.cause)}`]));
  return printable(`${lines.join('\n')}\n`);
}
