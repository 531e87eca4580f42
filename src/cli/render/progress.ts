/** What long work looks like: lines of a terminal, or lines of a log. Pure. */
import type { ProgressOf, ProgressSummary } from '../../model/options.ts';

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `12.3 MiB`: three digits that mean something. */
export function sizeText(bytes: number): string {
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return `${unit === 0 ? bytes : (bytes / 1024 ** unit).toFixed(1)} ${units[unit] ?? ''}`;
}

/** `7 s`, `2 min 05 s`, `1 h 02 min`. */
export function timeText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  if (seconds < 60) return `${seconds} s`;
  const two = (value: number): string => String(value).padStart(2, '0');
  return seconds < 3600
    ? `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`
    : `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
}

const isFinished = ({ state, doneBytes, totalBytes }: ProgressOf): boolean =>
  state !== undefined || (totalBytes !== undefined && totalBytes > 0 && doneBytes >= totalBytes);

export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

const barColumns = 20;
const bar = (share: number): string => {
  const filled = Math.round(Math.min(1, share) * barColumns);
  return `[${'#'.repeat(filled).padEnd(barColumns, '.')}] ${String(Math.floor(Math.min(1, share) * 100)).padStart(3)}%`;
};

function itemLine(item: ProgressOf, width: number, columns: number): string {
  const { what, state, doneBytes, totalBytes } = item;
  const name = what.length > width ? `${what.slice(0, width - 1)}…` : what.padEnd(width);
  if (state === 'present') return `${name}  already here`;
  if (isFinished(item)) return `${name}  done  ${sizeText(totalBytes ?? doneBytes)}`;
  if (doneBytes === 0) return `${name}  waiting`;
  if (totalBytes === undefined || totalBytes === 0) return `${name}  ${sizeText(doneBytes)}`;
  const numbers = `${sizeText(doneBytes)} of ${sizeText(totalBytes)}`;
  return columns >= width + barColumns + numbers.length + 12 ? `${name}  ${bar(doneBytes / totalBytes)}  ${numbers}` : `${name}  ${numbers}`;
}

/** The lines of all `items`, and one of the whole when there are several. No line is longer than the screen is wide, nor are they more than it is high. */
export function progressLines(items: readonly ProgressOf[], elapsedMs: number, screen: Screen): string[] {
  const width = Math.min(30, Math.max(...items.map(({ what }) => what.length)));
  const room = Math.max(1, screen.rows - 3);
  const shown = items.length <= room ? items : pick(items, room);
  const lines = shown.map((item) => itemLine(item, width, screen.columns));
  const hidden = items.length - shown.length;
  if (hidden > 0) lines.push(`… and ${hidden} more`);
  if (items.length > 1) lines.push(totalLine(items, width, elapsedMs, screen.columns));
  return lines.map((line) => line.slice(0, Math.max(1, screen.columns - 1)));
}

/** What is moving first, in the order of the image. */
function pick(items: readonly ProgressOf[], room: number): readonly ProgressOf[] {
  const rank = (item: ProgressOf): number => (isFinished(item) ? 2 : item.doneBytes > 0 ? 0 : 1);
  const wanted = new Set([...items].sort((a, b) => rank(a) - rank(b)).slice(0, room));
  return items.filter((item) => wanted.has(item));
}

function totalLine(items: readonly ProgressOf[], width: number, elapsedMs: number, columns: number): string {
  const counted = items.filter(({ state, totalBytes }) => state !== 'present' && totalBytes !== undefined);
  const total = counted.reduce((sum, { totalBytes = 0 }) => sum + totalBytes, 0);
  const done = counted.reduce((sum, item) => sum + (item.state === 'done' ? (item.totalBytes ?? 0) : item.doneBytes), 0);
  const speed = elapsedMs > 0 ? (done / elapsedMs) * 1000 : 0;
  const left = speed > 0 && done < total ? `, ${timeText(((total - done) / speed) * 1000)} left` : '';
  const numbers = `${sizeText(done)} of ${sizeText(total)}, ${sizeText(Math.round(speed))}/s${left}`;
  const name = 'total'.padEnd(width);
  return columns >= width + barColumns + numbers.length + 12 && total > 0 ? `${name}  ${bar(done / total)}  ${numbers}` : `${name}  ${numbers}`;
}

/** One finished piece, for a log. */
export const finishedLine = ({ what, state, doneBytes }: ProgressOf): string =>
  `${what}: ${state === 'present' ? 'already here' : sizeText(doneBytes)}`;

/** What came of it. */
export function summaryLine({ fetched, layers, reused, downloadedBytes, elapsedMs }: ProgressSummary): string {
  const count = `${layers} layer${layers === 1 ? '' : 's'}`;
  if (reused === layers) return `${fetched}: nothing new, ${layers === 0 ? 'no layers' : `${count} already here`}`;
  const speed = elapsedMs > 0 ? `, ${sizeText(Math.round((downloadedBytes / elapsedMs) * 1000))}/s` : '';
  return `${fetched}: ${count}, ${reused === 0 ? 'all new' : `${reused} already here`}; ${sizeText(downloadedBytes)} in ${timeText(elapsedMs)}${speed}`;
}
