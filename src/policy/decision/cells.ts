/** Which connections an experiment asks about, and what ends they have. */
import type { EndpointPattern, Pair, Port, Probes, World } from '../model/experiment.ts';
import { portKey } from '../model/experiment.ts';
import type { Endpoint, Flow } from '../model/flow.ts';
import { podKey, type Node, type Pod } from '../model/values.ts';
import { globMatches, namespaceLabels, selects } from './match.ts';

/**
 * How matrices, reports and expectations call an end: `x/a`, `host`, `node/n2`, `outside`, `outside/api`. Who is no pod and has more
 * than one address of a family is told by the further ones: `outside/api@203.0.113.2`.
 */
export function endpointName(endpoint: Endpoint): string {
  const name = ownerName(endpoint);
  if (endpoint.kind === 'pod') return name;
  const { ips } = endpoint.kind === 'node' ? endpoint.node : endpoint.outside;
  const first = ips.find(({ family }) => family === endpoint.ip.family);
  return first === undefined || first.text === endpoint.ip.text ? name : `${name}@${endpoint.ip.text}`;
}
function ownerName(endpoint: Endpoint): string {
  if (endpoint.kind === 'pod') return podKey(endpoint.pod);
  if (endpoint.kind === 'node') return endpoint.node.local ? 'host' : `node/${endpoint.node.name}`;
  return endpoint.outside.name === 'outside' ? 'outside' : `outside/${endpoint.outside.name}`;
}

/** What stands at the ends of a matrix: pods that run, then what else was asked for; each by its addresses on one network. */
export interface Party {
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
}

const clusterNetwork = (world: World): string => world.networks[0]?.id ?? '';

/** Pods without ones that have ended, in order of name; then the host, other nodes and what is outside, if `probes.from` asks. */
export function parties(world: World, probes: Pick<Probes, 'from'>): Party[] {
  const pods = world.pods.filter(({ ended }) => !ended).sort((a, b) => (podKey(a) < podKey(b) ? -1 : 1));
  const local = world.nodes.find((node) => node.local);
  const others = [
    ...(probes.from.includes('host') ? world.nodes.map((node) => node.ips.map((ip): Endpoint => ({ kind: 'node', node, ip }))) : []),
    ...(probes.from.includes('outside') ? world.outside.map((outside) => outside.ips.map((ip): Endpoint => ({ kind: 'outside', outside, ip }))) : []),
  ];
  return [...pods.map((pod) => podEndpoints(pod, local, clusterNetwork(world))), ...others]
    .filter((endpoints) => endpoints.length > 0)
    .map((endpoints) => ({ name: endpoints[0] === undefined ? '' : ownerName(endpoints[0]), endpoints }));
}

/** A pod by each of its addresses; one that shares the node's network by the node's. */
function podEndpoints(pod: Pod, local: Node | undefined, network: string): Endpoint[] {
  if (pod.hostNetwork) return (local?.ips ?? []).map((ip) => ({ kind: 'pod', pod, network, ip }));
  return pod.interfaces.flatMap(({ network: id, ips }) => ips.map((ip): Endpoint => ({ kind: 'pod', pod, network: id, ip })));
}

const byKey = (a: Port, b: Port): number => (a.protocol === b.protocol ? a.port - b.port : a.protocol < b.protocol ? -1 : 1);

/** Sorted as Cyclonus does (SCTP/80 SCTP/81 TCP/80 …), each once. */
function sortedPorts(ports: Iterable<Port>): Port[] {
  const found = new Map<string, Port>();
  for (const { protocol, port } of ports) found.set(portKey({ protocol, port }), { protocol, port });
  return [...found.values()].sort(byKey);
}

const undeclaredPort = 80;

/** The ports of a target that are asked about: the experiment's, else the pod's own, else those that any pod declares. */
export function portsOf(world: World, probes: Probes): (endpoint: Endpoint) => readonly Port[] {
  const all = world.pods.flatMap(({ ports }) => ports);
  const protocols = probes.protocols ?? [];
  const cross = (numbers: readonly number[]): Port[] =>
    sortedPorts(
      numbers.flatMap((port) => (protocols.length > 0 ? protocols : (['TCP', 'UDP', 'SCTP'] as const)).map((protocol) => ({ protocol, port }))),
    );
  if (probes.ports !== undefined) {
    const ports = cross(probes.ports);
    return () => ports;
  }
  const declared = protocols.length > 0 ? cross(all.map(({ port }) => port)) : sortedPorts(all);
  const fallback = declared.length > 0 ? declared : cross([undeclaredPort]);
  if (protocols.length > 0) return () => fallback;
  const known = new Map<Pod, readonly Port[]>();
  return (endpoint) => {
    if (endpoint.kind !== 'pod' || endpoint.pod.ports.length === 0) return fallback;
    let own = known.get(endpoint.pod);
    if (own === undefined) known.set(endpoint.pod, (own = sortedPorts(endpoint.pod.ports)));
    return own;
  };
}

