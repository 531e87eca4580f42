/** Policies as objects of Kubernetes, from the one form that all kinds were read into. Pure. */
import { cidrText } from '../../model/cidr.ts';
import type { Peer, PodMatch, Policy, PortMatch, Rule } from './policy.ts';
import type { Direction, Selector } from './values.ts';

type Written = Readonly<Record<string, unknown>>;

const selectorObject = (selector: Selector | undefined): Written =>
  selector === undefined || selector.requirements.length === 0
    ? {}
    : {
        matchExpressions: selector.requirements.map(({ key, operator, values }) => ({ key, operator, ...(values.length === 0 ? {} : { values }) })),
      };
const podsObject = ({ namespaceSelector, podSelector }: PodMatch): Written => ({
  namespaceSelector: selectorObject(namespaceSelector),
  podSelector: selectorObject(podSelector),
});

function namespacedPeer(peer: Peer): Written {
  if (peer.kind === 'block')
    return { ipBlock: { cidr: cidrText(peer.cidr), ...(peer.except.length === 0 ? {} : { except: peer.except.map(cidrText) }) } };
  if (peer.kind !== 'pods') throw new Error(`${peer.kind} is no peer of a NetworkPolicy`);
  const { namespace, namespaceSelector, podSelector } = peer.pods;
  return {
    ...(namespace !== undefined ? {} : { namespaceSelector: selectorObject(namespaceSelector) }),
    ...(podSelector === undefined && namespace === undefined ? {} : { podSelector: selectorObject(podSelector) }),
  };
}
function namespacedPort(port: PortMatch): Written {
  if (port.kind === 'protocol') return { protocol: port.protocol };
  if (port.kind === 'named') return { protocol: port.protocol ?? 'TCP', port: port.name };
  return { protocol: port.protocol, port: port.first, ...(port.last === port.first ? {} : { endPort: port.last }) };
}
const namespacedRule = ({ peers, ports }: Rule, direction: Direction): Written => ({
  ...(peers === undefined ? {} : { [direction === 'ingress' ? 'from' : 'to']: peers.map(namespacedPeer) }),
  ...(ports === undefined ? {} : { ports: ports.map(namespacedPort) }),
});

function clusterPeer(peer: Peer): Written {
  switch (peer.kind) {
    case 'pods':
      return { pods: podsObject(peer.pods) };
    case 'block':
      return { networks: [cidrText(peer.cidr)] };
    case 'nodes':
      return { nodes: selectorObject(peer.selector) };
    case 'domain':
      return { domainNames: [peer.pattern] };
  }
}
function clusterPort(port: PortMatch): Written {
  if (port.kind === 'named') return { destinationNamedPort: port.name };
  const protocol = port.protocol.toLowerCase();
  if (port.kind === 'protocol') return { [protocol]: { destinationPort: { range: { start: 1, end: 65_535 } } } };
  return { [protocol]: { destinationPort: port.first === port.last ? { number: port.first } : { range: { start: port.first, end: port.last } } } };
}
const clusterRule = ({ action, name, peers, ports }: Rule, direction: Direction): Written => ({
  ...(name === undefined ? {} : { name }),
  action,
  [direction === 'ingress' ? 'from' : 'to']: (peers ?? []).map(clusterPeer),
  ...(ports === undefined ? {} : { protocols: ports.map(clusterPort) }),
});

/** NetworkPolicy, MultiNetworkPolicy, or ClusterNetworkPolicy, into which the older cluster-wide kinds are translated. */
export function kubernetesObject(policy: Policy): Written {
  const { kind, namespace, name, subject, directions, networks } = policy;
  const rules = (of: (rule: Rule, direction: Direction) => Written): Written =>
    Object.fromEntries(directions.map((direction) => [direction, policy[direction].map((rule) => of(rule, direction))]));
  if (policy.tier === 'networkpolicy')
    return {
      apiVersion: kind === 'NetworkPolicy' ? 'networking.k8s.io/v1' : 'k8s.cni.cncf.io/v1beta1',
      kind,
      metadata: { namespace, name, ...(networks === undefined ? {} : { annotations: { 'k8s.v1.cni.cncf.io/policy-for': networks.join(',') } }) },
      spec: {
        podSelector: selectorObject(subject.podSelector),
        policyTypes: directions.map((direction) => (direction === 'ingress' ? 'Ingress' : 'Egress')),
        ...rules(namespacedRule),
      },
    };
  return {
    apiVersion: 'policy.networking.k8s.io/v1alpha2',
    kind: 'ClusterNetworkPolicy',
    metadata: { name },
    spec: {
      tier: policy.tier === 'admin' ? 'Admin' : 'Baseline',
      priority: policy.priority,
      subject: { pods: podsObject(subject) },
      ...rules(clusterRule),
    },
  };
}
