/** Questions to the person at the terminal. Synchronous. */
import { readSync } from 'node:fs';
import { isatty } from 'node:tty';
import { RuntimeError, isErrno } from '../model/errors.ts';

/** True when there is somebody to ask. */
export const canAsk = (): boolean => isatty(0);

/** Asks by `tell` until the answer is yes or no, spelled out: a hasty Enter must not be one. @throws ERR_CLI_USAGE when the input ends before */
export function askYesNo(question: string, tell: (text: string) => void): boolean {
  tell(`${question} (yes/no)? `);
  for (;;) {
    const line = readLine();
    if (line === undefined) {
      tell('\n');
      throw new RuntimeError('ERR_CLI_USAGE', 'the input ended before there was an answer');
    }
    if (line === 'yes' || line === 'no') return line === 'yes';
    tell("Please enter 'yes' or 'no': ");
  }
}

/** One line of standard input; undefined at its end. */
function readLine(): string | undefined {
  const bytes: number[] = [];
  const byte = Buffer.alloc(1);
  for (;;) {
    let length: number;
    try {
      length = readSync(0, byte, 0, 1, null);
    } catch (error) {
      // A terminal that Node has switched to non-blocking: wait for a key.
      if (!isErrno(error, 'EAGAIN')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
      continue;
    }
    if (length === 0) return undefined;
    if (byte[0] === 0x0a) return Buffer.from(bytes).toString('utf8').trim();
    bytes.push(byte[0] ?? 0);
  }
}
