/** What policies speak of: pods, namespaces, nodes, addresses outside, selectors; as read from manifests, never changed afterwards. */
import type { Ip } from '../../model/cidr.ts';

/** Where something was written: file as the user named it (`-` is standard input), line from 1. */
export interface Source {
  readonly file: string;
  readonly line: number;
}

export type Protocol = 'TCP' | 'UDP' | 'SCTP';
export type Direction = 'ingress' | 'egress';

/** Keys come from outside: look up with Object.hasOwn. */
export type Labels = Readonly<Record<string, string>>;

/** @see policy.md 3; absent keys match NotIn and DoesNotExist */
export interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}
/** A label selector: every requirement holds. matchLabels are requirements `In [value]`. None: everything matches. */
export interface Selector {
  readonly requirements: readonly Requirement[];
  readonly source: Source;
}

/** `labels` always has `kubernetes.io/metadata.name` (R40). `source` is absent when only a pod spoke of it. */
export interface Namespace {
  readonly name: string;
  readonly labels: Labels;
  readonly source?: Source;
}

export interface ContainerPort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** A pod's place on a network; `network` is a {@link Network} id, the first network of an experiment is the cluster's own. */
export interface PodInterface {
  readonly network: string;
  /** at most one of each family; allocated when no manifest gave one */
  readonly ips: readonly Ip[];
}

export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly ports: readonly ContainerPort[];
  readonly interfaces: readonly PodInterface[];
  /** shares the node's network: no address of its own (R36) */
  readonly hostNetwork: boolean;
  /** Succeeded or Failed: neither subject nor peer (R42) */
  readonly ended: boolean;
  /** absent or '': the experiment's built-in prober */
  readonly image?: string;
  readonly source: Source;
}

/** `namespace/name`: what cells, steps and expectations call a pod. */
export const podKey = (pod: Pick<Pod, 'namespace' | 'name'>): string => `${pod.namespace}/${pod.name}`;

/** A node: ordinary addresses, except for `local`, which is where the pods run (R34, R35, R58). */
export interface Node {
  readonly name: string;
  readonly labels: Labels;
  readonly ips: readonly Ip[];
  readonly local: boolean;
}

/** Something that is neither pod nor node; `domains` are the names that it is found by (R61). */
export interface Outside {
  readonly name: string;
  readonly ips: readonly Ip[];
  readonly domains: readonly string[];
}

/** What Kubernetes leaves open, with the choice that is made unless an experiment says otherwise. */
export interface Switches {
  /** R35: NetworkPolicy on traffic from a pod to its own node; `allow` is what the docs say. CNP tiers are applied in either case. */
  readonly podToNode: 'allow' | 'police';
  /** R36: hostNetwork pods are ignored by selectors (`node`), or NetworkPolicies select them (`pod`) */
  readonly hostNetwork: 'node' | 'pod';
  /** R33: a pod reaches itself, whatever the rules say (`allow`), or cells are scored as if packets left it (`rules`, as Cyclonus does) */
  readonly loopback: 'allow' | 'rules';
  /** R53: whether a NetworkPolicy hides the Baseline tier per direction, or in both once it selects the pod */
  readonly baseline: 'per-direction' | 'per-pod';
  /** R26: a named port meets an ipBlock that covers a pod's address: no match (`never`), or the pod's port (`pod`) */
  readonly namedPortOfBlock: 'never' | 'pod';
}

export const defaultSwitches: Switches = {
  podToNode: 'allow',
  hostNetwork: 'node',
  loopback: 'allow',
  baseline: 'per-direction',
  namedPortOfBlock: 'never',
};
