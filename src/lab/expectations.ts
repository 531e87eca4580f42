/** What an experiment expects, held against what came out. Pure. */
import { isExpectedOf } from '../policy/decision/cells.ts';
import { expectationText } from '../policy/decision/describe.ts';
import type { Verdict } from '../policy/decision/evaluate.ts';
import type { Expectation, World } from '../policy/model/experiment.ts';
import type { Flow } from '../policy/model/flow.ts';

/** A connection, how it came out, and the cell that is told of it. */
export interface Outcome<Cell> {
  readonly flow: Flow;
  readonly verdict: Verdict | 'no-evidence';
  readonly cell: Cell;
}
export interface Violation<Cell> {
  readonly step: string;
  readonly expected: Verdict;
  /** the expectation in words, {@link expectationText} */
  readonly expectation: string;
  readonly file: string;
  readonly line: number;
  /** cells that are not as expected; none: nothing matched the expectation */
  readonly cells: readonly Cell[];
}

/** Holds every expectation to all outcomes that are meant by it; at least one must be. */
export function violationsOf<Cell>(
  step: string,
  expectations: readonly Expectation[],
  world: World,
  outcomes: readonly Outcome<Cell>[],
): Violation<Cell>[] {
  return expectations.flatMap((expectation): Violation<Cell>[] => {
    const { verdict, from, to, protocol, port, source } = expectation;
    const isMeant = ({ flow }: Outcome<Cell>): boolean =>
      (protocol === undefined || flow.protocol === protocol) &&
      (port === undefined || flow.port === port) &&
      isExpectedOf({ from, to }, flow.from, flow.to, world);
    const meant = outcomes.filter(isMeant);
    const wrong = meant.filter((outcome) => outcome.verdict !== verdict);
    if (meant.length > 0 && wrong.length === 0) return [];
    return [
      {
        step,
        expected: verdict,
        expectation: expectationText(expectation),
        file: source.file,
        line: source.line,
        cells: wrong.map(({ cell }) => cell),
      },
    ];
  });
}
