/** Progress of long work on a terminal; silence elsewhere. */
import type { Progress } from '../model/options.ts';
import { err } from './output.ts';

const mebibytes = (bytes: number): string => `${(bytes / 1048576).toFixed(1)} MiB`;

/** One line, rewritten at most ten times a second, wiped when the work is done. */
export function progressPrinter(): Progress {
  let lastMs = 0;
  return ({ what, doneBytes, totalBytes }) => {
    // Asked only when there is something to show: the stream costs a run that fetches nothing 5 ms.
    if (!process.stderr.isTTY) return;
    const finished = totalBytes !== undefined && doneBytes >= totalBytes;
    if (!finished && performance.now() - lastMs < 100) return;
    lastMs = performance.now();
    if (finished) return err('\r\x1b[K');
    const share = totalBytes === undefined || totalBytes === 0 ? '' : ` of ${mebibytes(totalBytes)} ${bar(doneBytes / totalBytes)}`;
    return err(`\r\x1b[K${what.slice(0, 30)}  ${mebibytes(doneBytes)}${share}`);
  };
}

const bar = (share: number): string => `[${'#'.repeat(Math.round(share * 20)).padEnd(20, '.')}] ${Math.round(share * 100)}%`;
