/** The predicted matrix of each step, as text and as the JSON that `lab predict` and result.json share. */
import type { Experiment, World } from '../policy/model/experiment.ts';
import type { Family } from '../model/cidr.ts';
import type { Direction, Protocol, Source } from '../policy/model/values.ts';
import { policyKey } from '../policy/model/policy.ts';
import { isToItself } from '../policy/decision/cells.ts';
import { worldsOf } from '../policy/decision/change.ts';
import { decidedBy, decidingKey, predict, type PredictedCell } from '../policy/decision/predict.ts';
import type { Decided, Reason, Verdict } from '../policy/decision/evaluate.ts';
import { type Violation, violationsOf } from './expectations.ts';
import { fewOf, predictedText, unmetText, violationLines } from './sentences.ts';
import { marks, matrixText, type Mark } from './matrix.ts';

/** For each direction, what is known of it. */
export interface Both<T> {
  readonly egress: T;
  readonly ingress: T;
}
/** `predicted` of a cell of result.json. @see policy.md 5f */
export interface PredictedJson extends Both<Verdict> {
  readonly verdict: Verdict;
  /** key of what decided; null: no policy had a say, as of a pod that reaches itself */
  readonly rule: string | null;
  readonly rules: Both<string | null>;
  readonly reasons: Both<Reason>;
  /** where what decided is written */
  readonly places: Both<Source | null>;
  /** policies of one priority that disagree: the verdict is one of two that are right */
  readonly ambiguous?: readonly string[];
}
export interface CellJson {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly network: string;
  readonly loopback: boolean;
  readonly predicted: PredictedJson;
}
export interface StepPrediction {
  readonly name: string;
  readonly world: World;
  readonly cells: readonly PredictedCell[];
  readonly violations: readonly Violation<PredictedCell>[];
}

/** Before the first step the experiment is as it was written. */
const firstStep = 'start';

/** A matrix before the steps, and one after each, with the expectations that it does not meet. */
export function predictSteps({ world, steps, probes, expect }: Experiment): StepPrediction[] {
  const all = [{ name: firstStep, expect }, ...steps];
  return worldsOf(world, steps).map((at, index) => {
    const step = all[index] ?? { name: '', expect: [] };
    const cells = predict(at, probes);
    const outcomes = cells.map((cell) => ({ flow: cell.flow, verdict: cell.decision.verdict, cell }));
    return { name: step.name, world: at, cells, violations: violationsOf(step.name, step.expect, at, outcomes) };
  });
}

export function predictedJson({ decision }: PredictedCell): PredictedJson {
  const { direction, decided } = decidedBy(decision);
  const ambiguous = [...(decision.egress.ambiguous ?? []), ...(decision.ingress.ambiguous ?? [])].map(policyKey);
  const of = <T>(read: (direction: Direction) => T): Both<T> => ({ egress: read('egress'), ingress: read('ingress') });
  return {
    ...of((one) => decision[one].verdict),
    verdict: decision.verdict,
    rule: decision.spared ? null : (decidingKey(direction, decided) ?? null),
    rules: of((one) => decidingKey(one, decision[one]) ?? null),
    reasons: of((one) => decision[one].reason),
    places: of((one) => placeOf(decision[one])),
    ...(ambiguous.length === 0 ? {} : { ambiguous: [...new Set(ambiguous)] }),
  };
}

/** Of the rule, else of the policy that isolates. */
function placeOf({ rule, policy }: Decided): Source | null {
  const source = (rule ?? policy)?.source;
  return source === undefined ? null : { file: source.file, line: source.line };
}

export const cellJson = (cell: PredictedCell): CellJson => ({
  from: cell.from,
  to: cell.to,
  port: cell.flow.port,
  protocol: cell.flow.protocol,
  family: cell.flow.from.ip.family,
  network: networkOf(cell),
  loopback: cell.decision.loopback,
  predicted: predictedJson(cell),
});

/** A step of `lab predict --format=json`. */
export interface StepJson {
  readonly name: string;
  readonly cells: readonly CellJson[];
  readonly violations: readonly Violation<CellJson>[];
}
export const stepJson = ({ name, cells, violations }: Pick<StepPrediction, 'name' | 'cells' | 'violations'>): StepJson => ({
  name,
  cells: cells.map(cellJson),
  violations: violations.map((one) => ({ ...one, cells: one.cells.map(cellJson) })),
});

/** The network that a connection is on: that of the pod at one of its ends. */
export const networkOf = ({ flow: { from, to } }: PredictedCell): string =>
  from.kind === 'pod' ? from.network : to.kind === 'pod' ? to.network : '';

const markOf = (cell: PredictedCell, world: World): Mark => ({
  from: cell.from,
  to: cell.to,
  protocol: cell.flow.protocol,
  port: cell.flow.port,
  family: cell.flow.from.ip.family,
  network: networkOf(cell),
  mark: isToItself(cell.flow, world) ? marks.loopback : marks[cell.decision.verdict],
});

export function predictionText({ name, world, cells, violations }: StepPrediction): string {
  const asked = cells.filter(({ flow }) => !isToItself(flow, world));
  const denied = asked.filter(({ decision }) => decision.verdict === 'deny').length;
  const ambiguous = asked.filter(({ decision }) => decision.egress.ambiguous !== undefined || decision.ingress.ambiguous !== undefined).length;
  const title = name === firstStep ? '' : `step ${name}\n`;
  const count = `${asked.length} connections: ${asked.length - denied} allowed, ${denied} denied${
    ambiguous === 0 ? '' : `, ${ambiguous} ambiguous (policies of one priority disagree)`
  }${violations.length === 0 ? '' : `, ${unmetText(violations.length)}`}\n`;
  const lines = violations.flatMap((one) => violationLines(one, (cell) => predictedText(cellJson(cell))));
  const unmet =
    lines.length === 0
      ? ''
      : `\nnot as expected:\n${fewOf(lines, '--format=json')
          .map((line) => `  ${line}\n`)
          .join('')}`;
  return `${title}${matrixText(
    cells.map((cell) => markOf(cell, world)),
    world.networks[0]?.id ?? '',
  )}${count}${unmet}`;
}

/** The legend of every matrix. */
export const legend = 'rows send, columns receive; . allowed, X denied, # to itself, - not asked\n';
