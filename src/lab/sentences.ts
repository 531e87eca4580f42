/** Sentences that `lab predict` and `lab run` have in common. Pure. */
import { portKey } from '../policy/model/experiment.ts';
import type { Violation } from './expectations.ts';
import type { CellJson } from './prediction.ts';

export const words = { allow: 'allowed', deny: 'denied', 'no-evidence': 'no evidence' } as const;
export const byRule = (rule: string | null): string => (rule === null ? 'by no policy' : `by ${rule}`);

/** From a pod to itself, without a policy that has a say. */
export const isSpared = ({ loopback, predicted }: CellJson): boolean => loopback && predicted.verdict === 'allow' && predicted.rule === null;

/** A cell's ends and what is predicted of it. */
export function predictedText(cell: CellJson): string {
  const { from, to, family, predicted } = cell;
  const ends = `${from} → ${to} ${portKey(cell)}${family === 6 ? ' (IPv6)' : ''}`;
  return isSpared(cell) ? `${ends}: a pod always reaches itself` : `${ends}: predicted ${words[predicted.verdict]} ${byRule(predicted.rule)}`;
}

export const unmetText = (count: number): string => `${count} expectation${count === 1 ? '' : 's'} not met`;

const shown = 20;
/** A list as far as people read it; `flag` shows the rest. */
export const fewOf = (lines: readonly string[], flag: string): readonly string[] =>
  lines.length <= shown ? lines : [...lines.slice(0, shown), `… and ${lines.length - shown} more (${flag})`];

/** One line for each cell that is not as expected. */
export const violationLines = <Cell>({ file, line, expected, cells }: Violation<Cell>, text: (cell: Cell) => string): string[] =>
  cells.length === 0
    ? [`${file}:${line}: expected ${expected}, and no cell is meant by it`]
    : cells.map((cell) => `${file}:${line}: expected ${expected}: ${text(cell)}`);
