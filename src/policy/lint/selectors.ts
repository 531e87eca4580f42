/** Selectors that mean nothing that is there. */
import { didYouMean } from '../../model/ids.ts';
import { podsText } from '../decision/describe.ts';
import { meansPod, namespaceLabels, selects } from '../decision/match.ts';
import { policyKey, type PodMatch, type Policy } from '../model/policy.ts';
import type { World } from '../model/experiment.ts';
import type { Labels, Selector } from '../model/values.ts';
import type { Finding } from './findings.ts';
import { subjectsOf } from './policies.ts';

const meansNobody = (world: World, match: PodMatch): boolean =>
  !world.pods.some((pod) => !pod.ended && meansPod(match, pod, namespaceLabels(world.namespaces, pod.namespace)));

export function lintSubject(world: World, policy: Policy): Finding[] {
  if (!meansNobody(world, policy.subject)) return [];
  return [
    {
      code: 'selects-nothing',
      text: `${policyKey(policy)} selects ${podsText(policy.subject)}, and there are none`,
      cure: rightNamespace(world, policy.subject) ?? nearest(world, policy.subject),
      ...(policy.subject.podSelector?.source ?? policy.source),
    },
  ];
}

export function lintPeers(world: World, policy: Policy): Finding[] {
  return [...policy.ingress, ...policy.egress].flatMap(({ peers = [] }) =>
    peers.flatMap((peer): Finding[] => {
      if (peer.kind === 'nodes') {
        if (world.nodes.some(({ labels }) => selects(peer.selector, labels))) return [];
        return [
          { code: 'peer-matches-nothing', text: 'no node has the labels of this peer', cure: 'look at the labels of the nodes', ...peer.source },
        ];
      }
      if (peer.kind !== 'pods' || !meansNobody(world, peer.pods)) return [];
      return [
        {
          code: 'peer-matches-nothing',
          text: `the peer means ${podsText(peer.pods)}, and there are none`,
          cure: otherNamespace(world, peer.pods) ?? nearest(world, peer.pods),
          ...peer.source,
        },
      ];
    }),
  );
}

/** Where to put a policy that selects by label in its own namespace, if such pods are only in others. Its podSelector cannot leave it. */
function rightNamespace({ pods, namespaces }: World, { namespace, podSelector }: PodMatch): string | undefined {
  if (namespace === undefined || podSelector === undefined || podSelector.requirements.length === 0) return undefined;
  const running = pods.filter(({ ended }) => !ended);
  const elsewhere = [...new Set(running.filter((pod) => selects(podSelector, pod.labels)).map((pod) => pod.namespace))].sort();
  if (elsewhere.length === 0) return undefined;
  const isEmpty = !running.some((pod) => pod.namespace === namespace);
  const isThere =
    pods.some((pod) => pod.namespace === namespace) || namespaces.some(({ name, source }) => name === namespace && source !== undefined);
  return `no ${isEmpty ? '' : 'such '}pod in namespace ${namespace}${isThere ? '' : ` (there is no namespace ${namespace})`}; put the policy into namespace ${elsewhere.join(' or ')}, where such pods are`;
}

/** What a peer lacks that selects by label in the policy's own namespace, if such pods are in another. */
function otherNamespace(world: World, { namespace, podSelector }: PodMatch): string | undefined {
  if (namespace === undefined || podSelector === undefined) return undefined;
  const elsewhere = world.pods.find((pod) => selects(podSelector, pod.labels));
  return elsewhere === undefined
    ? undefined
    : `such pods are in namespace ${elsewhere.namespace}: a podSelector alone stays in the policy's own, add namespaceSelector`;
}

