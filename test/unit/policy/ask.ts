/** Policies as a user writes them, and what they mean for one connection. */
import { expect } from 'vitest';
import { Evaluator, type Decision } from '../../../src/policy/decision/evaluate.ts';
import { worldsOf } from '../../../src/policy/decision/change.ts';
import { findFlows } from '../../../src/lab/question.ts';
import { readExperiment } from '../../../src/policy/manifests/experiment.ts';
import type { Flow } from '../../../src/policy/model/flow.ts';
import type { Experiment, World } from '../../../src/policy/model/experiment.ts';
import type { Switches } from '../../../src/policy/model/values.ts';
import { isRuntimeError } from '../../../src/model/errors.ts';

/** Nine pods x/a … z/c as in Cyclonus, dual-stack, ports 80 and 81 of each protocol with a name each. */
export const grid = `
namespaces: {x: {ns: x}, y: {ns: y}, z: {ns: z}}
pods:
${['x', 'y', 'z']
  .flatMap((ns, i) =>
    ['a', 'b', 'c'].map(
      (name, j) =>
        `- {ns: ${ns}, name: ${name}, labels: {pod: ${name}}, ip: [10.0.${i}.${j + 10}, "fd00::${i}:${j + 10}"], ports: [${['TCP', 'UDP', 'SCTP']
          .flatMap((protocol) => [80, 81].map((port) => `{name: serve-${port}-${protocol.toLowerCase()}, port: ${port}, protocol: ${protocol}}`))
          .join(', ')}]}`,
    ),
  )
  .join('\n')}
`;

/** An experiment of `first` (experiment.yaml) and manifests. */
export const read = (first: string, manifests = '', files: Readonly<Record<string, string>> = {}): Experiment => {
  const all: Record<string, string> = { 'policies.yaml': manifests, ...files };
  return readExperiment({
    name: 'test',
    experiment: { file: 'experiment.yaml', text: first },
    files: Object.keys(all),
    expand: (pattern) => (pattern in all ? [pattern] : []),
    read: (file) => (file in all ? { text: all[file] ?? '' } : { fault: 'there is no such file' }),
  });
};

/** Every question that was asked, for who puts them to packets. */
export const asked: { readonly test: string; readonly world: World; readonly flow: Flow }[] = [];

/** Asks about connections of a world: `ask('x/a', 'y/b', 'TCP/80')`; IPv4 unless `family` says otherwise. */
export function asker(world: World, switches: Partial<Switches> = {}): (from: string, to: string, port?: string, family?: 4 | 6) => Decision {
  const switched = { ...world, switches: { ...world.switches, ...switches } };
  const evaluator = new Evaluator(switched);
  return (from, to, port = 'TCP/80', family = 4) => {
    const flow = findFlows(world, from, to, port).find(({ to: end }) => end.ip.family === family);
    if (flow === undefined) throw new Error(`${from} and ${to} do not meet`);
    asked.push({ test: expect.getState().currentTestName ?? '', world: switched, flow });
    return evaluator.decide(flow);
  };
}

/** `lab(policies)('x/a', 'y/b')` is 'allow' or 'deny', on the grid. */
export function lab(
  manifests: string,
  { first = grid, switches = {} }: { readonly first?: string; readonly switches?: Partial<Switches> } = {},
): (from: string, to: string, port?: string, family?: 4 | 6) => 'allow' | 'deny' {
  const ask = asker(read(first, manifests).world, switches);
  return (...question) => ask(...question).verdict;
}

/** A NetworkPolicy of namespace x, selecting pod a unless `spec` is whole. */
export const np = (spec: string, name = 'p', namespace = 'x'): string => `
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
`;

export const cnp = (spec: string, name = 'p'): string => `
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: ${name}}
spec: ${spec}
`;

/** What is wrong, line by line; [] when nothing is. */
export function faultsOf(work: () => unknown): readonly string[] {
  try {
    work();
    return [];
  } catch (error) {
    if (isRuntimeError(error) && error.code === 'ERR_LAB_INPUT') return error.details;
    throw error;
  }
}

export { worldsOf };
