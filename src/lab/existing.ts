/** Connections that were open before policies changed: which there are, and whether each did as it should (R29). Pure. */
import { endpointName } from '../policy/decision/cells.ts';
import { Evaluator } from '../policy/decision/evaluate.ts';
import type { World } from '../policy/model/experiment.ts';
import type { Flow } from '../policy/model/flow.ts';
import type { JudgedFlow } from './judge.ts';
import type { MeasuredStage } from './measure.ts';
import type { Existing, ExistingStep } from './results.ts';

const mostHeld = 400;

/** Those of the first world that are allowed, of protocols that have connections. */
export function openFlows([world]: readonly World[], flows: readonly JudgedFlow[]): Flow[] {
  if (world === undefined) return [];
  const evaluator = new Evaluator(world);
  return flows
    .filter(({ flow, unmeasured }) => unmeasured === undefined && flow.protocol !== 'SCTP' && evaluator.decide(flow).verdict === 'allow')
    .map(({ flow }) => flow)
    .slice(0, mostHeld);
}

/** A pod that was made anew is another: its connections are gone with the first. */
export function existingOf(
  mode: Existing['mode'],
  held: readonly Flow[],
  worlds: readonly World[],
  steps: readonly { readonly name: string }[],
  measured: readonly MeasuredStage[],
): Existing {
  const lost = new Set<number>();
  const found = worlds.map((world, index): ExistingStep => {
    const evaluator = new Evaluator(world);
    const states = measured[index]?.held ?? [];
    const unexpected = held.flatMap((flow, at) => {
      if (states[at] === 'gone') return [];
      // Between: who was cut once does not come back.
      const isDenied = mode === 'cut' && evaluator.decide(currentOf(flow, world)).verdict === 'deny';
      if (isDenied) lost.add(at);
      const wanted = lost.has(at) ? 'cut' : 'kept';
      return states[at] === wanted || (lost.has(at) && !isDenied) ? [] : [`${textOf(flow)} was ${states[at] ?? 'not asked'}, expected: ${wanted}`];
    });
    const count = (state: string): number => states.filter((one) => one === state).length;
    return { name: steps[index]?.name ?? '', kept: count('kept'), cut: count('cut'), gone: count('gone'), unexpected };
  });
  return { mode, steps: found };
}

/** The same ends, with the labels they have in `world`. */
function currentOf(flow: Flow, { pods }: World): Flow {
  const current = (end: Flow['from']): Flow['from'] => {
    if (end.kind !== 'pod') return end;
    const pod = pods.find(({ namespace, name }) => namespace === end.pod.namespace && name === end.pod.name);
    return pod === undefined ? end : { ...end, pod };
  };
  return { ...flow, from: current(flow.from), to: current(flow.to) };
}

const textOf = ({ from, to, protocol, port }: Flow): string => `${endpointName(from)} → ${endpointName(to)} ${protocol}/${port}`;
