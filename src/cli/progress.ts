/** Progress of long work: a block of lines that is drawn over and over on a terminal; elsewhere a line for each download that is done. */
import { printable } from '../model/errors.ts';
import type { Progress, ProgressOf } from '../model/options.ts';
import { err } from './output.ts';
import { finishedLine, progressLines, summaryLine } from './render/progress.ts';

/** Faster than eyes is wasted. */
const redrawMs = 100;

export function progressPrinter(): Progress {
  const items = new Map<string, ProgressOf>();
  let startedMs = 0;
  let drawnMs = 0;
  let drawnLines = 0;

  const wipe = (): void => {
    if (drawnLines > 0) err(`\x1b[${drawnLines}A\r\x1b[J`);
    drawnLines = 0;
  };
  const draw = (): void => {
    // 0 where a terminal does not know its size.
    const { columns, rows } = process.stderr;
    const screen = { columns: columns || 80, rows: rows || 24 };
    const lines = progressLines([...items.values()], performance.now() - startedMs, screen).map((line) => printable(line));
    err(`${drawnLines > 0 ? `\x1b[${drawnLines}A` : ''}\r\x1b[J${lines.join('\n')}\n`);
    drawnLines = lines.length;
    drawnMs = performance.now();
  };
  const onTerminal = (item: ProgressOf): void => {
    const all = [...items.values()];
    const isOver =
      !all.some(({ isDownload }) => isDownload === true) &&
      all.every(({ doneBytes, totalBytes }) => totalBytes !== undefined && doneBytes >= totalBytes);
    if (isOver) {
      wipe();
      items.clear();
    } else if (item.state !== undefined || performance.now() - drawnMs >= redrawMs) draw();
  };

  return (event) => {
    // Asked only when there is something to show: the stream costs a run that fetches nothing 5 ms.
    const isTerminal = process.stderr.isTTY;
    if ('what' in event) {
      if (items.size === 0) startedMs = performance.now();
      items.set(event.what, event);
      if (isTerminal) onTerminal(event);
      else if (event.isDownload === true && event.state !== undefined) err(`${printable(finishedLine(event))}\n`);
      return;
    }
    if (isTerminal) wipe();
    err(`${printable('note' in event ? event.note : summaryLine(event))}\n`);
    if ('note' in event) {
      if (isTerminal && items.size > 0) draw();
    } else items.clear();
  };
}