/** What was probably meant: a label that is nearly there. */
function nearest(world: World, match: PodMatch): string {
  const { namespace, namespaceSelector, podSelector } = match;
  const namespaces = world.namespaces.filter(({ name }) => namespace === undefined || name === namespace);
  const ofNamespaces =
    namespaceSelector === undefined
      ? undefined
      : nearLabel(
          namespaceSelector,
          world.namespaces.map(({ labels }) => labels),
        );
  const inThem = world.pods.filter((pod) => namespaces.some(({ name }) => name === pod.namespace)).map(({ labels }) => labels);
  const ofPods = podSelector === undefined ? undefined : nearLabel(podSelector, inThem);
  const near = ofNamespaces ?? ofPods;
  if (near !== undefined) return `did you mean ${near}?`;
  if (namespace !== undefined && inThem.length === 0) return `there is no pod in namespace ${namespace}: look at metadata.namespace`;
  return 'look at the labels, or take it away';
}

function nearLabel({ requirements }: Selector, all: readonly Labels[]): string | undefined {
  for (const { key, operator, values } of requirements) {
    if (operator === 'NotIn' || operator === 'DoesNotExist') continue;
    const holders = all.filter((labels) => Object.hasOwn(labels, key));
    if (holders.length === 0) {
      const near = didYouMean(key, [...new Set(all.flatMap((labels) => Object.keys(labels)))]);
      if (near !== undefined) return `the label ${near}`;
      continue;
    }
    if (operator === 'Exists' || holders.some((labels) => values.includes(labels[key] ?? ''))) continue;
    const near = didYouMean(values[0] ?? '', [...new Set(holders.map((labels) => labels[key] ?? ''))]);
    if (near !== undefined) return `${key}: ${near}`;
  }
  return undefined;
}

/** R24, R25: names that no pod in question gives to a port of that protocol. */
export function lintNamedPorts(world: World, policy: Policy): Finding[] {
  return (['ingress', 'egress'] as const).flatMap((direction) =>
    policy[direction].flatMap(({ ports = [], peers }) =>
      ports.flatMap((port): Finding[] => {
        if (port.kind !== 'named') return [];
        const candidates =
          direction === 'ingress'
            ? subjectsOf(world, policy)
            : world.pods.filter(
                (pod) =>
                  peers === undefined ||
                  peers.some((peer) => peer.kind === 'pods' && meansPod(peer.pods, pod, namespaceLabels(world.namespaces, pod.namespace))),
              );
        const named = candidates.flatMap((pod) => pod.ports.filter(({ name }) => name === port.name));
        if (candidates.length === 0 || named.some(({ protocol }) => port.protocol === undefined || protocol === port.protocol)) return [];
        const [other] = named;
        const near = didYouMean(port.name, [...new Set(candidates.flatMap((pod) => pod.ports.flatMap(({ name }) => name ?? [])))]);
        return [
          {
            code: 'named-port',
            text: `no pod that is meant calls a ${port.protocol ?? ''} port "${port.name}": it matches nothing`.replace('  ', ' '),
            cure:
              other !== undefined
                ? `"${port.name}" is a port of ${other.protocol}: write protocol: ${other.protocol}`
                : near === undefined
                  ? 'name the port in the container, or write its number'
                  : `did you mean "${near}"?`,
            ...port.source,
          },
        ];
      }),
    ),
  );
}

/** R49: policies of one tier and priority that select a pod both. */
export function lintPriorities(world: World, policy: Policy): Finding[] {
  if (policy.tier === 'networkpolicy') return [];
  const rivals = world.policies.filter((other) => other !== policy && other.tier === policy.tier && other.priority === policy.priority);
  if (rivals.length === 0) return [];
  const subjects = new Set(subjectsOf(world, policy));
  const meets = rivals.filter((rival) => subjectsOf(world, rival).some((pod) => subjects.has(pod)));
  if (meets.length === 0) return [];
  return [
    {
      code: 'equal-priority',
      text: `${policyKey(policy)} has priority ${policy.priority} like ${meets.map(policyKey).join(', ')}, and they select a pod in common: which goes first is undefined`,
      cure: 'give each a priority of its own',
      ...policy.source,
    },
  ];
}
