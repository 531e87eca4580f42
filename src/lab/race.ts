/** Pods that send, and are sent to, as soon as they have a link: whether anything gets past policies that are for them (R43). */
import { Evaluator } from '../policy/decision/evaluate.ts';
import { flowsOf } from '../policy/decision/cells.ts';
import type { Experiment, World } from '../policy/model/experiment.ts';
import type { Flow } from '../policy/model/flow.ts';
import { podKey, type Pod } from '../policy/model/values.ts';
import { RuntimeError } from '../model/errors.ts';
import { badInputStatus } from '../policy/manifests/faults.ts';
import { whyUnmeasured } from './judge.ts';
import { measure, type MeasureOptions } from './measure.ts';

export interface RaceOptions extends MeasureOptions {
  /** rules of a pod come when it has sent; for tests that must find leaks */
  readonly late?: boolean;
}
export interface RaceResult {
  readonly starts: number;
  /** connections that the policies deny, tried at the starts */
  readonly tried: number;
  /** of those, the ones that got through */
  readonly leaked: number;
  readonly noEvidence: number;
  /** `x/a → x/b TCP/80`: the first of them */
  readonly leaks: readonly string[];
}

/** Few a start: the first moments are what is asked about. */
const mostFlows = 16;
const mostLeaks = 20;

interface Racer {
  readonly pod: Pod;
  readonly flows: readonly Flow[];
}

/** Pods with connections that are denied. */
function racersOf(world: World, experiment: Experiment): Racer[] {
  const evaluator = new Evaluator(world);
  const denied = flowsOf(world, experiment.probes).filter(
    (flow) => whyUnmeasured(flow, world) === undefined && evaluator.decide(flow).verdict === 'deny',
  );
  return world.pods.flatMap((pod): Racer[] => {
    const own = (flow: Flow): boolean => [flow.from, flow.to].some((end) => end.kind === 'pod' && podKey(end.pod) === podKey(pod));
    const flows = denied.filter(own).slice(0, mostFlows);
    return flows.length === 0 || pod.hostNetwork ? [] : [{ pod, flows }];
  });
}

const textOf = ({ from, to, protocol, port }: Flow): string =>
  `${[from, to].map((end) => (end.kind === 'pod' ? podKey(end.pod) : end.ip.text)).join(' → ')} ${protocol}/${port}`;

/**
 * Takes pods away and starts them again, one after the other, `starts` times in all. @throws ERR_LAB_INPUT when no policy denies anything
 * that packets could show; ERR_LAB_FEATURE, ERR_LAB_PROBER
 */
export function startRace(experiment: Experiment, starts: number, { late = false, ...options }: RaceOptions = {}): RaceResult {
  const { world } = experiment;
  const racers = racersOf(world, experiment);
  if (racers.length === 0)
    throw new RuntimeError('ERR_LAB_INPUT', 'no policy denies anything that is probed: there is nothing that could leak', {
      hint: 'rkt lab predict shows what is denied',
      exitCode: badInputStatus,
    });
  const runs = Array.from({ length: starts }, (_, index) => racers[index % racers.length]).filter((racer) => racer !== undefined);
  const measured = measure(
    runs.flatMap(({ pod, flows }) => {
      const without = { ...world, pods: world.pods.filter((one) => one !== pod) };
      return [
        { world: without, flows: [] },
        { world, flows, ...(late ? { enforced: without } : {}) },
      ];
    }),
    options,
  );
  const found = runs.flatMap(({ flows }, index) => flows.map((flow, at) => ({ flow, verdict: measured[2 * index + 1]?.flows[at]?.verdict })));
  const leaks = found.filter(({ verdict }) => verdict === 'allowed').map(({ flow }) => textOf(flow));
  return {
    starts,
    tried: found.length,
    leaked: leaks.length,
    noEvidence: found.filter(({ verdict }) => verdict === 'no-evidence').length,
    leaks: [...new Set(leaks)].slice(0, mostLeaks),
  };
}