/** Whether two ends can speak: one family; on one network, or one of them not a pod and the other on the cluster's. */
function canSpeak(from: Endpoint, to: Endpoint, network: string): boolean {
  if (from.ip.family !== to.ip.family) return false;
  if (from.kind === 'pod' && to.kind === 'pod') return from.network === to.network;
  // Between what is no pod nothing is policed.
  return (from.kind === 'pod' && from.network === network) || (to.kind === 'pod' && to.network === network);
}

/** Every connection of a world that is asked about: by source, target, port, family and network. */
export function flowsOf(world: World, probes: Probes): Flow[] {
  const all = parties(world, probes);
  const network = clusterNetwork(world);
  const ports = portsOf(world, probes);
  const { pairs, expected = [] } = probes;
  const isMeant = (pair: Pair, from: Endpoint, to: Endpoint): boolean =>
    endpointMatches(pair.from, from, world) && endpointMatches(pair.to, to, world);
  const asked = (from: Endpoint, to: Endpoint): readonly Port[] => {
    const own = (pairs?.some((pair) => isMeant(pair, from, to)) ?? true) ? ports(to) : [];
    const more = expected.filter((one) => isExpectedOf(one, from, to, world));
    return more.length === 0 ? own : sortedPorts([...own, ...more]);
  };
  return all.flatMap(({ endpoints: sources }) =>
    all.flatMap(({ endpoints: targets }) =>
      sources.flatMap((from) =>
        targets.flatMap((to) =>
          canSpeak(from, to, network) ? asked(from, to).map(({ protocol, port }): Flow => ({ from, to, protocol, port })) : [],
        ),
      ),
    ),
  );
}

/**
 * Whether an expectation is about a connection between these ends. A pod always reaches itself (R33), so that many pods, an absent end
 * or labels do not mean a pod to itself: who wants that names it on both ends.
 */
export function isExpectedOf(pair: Pair, from: Endpoint, to: Endpoint, world: World): boolean {
  const isItself = from.kind === 'pod' && to.kind === 'pod' && podKey(from.pod) === podKey(to.pod);
  if (isItself && !(isNameOf(pair.from, from) && isNameOf(pair.to, to))) return false;
  return endpointMatches(pair.from, from, world) && endpointMatches(pair.to, to, world);
}
const isNameOf = (pattern: EndpointPattern, endpoint: Endpoint): boolean =>
  pattern.kind === 'name' && [ownerName(endpoint), endpointName(endpoint), endpoint.ip.text].includes(pattern.text);

/**
 * Whether a connection never leaves where it comes from: a pod's to itself, and what shares the node's network to the node, or to another
 * that does. Under the switch `hostNetwork: pod` the latter are told apart, and policed.
 */
export const isToItself = ({ from, to }: Flow, { switches }: World): boolean =>
  (from.kind === 'pod' && to.kind === 'pod' && podKey(from.pod) === podKey(to.pod)) ||
  (from.ip.text === to.ip.text && switches.hostNetwork === 'node');

/** Whether a pattern of an experiment means this end. `*` means all pods. */
export function endpointMatches(pattern: EndpointPattern, endpoint: Endpoint, world: World): boolean {
  if (pattern.kind === 'name') {
    if (pattern.text === '*') return endpoint.kind === 'pod';
    return (
      globMatches(pattern.text, ownerName(endpoint)) ||
      pattern.text === endpointName(endpoint) ||
      (pattern.text === 'outside' && endpoint.kind === 'outside') ||
      pattern.text === endpoint.ip.text
    );
  }
  if (endpoint.kind !== 'pod') return false;
  const { pod } = endpoint;
  return (
    (pattern.namespace === undefined || globMatches(pattern.namespace, pod.namespace)) &&
    selects(pattern.namespaceSelector, namespaceLabels(world.namespaces, pod.namespace)) &&
    selects(pattern.podSelector, pod.labels)
  );
}
