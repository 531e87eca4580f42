/**
 * The one internal form of NetworkPolicy, ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy and
 * MultiNetworkPolicy: what the decision and the compiler share, and all that they share. Defaults are filled in, nothing is matched yet.
 */
import type { Cidr } from '../../model/cidr.ts';
import type { Direction, Protocol, Selector, Source } from './values.ts';

/** In order of evaluation (R48). */
export const tiers = ['admin', 'networkpolicy', 'baseline'] as const;
export type Tier = (typeof tiers)[number];

export type PolicyKind = 'NetworkPolicy' | 'ClusterNetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy' | 'MultiNetworkPolicy';

export type Action = 'Accept' | 'Deny' | 'Pass';

/**
 * Pods by namespace and label: both must match. `namespace` is one namespace by name (NetworkPolicy: its own, R1, R15);
 * otherwise `namespaceSelector` chooses namespaces. `podSelector` absent: every pod of them.
 */
export interface PodMatch {
  readonly namespace?: string;
  readonly namespaceSelector?: Selector;
  readonly podSelector?: Selector;
}

/** One item of `from` or `to`. */
export type Peer = { readonly source: Source } & (
  | { readonly kind: 'pods'; readonly pods: PodMatch }
  /** an ipBlock, or one entry of CNP `networks`; `except` takes away from this one only (R20). Host bits are kept as written. */
  | { readonly kind: 'block'; readonly cidr: Cidr; readonly except: readonly Cidr[] }
  /** node addresses (R58) */
  | { readonly kind: 'nodes'; readonly selector: Selector }
  /** `example.com` or `*.example.com`, lower-case, no dot at the end (R61) */
  | { readonly kind: 'domain'; readonly pattern: string }
);

/** One item of `ports` or `protocols`. */
export type PortMatch = { readonly source: Source } & (
  | { readonly kind: 'protocol'; readonly protocol: Protocol }
  /** first and last included */
  | { readonly kind: 'range'; readonly protocol: Protocol; readonly first: number; readonly last: number }
  /** a container port's name on the destination pod (R24); `protocol` absent: whatever the container port has (CNP, R59) */
  | { readonly kind: 'named'; readonly name: string; readonly protocol?: Protocol }
);

export interface Rule {
  /** place in the written list, from 0 */
  readonly index: number;
  readonly name?: string;
  /** always Accept in NetworkPolicy and MultiNetworkPolicy */
  readonly action: Action;
  /** absent: every peer, outside included (R13); none: no peer */
  readonly peers?: readonly Peer[];
  /** absent: every port of every protocol */
  readonly ports?: readonly PortMatch[];
  /** what a newer API may mean by a field that is not known: the rule was made to fail closed, Accept to match nothing, others to deny all (R62) */
  readonly failsClosed?: string;
  readonly source: Source;
}

export interface Policy {
  readonly kind: PolicyKind;
  /** `''` for cluster-scoped kinds */
  readonly namespace: string;
  readonly name: string;
  readonly tier: Tier;
  /** lower goes first, within Admin and Baseline; 0 in the NetworkPolicy tier, where order is nothing */
  readonly priority: number;
  readonly subject: PodMatch;
  /** NetworkPolicy tier: directions in which the selected pods are isolated (R4, R8). Other tiers: both. */
  readonly directions: readonly Direction[];
  readonly ingress: readonly Rule[];
  readonly egress: readonly Rule[];
  /** MultiNetworkPolicy: ids of the networks it is for (R65). Absent: the cluster's own network. */
  readonly networks?: readonly string[];
  readonly source: Source;
}

/** `NetworkPolicy shop/web`, `ClusterNetworkPolicy guard`: one policy of an experiment; applying the same key replaces it. */
export const policyKey = (policy: Pick<Policy, 'kind' | 'namespace' | 'name'>): string =>
  `${policy.kind} ${policy.namespace === '' ? '' : `${policy.namespace}/`}${policy.name}`;

/**
 * Names what decided: `NetworkPolicy shop/web ingress[0]`, or without index the policy's isolation
 * ("selected, but no rule matched"). Predictor and kernel evidence are compared by it.
 */
export const ruleKey = (policy: Pick<Policy, 'kind' | 'namespace' | 'name'>, direction: Direction, rule?: Pick<Rule, 'index'>): string =>
  `${policyKey(policy)} ${direction}${rule === undefined ? '' : `[${rule.index}]`}`;
