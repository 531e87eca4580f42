/** Mistakes that are seen in one policy, or in what several say of one pod. */
import { type Family, cidrText, contains, networkOf } from '../../model/cidr.ts';
import { meansPod, namespaceLabels } from '../decision/match.ts';
import { policyKey, type Peer, type Policy, type PortMatch, type Rule } from '../model/policy.ts';
import type { World } from '../model/experiment.ts';
import type { Pod } from '../model/values.ts';
import type { Finding } from './findings.ts';

const dnsPort = 53;

export const subjectsOf = (world: World, policy: Policy): Pod[] =>
  world.pods.filter((pod) => !pod.ended && !pod.hostNetwork && meansPod(policy.subject, pod, namespaceLabels(world.namespaces, pod.namespace)));

const admitsDns = (port: PortMatch): boolean =>
  port.kind === 'named'
    ? port.name.includes('dns')
    : port.protocol === 'UDP' && (port.kind === 'protocol' || (port.first <= dnsPort && port.last >= dnsPort));

const ruleAdmitsDns = ({ ports, peers }: Rule): boolean => (peers === undefined || peers.length > 0) && (ports?.some(admitsDns) ?? true);

/** R45: pods that no egress policy lets ask for a name. */
export function lintDns(world: World, policy: Policy): Finding[] {
  if (policy.tier !== 'networkpolicy' || policy.networks !== undefined || !policy.directions.includes('egress')) return [];
  const subjects = subjectsOf(world, policy);
  const others = world.policies.filter(
    ({ tier, directions, networks }) => tier === 'networkpolicy' && networks === undefined && directions.includes('egress'),
  );
  const isCut = (pod: Pod): boolean =>
    !others.some((other) => other.egress.some(ruleAdmitsDns) && meansPod(other.subject, pod, namespaceLabels(world.namespaces, pod.namespace)));
  const cut = subjects.length === 0 ? !policy.egress.some(ruleAdmitsDns) : subjects.some(isCut);
  if (!cut) return [];
  return [
    {
      code: 'no-dns',
      text: `${policyKey(policy)} isolates egress, and nothing lets its pods ask a name server: names will not resolve`,
      cure: 'add to egress:  - ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]',
      ...policy.source,
    },
  ];
}

/** R17: two items where one was meant. */
export function lintDash(policy: Policy): Finding[] {
  if (policy.tier !== 'networkpolicy') return [];
  return [...policy.ingress, ...policy.egress].flatMap(({ peers = [] }) =>
    peers.flatMap((peer, index): Finding[] => {
      const before = peers[index - 1];
      if (before === undefined || !areHalves(before, peer)) return [];
      const second = selectorOf(peer);
      return [
        {
          code: 'dash',
          text: `${selectorOf(before)} and ${second} are two items, so either is enough`,
          cure: `if both must hold, take away the dash before ${second}`,
          ...peer.source,
        },
      ];
    }),
  );
}

/** One chooses pods by label in the policy's own namespace, the other whole namespaces. */
function areHalves(a: Peer, b: Peer): boolean {
  if (a.kind !== 'pods' || b.kind !== 'pods') return false;
  const isPods = ({ pods }: typeof a): boolean => pods.namespace !== undefined && (pods.podSelector?.requirements.length ?? 0) > 0;
  const isNamespaces = ({ pods }: typeof a): boolean => pods.namespace === undefined && pods.podSelector === undefined;
  return (isPods(a) && isNamespaces(b)) || (isNamespaces(a) && isPods(b));
}
const selectorOf = (peer: Peer): string => (peer.kind === 'pods' && peer.pods.namespace !== undefined ? 'podSelector' : 'namespaceSelector');

/** R9: rules of a direction that the policy is not about. */
export function lintPolicyTypes(policy: Policy): Finding[] {
  if (policy.tier !== 'networkpolicy') return [];
  return (['ingress', 'egress'] as const).flatMap((direction): Finding[] => {
    const [first] = policy[direction];
    if (first === undefined || policy.directions.includes(direction)) return [];
    const type = direction === 'ingress' ? 'Ingress' : 'Egress';
    return [
      {
        code: 'policy-types',
        text: `${policyKey(policy)} has ${direction} rules, but policyTypes has no ${type}: they have no effect`,
        cure: `add ${type} to policyTypes, or take the rules away`,
        ...first.source,
      },
    ];
  });
}

/** R39: a rule that means "everywhere" in one family only. */
export function lintFamilies(world: World, policy: Policy): Finding[] {
  const hasBoth = ([4, 6] as const).every((family) =>
    world.pods.some(({ interfaces }) => interfaces.some(({ ips }) => ips.some((ip) => ip.family === family))),
  );
  if (!hasBoth) return [];
  return [...policy.ingress, ...policy.egress].flatMap(({ peers = [] }): Finding[] => {
    const everywhere = peers.flatMap((peer) => (peer.kind === 'block' && peer.cidr.prefixLen === 0 ? [peer] : []));
    const only = everywhere.find(({ except }) => except.length === 0) ?? everywhere[0];
    if (only === undefined || everywhere.some(({ cidr }) => cidr.ip.family !== only.cidr.ip.family)) return [];
    const [this_, family, other] = only.cidr.ip.family === 4 ? (['IPv4', 6, '::/0'] as const) : (['IPv6', 4, '0.0.0.0/0'] as const);
    const isWhole = only.except.length === 0;
    const meant = isWhole
      ? `the rule means every ${this_} address`
      : `the block means every ${this_} address but ${listed(only.except.map(cidrText))}`;
    const cure = isWhole ? `add ${other}` : `add ${other} with ${exceptForPods(world, policy, family)}`;
    return [{ code: 'one-family', text: `${meant}, and none of the other family`, cure, ...only.source }];
  });
}

const listed = (texts: readonly string[]): string => [texts.slice(0, -1).join(', '), ...texts.slice(-1)].filter((text) => text !== '').join(' and ');

/** An except may be what keeps pods from one another: the other family must not open what it shuts. Ranges are told where all pods are in them. */
function exceptForPods({ networks, pods }: World, policy: Policy, family: Family): string {
  const concerned = networks.filter(({ id }, index) => policy.networks?.includes(id) ?? index === 0);
  const ranges = concerned.flatMap(({ subnets }) => subnets.filter(({ ip }) => ip.family === family).map(networkOf));
  const ips = pods.flatMap(({ interfaces }) => interfaces.flatMap((one) => (concerned.some(({ id }) => id === one.network) ? one.ips : [])));
  const own = ips.filter((ip) => ip.family === family);
  return own.length > 0 && own.every((ip) => ranges.some((range) => contains(range, ip)))
    ? `except: [${ranges.map(cidrText).join(', ')}], which is where the pods are`
    : `an except for the IPv${family} addresses of the pods`;
}
