/** The predicted matrix of each step, as text and as the JSON that `lab predict` and result.json share. */
import type { Experiment, World } from '../policy/model/experiment.ts';
import type { Family } from '../model/cidr.ts';
import type { Direction, Protocol, Source } from '../policy/model/values.ts';
import type { Policy } from '../policy/model/policy.ts';
import { policyKey } from '../policy/model/policy.ts';
import { worldsOf } from '../policy/decision/change.ts';
import { decidedBy, decidingKey, predict, type PredictedCell } from '../policy/decision/predict.ts';
import type { Reason, Verdict } from '../policy/decision/evaluate.ts';
import { marks, matrixText, type Mark } from './matrix.ts';

/** What decided, with its place. */
export interface RuleJson extends Source {
  readonly key: string;
  readonly reason: Reason;
}
/** `predicted` of a cell of result.json. @see policy.md 5f */
export interface PredictedJson {
  readonly ingress: Verdict;
  readonly egress: Verdict;
  readonly verdict: Verdict;
  /** key of what decided; null: no policy had a say */
  readonly rule: string | null;
  readonly ingressRule: RuleJson | null;
  readonly egressRule: RuleJson | null;
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
  /** '' before the first step */
  readonly name: string;
  readonly world: World;
  readonly cells: readonly PredictedCell[];
}

/** A matrix before the steps, and one after each. */
export function predictSteps({ world, steps, probes }: Experiment): StepPrediction[] {
  return worldsOf(world, steps).map((at, index) => ({ name: steps[index - 1]?.name ?? '', world: at, cells: predict(at, probes) }));
}

export function predictedJson({ decision }: PredictedCell): PredictedJson {
  const { direction, decided } = decidedBy(decision);
  const ambiguous = [...(decision.egress.ambiguous ?? []), ...(decision.ingress.ambiguous ?? [])].map(policyKey);
  const ruleOf = (of: Direction): RuleJson | null => {
    const { policy, rule, reason } = decision[of];
    return policy === undefined ? null : { key: decidingKey(of, decision[of]) ?? '', reason, ...sourceOf(policy, rule?.source) };
  };
  return {
    ingress: decision.ingress.verdict,
    egress: decision.egress.verdict,
    verdict: decision.verdict,
    rule: decidingKey(direction, decided) ?? null,
    ingressRule: ruleOf('ingress'),
    egressRule: ruleOf('egress'),
    ...(ambiguous.length === 0 ? {} : { ambiguous: [...new Set(ambiguous)] }),
  };
}
const sourceOf = (policy: Policy, source = policy.source): Source => ({ file: source.file, line: source.line });

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

/** The network that a connection is on: that of the pod at one of its ends. */
export const networkOf = ({ flow: { from, to } }: PredictedCell): string =>
  from.kind === 'pod' ? from.network : to.kind === 'pod' ? to.network : '';

const markOf = (cell: PredictedCell): Mark => ({
  from: cell.from,
  to: cell.to,
  protocol: cell.flow.protocol,
  port: cell.flow.port,
  family: cell.flow.from.ip.family,
  network: networkOf(cell),
  mark: cell.decision.loopback ? marks.loopback : marks[cell.decision.verdict],
});

export function predictionText({ name, world, cells }: StepPrediction): string {
  const asked = cells.filter(({ decision }) => !decision.loopback);
  const denied = asked.filter(({ decision }) => decision.verdict === 'deny').length;
  const ambiguous = asked.filter(({ decision }) => decision.egress.ambiguous !== undefined || decision.ingress.ambiguous !== undefined).length;
  const title = name === '' ? '' : `after ${name}\n`;
  const count = `${asked.length} connections: ${asked.length - denied} allowed, ${denied} denied${
    ambiguous === 0 ? '' : `, ${ambiguous} ambiguous (policies of one priority disagree)`
  }\n`;
  return `${title}${matrixText(cells.map(markOf), world.networks[0]?.id ?? '')}${count}`;
}

/** The legend of every matrix. */
export const legend = 'rows send, columns receive; . allowed, X denied, # to itself, - not asked\n';
