/** An experiment as a value: the world it begins with, what is probed, the steps, what is expected. */
import type { Cidr } from '../../model/cidr.ts';
import type { Policy } from './policy.ts';
import type { Namespace, Node, Outside, Pod, Protocol, Selector, Source, Switches } from './values.ts';

/** Everything a verdict depends on. Policies are in the order they were read; of equal keys there is one. */
export interface World {
  readonly networks: readonly Network[];
  readonly namespaces: readonly Namespace[];
  readonly pods: readonly Pod[];
  readonly policies: readonly Policy[];
  readonly nodes: readonly Node[];
  readonly outside: readonly Outside[];
  readonly switches: Switches;
}

/** `id` is what pods and policy-for name. The first of an experiment is the cluster's own (R65). */
export interface Network {
  readonly id: string;
  readonly type: 'bridge' | 'ptp' | 'macvlan';
  /** at most one of each family; pods that name no address get one of each */
  readonly subnets: readonly Cidr[];
  /** a CNI configuration list as it was written, when the experiment has one */
  readonly conf?: unknown;
}

/**
 * What is probed. `ports` absent: each pod's declared ports, of `protocols` when given.
 * `from`: endpoints besides pods, as sources and as targets.
 */
export interface Probes {
  readonly protocols?: readonly Protocol[];
  readonly ports?: readonly number[];
  /** absent: all pairs */
  readonly pairs?: readonly Pair[];
  readonly from: readonly ('host' | 'outside')[];
  /** connections that expectations speak of; asked besides the others */
  readonly expected?: readonly (Pair & Port)[];
}

export interface Pair {
  readonly from: EndpointPattern;
  readonly to: EndpointPattern;
}

/** Endpoints by name (`x/a`, `x/*`, `*`, `host`, `outside`, `outside/NAME`) or by selectors. */
export type EndpointPattern =
  | { readonly kind: 'name'; readonly text: string }
  | { readonly kind: 'labels'; readonly namespace?: string; readonly namespaceSelector?: Selector; readonly podSelector?: Selector };

/** What a cell must be; every cell that matches is held to it, and at least one must match. */
export interface Expectation {
  readonly verdict: 'allow' | 'deny';
  readonly from: EndpointPattern;
  readonly to: EndpointPattern;
  readonly protocol?: Protocol;
  readonly port?: number;
  readonly source: Source;
}

/** Impairment of a pod's link or of all links of a network. */
export interface Link {
  /** `ns/name`; exactly one of pod and network */
  readonly pod?: string;
  readonly network?: string;
  /** of 1000 packets */
  readonly lossPermille?: number;
  /** drop every k-th packet */
  readonly lossEvery?: number;
  readonly seed?: number;
  readonly rateBitsPerSecond?: number;
  readonly delayMs?: number;
  readonly jitterMs?: number;
  readonly partition?: boolean;
  readonly flapMs?: { readonly up: number; readonly down: number };
  readonly source: Source;
}

/** One change of the world. */
export type Change = { readonly source: Source } & (
  | { readonly kind: 'apply'; readonly policy: Policy }
  /** `key` as policyKey() makes it */
  | { readonly kind: 'delete'; readonly key: string }
  /** null takes a label away; `replace`: all others go */
  | { readonly kind: 'labelPod'; readonly pod: string; readonly labels: Readonly<Record<string, string | null>>; readonly replace: boolean }
  | {
      readonly kind: 'labelNamespace';
      readonly namespace: string;
      readonly labels: Readonly<Record<string, string | null>>;
      readonly replace: boolean;
    }
  | { readonly kind: 'createPod'; readonly pod: Pod }
  | { readonly kind: 'deletePod'; readonly pod: string }
  | { readonly kind: 'createNamespace'; readonly namespace: Namespace }
  /** its pods and policies go with it */
  | { readonly kind: 'deleteNamespace'; readonly namespace: string }
);

/** Changes that happen at once, then a matrix. */
export interface Step {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly expect: readonly Expectation[];
  readonly source: Source;
}

export interface Experiment {
  /** base name of the folder, or what experiment.yaml says */
  readonly name: string;
  readonly world: World;
  readonly probes: Probes;
  readonly links: readonly Link[];
  /** held against the matrix before the first step */
  readonly expect: readonly Expectation[];
  readonly steps: readonly Step[];
  /** kind → how many documents of it were passed over */
  readonly skipped: Readonly<Record<string, number>>;
  /** what is legal but was passed over or read in one of several ways, with the place */
  readonly notes: readonly Note[];
}

export interface Note {
  readonly text: string;
  /** the change that is proposed */
  readonly cure: string;
  readonly source: Source;
}

/** What probes of one pod to another are about: `TCP/80`. */
export interface Port {
  readonly protocol: Protocol;
  readonly port: number;
}
export const portKey = ({ protocol, port }: Port): string => `${protocol}/${port}`;
