/** The predicted matrix: a decision for every connection that an experiment asks about. */
import type { Probes, World } from '../model/experiment.ts';
import type { Flow } from '../model/flow.ts';
import { ruleKey } from '../model/policy.ts';
import type { Direction } from '../model/values.ts';
import { endpointName, flowsOf } from './cells.ts';
import { Evaluator, type Decided, type Decision } from './evaluate.ts';

export interface PredictedCell {
  readonly flow: Flow;
  readonly from: string;
  readonly to: string;
  readonly decision: Decision;
}

/** Sorted by source, target, network, family, protocol and port. */
export function predict(world: World, probes: Probes): PredictedCell[] {
  const evaluator = new Evaluator(world);
  return flowsOf(world, probes).map((flow) => ({
    flow,
    from: endpointName(flow.from),
    to: endpointName(flow.to),
    decision: evaluator.decide(flow),
  }));
}

/** The key of what decided a direction: of a rule, or of the policy that isolates; undefined when no policy did. */
export function decidingKey(direction: Direction, { policy, rule }: Decided): string | undefined {
  return policy === undefined ? undefined : ruleKey(policy, direction, rule);
}

/** What decided the cell: what denies, egress before ingress; else what allows at the target, else at the source. */
export function decidedBy({ verdict, egress, ingress }: Decision): { readonly direction: Direction; readonly decided: Decided } {
  if (verdict === 'deny') return egress.verdict === 'deny' ? { direction: 'egress', decided: egress } : { direction: 'ingress', decided: ingress };
  return ingress.policy === undefined && egress.policy !== undefined
    ? { direction: 'egress', decided: egress }
    : { direction: 'ingress', decided: ingress };
}
