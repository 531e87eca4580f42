/** What the command line asks of the pipeline. */

/** One app of `run`. */
export interface AppOptions {
  readonly reference: string;
  /** a file with the image's signature, instead of the one beside it */
  readonly signature: string | undefined;
  readonly args: readonly string[];
  readonly exec: string | undefined;
  readonly name: string | undefined;
  readonly user: string | undefined;
  readonly group: string | undefined;
  readonly workingDir: string | undefined;
  readonly environment: readonly string[];
  readonly readonlyRootfs: boolean;
  /** `volume=NAME,target=PATH` */
  readonly mounts: readonly string[];
}

/** Names and resolvers of a pod. */
export interface NameOptions {
  readonly hostname: string | undefined;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOpt: readonly string[];
  readonly dnsDomain: string | undefined;
  readonly hostsEntries: readonly string[];
}

/** Nothing said about names. */
export const unnamed: NameOptions = { hostname: undefined, dns: [], dnsSearch: [], dnsOpt: [], dnsDomain: undefined, hostsEntries: [] };

/** What a network plan is made of. */
export interface NetOptions extends NameOptions {
  /** occurrences of --net, in order; none = default */
  readonly net: readonly string[];
  readonly ports: readonly string[];
  /** run our own plugins as executables too */
  readonly netExec: boolean;
}

/** How far one of several pieces of work is. Pieces are told apart by `what`; all there are are told of before the first one is begun. */
export interface ProgressOf {
  readonly what: string;
  readonly doneBytes: number;
  readonly totalBytes: number | undefined;
  /** it comes over the network: told of without a terminal, too */
  readonly isDownload?: boolean;
  /** `present`: there was nothing to do; `done`: whatever its bytes say */
  readonly state?: 'present' | 'done';
}

/** What came of it all. */
export interface ProgressSummary {
  /** the image, as the user knows it */
  readonly fetched: string;
  readonly layers: number;
  /** layers that were here already */
  readonly reused: number;
  readonly downloadedBytes: number;
  readonly elapsedMs: number;
}

/** How far a long piece of work is; or `note`: why it does not go on at the moment. */
export interface Progress {
  (event: ProgressOf | ProgressSummary | { readonly note: string }): void;
}

/**
 * When an image is asked for where it came from: `never`; `new`: when the store does not have it; `update`: always, though only what changed
 * is downloaded. Files and directories are always looked at. @see rkt.md 2.16
 */
export const pullPolicies = ['never', 'new', 'update'] as const;
export type PullPolicy = (typeof pullPolicies)[number];

/** How a pod takes part in network policies; one that says nothing takes no part. */
export interface PolicyOptions {
  readonly namespace: string | undefined;
  /** `KEY=VALUE` */
  readonly labels: readonly string[];
  /** folders or files of manifests */
  readonly policies: readonly string[];
  /** `NAME=PORT[/PROTOCOL]` */
  readonly namedPorts: readonly string[];
}

/** How a user can name a stage1 image. @see rkt.md 1.2 */
export const stage1Kinds = ['name', 'path', 'url', 'hash', 'from-dir'] as const;
export interface Stage1Choice {
  readonly kind: (typeof stage1Kinds)[number];
  readonly value: string;
}

export interface RunOptions extends NetOptions {
  /** what runs the pod; undefined: what the configuration says, else the default */
  readonly stage1?: Stage1Choice | undefined;
  /** undefined: it takes no part in policies */
  readonly policy?: PolicyOptions | undefined;
  readonly apps: readonly AppOptions[];
  /** `NAME,kind=KIND,…` */
  readonly volumes: readonly string[];
  /** of every app */
  readonly mounts: readonly string[];
  readonly podName: string | undefined;
  readonly overlay: boolean;
  /** addresses, ports and rules are free as soon as the pod has ended; false: when gc removes it */
  readonly releaseAtExit: boolean;
  readonly uuidFile: string | undefined;
  readonly interactive: boolean;
  readonly pullPolicy: PullPolicy;
  readonly progress: Progress;
  /** something the user asked to be told */
  note(text: string): void;
  /** something the user should know, though it stops nothing */
  warn(text: string): void;
}
