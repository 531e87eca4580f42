/** A stage's cells: what was predicted beside what was measured, and what the experiment expects of them. Pure. */
import { endpointMatches, endpointName } from '../policy/decision/cells.ts';
import { type Decided, Evaluator } from '../policy/decision/evaluate.ts';
import type { Expectation, World } from '../policy/model/experiment.ts';
import type { Endpoint, Flow } from '../policy/model/flow.ts';
import { ruleKey } from '../policy/model/policy.ts';
import { type Direction, podKey } from '../policy/model/values.ts';
import type { MeasuredFlow } from './measure.ts';
import { type MeasuredCell, type PredictedCell, type ResultCell, type Violation, verdictOf } from './results.ts';

/** Why no packet can show a flow; undefined: one can. */
export function whyUnmeasured({ from, to }: Flow, { switches }: World): ResultCell['unmeasured'] {
  const shares = [from, to].some((end) => end.kind === 'pod' && end.pod.hostNetwork);
  // R36: as pods they would be told from the host by nothing that a packet has.
  if (shares && switches.hostNetwork === 'pod') return 'hostNetwork';
  if (from.ip.text === to.ip.text) return from.kind === 'pod' && to.kind === 'pod' && podKey(from.pod) === podKey(to.pod) ? 'loopback' : 'hostNetwork';
  return from.kind === 'pod' && to.kind === 'pod' && podKey(from.pod) === podKey(to.pod) ? 'loopback' : undefined;
}

const keyOf = (direction: Direction, { policy, rule }: Decided): string | null => (policy === undefined ? null : ruleKey(policy, direction, rule));

function predict(evaluator: Evaluator, flow: Flow): PredictedCell {
  const { verdict, egress, ingress } = evaluator.decide(flow);
  const rules = { egress: keyOf('egress', egress), ingress: keyOf('ingress', ingress) };
  const rule = verdict === 'allow' ? (rules.ingress ?? rules.egress) : egress.verdict === 'deny' ? rules.egress : rules.ingress;
  return { ingress: ingress.verdict, egress: egress.verdict, verdict, rule, rules };
}

/** Packets meet egress first: where one was dropped there, nothing was recorded of ingress. */
function measuredCell({ verdict, evidence, rules, rttUs }: MeasuredFlow): MeasuredCell {
  const { egress = null, ingress = null } = rules;
  return { verdict: verdictOf(verdict), evidence, rule: ingress ?? egress, rules: { egress, ingress }, rtt_us: rttUs ?? null };
}

export interface JudgedFlow {
  readonly flow: Flow;
  readonly unmeasured: ResultCell['unmeasured'];
}

const networkOf = (end: Endpoint): string | undefined => (end.kind === 'pod' ? end.network : undefined);

/** `measured`: of the flows that can be, in order. */
export function judge(world: World, flows: readonly JudgedFlow[], measured: readonly MeasuredFlow[]): ResultCell[] {
  const evaluator = new Evaluator(world);
  let next = 0;
  return flows.map(({ flow, unmeasured }) => {
    const { from, to, protocol, port } = flow;
    const found = unmeasured === undefined ? measured[next++] : undefined;
    return {
      from: endpointName(from),
      to: endpointName(to),
      network: networkOf(from) ?? networkOf(to) ?? '',
      family: from.ip.family,
      protocol,
      port,
      predicted: predict(evaluator, flow),
      measured: found === undefined ? null : measuredCell(found),
      ...(unmeasured === undefined ? {} : { unmeasured }),
    };
  });
}

/** What holds every expectation to the cells: what packets did, where they were asked; else what was predicted. */
export function violationsOf(
  step: string,
  expectations: readonly Expectation[],
  world: World,
  flows: readonly JudgedFlow[],
  cells: readonly ResultCell[],
): Violation[] {
  return expectations.flatMap(({ verdict, from, to, protocol, port, source }): Violation[] => {
    const meant = cells.filter((cell, index) => {
      const flow = flows[index]?.flow;
      return (
        flow !== undefined &&
        (protocol === undefined || cell.protocol === protocol) &&
        (port === undefined || cell.port === port) &&
        endpointMatches(from, flow.from, world) &&
        endpointMatches(to, flow.to, world)
      );
    });
    const wrong = meant.filter((cell) => (cell.measured?.verdict ?? cell.predicted.verdict) !== verdict);
    if (meant.length > 0 && wrong.length === 0) return [];
    return [{ step, expected: verdict, file: source.file, line: source.line, cells: wrong }];
  });
}
