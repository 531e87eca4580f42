/** A result as test cases: one for each step, one for each expectation. JUnit and TAP are made of them. Pure. */
import { expectationText, placeText } from '../../policy/decision/describe.ts';
import type { Experiment } from '../../policy/model/experiment.ts';
import type { Source } from '../../policy/model/values.ts';
import type { Violation } from '../expectations.ts';
import type { CellJson } from '../prediction.ts';
import { type LabResult, type ResultCell, isMismatch, isWithoutEvidence } from '../results.ts';
import { predictedText, violationLines } from '../sentences.ts';
import type { StepJson } from '../prediction.ts';
import type { SuiteOutcome } from '../suite.ts';
import { cellText } from '../text.ts';

/** `error`: nothing is known, as of cells without evidence. */
export interface TestCase {
  readonly name: string;
  readonly outcome: 'pass' | 'fail' | 'error';
  /** one line, when it did not pass */
  readonly message?: string;
  /** each cell that is not as it should be, with what decided and where that is written */
  readonly details: readonly string[];
  /** what failed: the expectation's place, else that of the first rule */
  readonly place?: Source;
  readonly durationMs?: number;
}
/** `name`: of a step. */
export interface CaseGroup {
  readonly name: string;
  readonly cases: readonly TestCase[];
}
export interface CaseReport {
  readonly name: string;
  readonly groups: readonly CaseGroup[];
}

/** Most lines of one case: a report is read by people, result.json has them all. */
const mostDetails = 100;
const bounded = (lines: readonly string[]): readonly string[] =>
  lines.length <= mostDetails ? lines : [...lines.slice(0, mostDetails), `and ${lines.length - mostDetails} more`];

/** Where what decided is written: of a denial what denies, egress first; else the target's rule, else the source's. */
export function decidingPlace({ predicted: { verdict, egress, places } }: CellJson): Source | null {
  if (verdict === 'deny') return egress === 'deny' ? places.egress : places.ingress;
  return places.ingress ?? places.egress;
}
export function withPlace(text: string, cell: CellJson): string {
  const place = decidingPlace(cell);
  return place === null ? text : `${text} at ${placeText(place)}`;
}

const countText = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** Of a step that was measured: whether packets did as predicted. */
export function measuredCase(name: string, cells: readonly ResultCell[], durationMs: number): TestCase {
  const wrong = cells.filter(isMismatch);
  const unknown = cells.filter(isWithoutEvidence);
  const told = [...wrong, ...unknown];
  const place = told.map(decidingPlace).find((one) => one !== null);
  if (told.length === 0) return { name, outcome: 'pass', details: [], durationMs };
  const parts = [
    ...(wrong.length > 0 ? [`${countText(wrong.length, 'cell')} not as predicted`] : []),
    ...(unknown.length > 0 ? [`${countText(unknown.length, 'cell')} without evidence`] : []),
  ];
  return {
    name,
    outcome: wrong.length > 0 ? 'fail' : 'error',
    message: parts.join(', '),
    details: bounded(told.map((cell) => withPlace(cellText(cell), cell))),
    ...(place === undefined || place === null ? {} : { place }),
    durationMs,
  };
}

/** An expectation each. Two of one place and words are one and the same. */
function expectationCases<Cell extends CellJson>(
  expect: Experiment['expect'],
  violations: readonly Violation<Cell>[],
  text: (cell: Cell) => string,
): TestCase[] {
  return expect.map((expectation): TestCase => {
    const { file, line } = expectation.source;
    const words = expectationText(expectation);
    const name = `${placeText({ file, line })} ${words}`;
    const violation = violations.find((one) => one.file === file && one.line === line && one.expectation === words);
    if (violation === undefined) return { name, outcome: 'pass', details: [] };
    const details = violationLines(violation, (cell: Cell) => withPlace(text(cell), cell));
    return {
      name,
      outcome: 'fail',
      message:
        violation.cells.length === 0
          ? 'no cell is meant by it'
          : `expected ${violation.expected}: ${countText(violation.cells.length, 'cell')} otherwise`,
      details: bounded(details),
      place: { file, line },
    };
  });
}

const expectOf = ({ expect, steps }: Experiment, index: number): Experiment['expect'] => (index === 0 ? expect : (steps[index - 1]?.expect ?? []));

export const casesOfResult = (experiment: Experiment, { name, steps }: LabResult): CaseReport => ({
  name,
  groups: steps.map((step, index) => ({
    name: step.name,
    cases: [
      measuredCase('packets do as predicted', step.cells, step.apply_ms + step.probe_ms),
      ...expectationCases(expectOf(experiment, index), step.violations, cellText),
    ],
  })),
});

/** Of a prediction a step itself cannot fail; it says that it was predicted. */
export const casesOfPrediction = (experiment: Experiment, steps: readonly StepJson[]): CaseReport => ({
  name: experiment.name,
  groups: steps.map((step, index) => ({
    name: step.name,
    cases: [
      { name: `${countText(step.cells.length, 'cell')} predicted`, outcome: 'pass', details: [] },
      ...expectationCases(expectOf(experiment, index), step.violations, predictedText),
    ],
  })),
});

/** A case of a suite each; what it expects is in its cells' table. */
export const casesOfSuite = (name: string, stages: readonly SuiteOutcome[]): CaseReport => ({
  name,
  groups: [
    {
      name: 'cases',
      cases: stages.map(({ title, wrong, unknown, durationMs }): TestCase => {
        const parts = [
          ...(wrong.length > 0 ? [`${countText(wrong.length, 'cell')} not as expected`] : []),
          ...(unknown.length > 0 ? [`${countText(unknown.length, 'cell')} without evidence`] : []),
        ];
        if (parts.length === 0) return { name: title, outcome: 'pass', details: [], durationMs };
        return {
          name: title,
          outcome: wrong.length > 0 ? 'fail' : 'error',
          message: parts.join(', '),
          details: bounded([...wrong, ...unknown].map(({ expected, cell }) => withPlace(`expected ${expected}: ${cellText(cell)}`, cell))),
          durationMs,
        };
      }),
    },
  ],
});
