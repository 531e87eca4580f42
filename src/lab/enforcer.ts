/** Another enforcer than rkt's compiler: what it is told, and rules that only look. Pure. Its protocol is in README.md. */
import { type Expression, destination, isFamily, source, word, words } from '../model/ruleset/expressions.ts';
import type { TableValue } from '../model/ruleset/table.ts';
import { compilePolicies, evidenceSets, tableName } from '../policy/compile/compile.ts';
import { kubernetesObject } from '../policy/model/kubernetes.ts';
import type { World } from '../policy/model/experiment.ts';
import type { Fixture } from './fixture.ts';

/** As rkt-prober knows it: a flow that was on its way. */
const seen = 0x20000000;

const look = (family: 4 | 6): Expression[] => {
  const length = words(family === 4 ? 4 : 16);
  return [
    ...isFamily(family),
    source(family, 0),
    destination(family, length),
    { op: 'meta', key: 'l4proto', reg: 2 * length },
    { op: 'payload', base: 'transport', offset: 0, length: 2, reg: 2 * length + 1 },
    { op: 'payload', base: 'transport', offset: 2, length: 2, reg: 2 * length + 2 },
    { op: 'immediate', reg: 2 * length + 3, data: word(seen) },
    { op: 'record', set: evidenceSets[family === 4 ? 0 : 1], reg: 0 },
  ];
};

/** Records what leaves pods, host and outside, before anybody's rules; decides nothing. */
export function observation(flows: number): TableValue {
  const none: World = { networks: [], namespaces: [], pods: [], policies: [], nodes: [], outside: [], switches: undecided };
  // Answers are flows of their own here.
  const { table } = compilePolicies(none, { evidenceFlows: 2 * flows });
  const rules = [look(4), look(6)];
  return {
    ...table,
    name: tableName,
    comment: 'rkt looks on',
    chains: (['prerouting', 'output'] as const).map((hook) => ({ name: hook, base: { type: 'filter', hook, priority: -400 }, rules })),
  };
}
const undecided = { podToNode: 'allow', hostNetwork: 'node', loopback: 'allow', baseline: 'per-direction', namedPortOfBlock: 'never' } as const;

/** One JSON document: all pods and policies as they are to be. `DEL`: nothing is to be left of it. */
export const enforcerInput = (verb: 'ADD' | 'UPDATE' | 'DEL', { pods, namespaces, policies, nodes }: World, fixture: Fixture): string =>
  JSON.stringify({
    format: 'rkt-enforcer-1',
    verb,
    namespaces: namespaces.map(({ name, labels }) => ({ name, labels })),
    pods: pods
      .filter(({ ended }) => !ended)
      .map((pod) => {
        const { namespace, name, labels, ports, hostNetwork } = pod;
        const links = fixture.hostLinksOf(pod);
        const interfaces = pod.interfaces.map(({ network, ips }) => ({ network, ips: ips.map(({ text }) => text), hostLink: links[network] }));
        return { namespace, name, labels, ports, hostNetwork, interfaces };
      }),
    nodes: nodes.map(({ name, labels, ips, local }) => ({ name, labels, ips: ips.map(({ text }) => text), local })),
    policies: policies.map(kubernetesObject),
  });
