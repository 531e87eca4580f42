/** A stage's cells: what was predicted beside what was measured. Pure. */
import { endpointName, isToItself } from '../policy/decision/cells.ts';
import { Evaluator } from '../policy/decision/evaluate.ts';
import type { World } from '../policy/model/experiment.ts';
import type { Flow } from '../policy/model/flow.ts';
import type { Outcome } from './expectations.ts';
import type { MeasuredFlow } from './measure.ts';
import { cellJson } from './prediction.ts';
import { type MeasuredCell, type ResultCell, verdictOf } from './results.ts';

/** Why no packet can show a flow; undefined: one can. */
export function whyUnmeasured(flow: Flow, world: World): ResultCell['unmeasured'] {
  if (isToItself(flow, world)) return 'loopback';
  const { from, to } = flow;
  const shares = [from, to].some((end) => end.kind === 'pod' && end.pod.hostNetwork);
  // R36: nothing that a packet has tells such a pod from the host.
  return from.ip.text === to.ip.text || (shares && world.switches.hostNetwork === 'pod') ? 'hostNetwork' : undefined;
}

/** Packets meet egress first: where one was dropped there, nothing was recorded of ingress. */
function measuredCell({ verdict, evidence, rules, rttUs, unattributed }: MeasuredFlow): MeasuredCell {
  const { egress = null, ingress = null } = rules;
  return {
    verdict: verdictOf(verdict),
    evidence,
    rule: ingress ?? egress,
    rules: { egress, ingress },
    ...(unattributed === true ? { unattributed } : {}),
    rtt_us: rttUs ?? null,
  };
}

export interface JudgedFlow {
  readonly flow: Flow;
  readonly unmeasured: ResultCell['unmeasured'];
}

/** `measured`: of the flows that can be, in order. */
export function judge(world: World, flows: readonly JudgedFlow[], measured: readonly MeasuredFlow[]): ResultCell[] {
  const evaluator = new Evaluator(world);
  let next = 0;
  return flows.map(({ flow, unmeasured }) => {
    const found = unmeasured === undefined ? measured[next++] : undefined;
    return {
      ...cellJson({ flow, from: endpointName(flow.from), to: endpointName(flow.to), decision: evaluator.decide(flow) }),
      measured: found === undefined ? null : measuredCell(found),
      ...(unmeasured === undefined ? {} : { unmeasured }),
    };
  });
}

/** What is held to expectations: what packets did, where they were asked; else what was predicted. */
export const outcomesOf = (flows: readonly JudgedFlow[], cells: readonly ResultCell[]): Outcome<ResultCell>[] =>
  cells.flatMap((cell, index) => {
    const flow = flows[index]?.flow;
    return flow === undefined ? [] : [{ flow, verdict: cell.measured?.verdict ?? cell.predicted.verdict, cell }];
  });
