/** What compilers get wrong, as changes of the world that the kernel is given: whoever compares must find each. */
import type { World } from '../../src/policy/model/experiment.ts';
import type { Peer, Policy, PortMatch, Rule } from '../../src/policy/model/policy.ts';

const withRules =
  (change: (rule: Rule, policy: Policy) => Rule) =>
  (world: World): World => ({
    ...world,
    policies: world.policies.map((policy) => ({
      ...policy,
      ingress: policy.ingress.map((rule) => change(rule, policy)),
      egress: policy.egress.map((rule) => change(rule, policy)),
    })),
  });
const withPorts = (change: (port: PortMatch) => PortMatch): ((world: World) => World) =>
  withRules((rule) => (rule.ports === undefined ? rule : { ...rule, ports: rule.ports.map(change) }));
const withPeers = (change: (peer: Peer, all: readonly Peer[]) => Peer): ((world: World) => World) =>
  withRules((rule) => {
    const { peers } = rule;
    return peers === undefined ? rule : { ...rule, peers: peers.map((peer) => change(peer, peers)) };
  });

/** R31 broken. */
export const sctpAsTcp = withPorts((port) => (port.protocol === 'SCTP' ? { ...port, protocol: 'TCP' } : port));
/** R16, R17 broken: what a namespaceSelector says is not asked. */
export const namespacesIgnored = withPeers((peer) =>
  peer.kind === 'pods' && peer.pods.namespaceSelector !== undefined
    ? { ...peer, pods: { ...peer.pods, namespaceSelector: { ...peer.pods.namespaceSelector, requirements: [] } } }
    : peer,
);
/** R20 broken, as in two real implementations: all excepts of a rule are taken from each of its blocks. */
export const pooledExcepts = withPeers((peer, all) =>
  peer.kind === 'block' ? { ...peer, except: all.flatMap((one) => (one.kind === 'block' ? one.except : [])) } : peer,
);
/** R27 broken. */
export const endPortIgnored = withPorts((port) => (port.kind === 'range' ? { ...port, last: port.first } : port));
/** R51 broken: who passes a tier by is let through at once. */
export const passFinal = withRules((rule) => (rule.action === 'Pass' ? { ...rule, action: 'Accept' } : rule));
