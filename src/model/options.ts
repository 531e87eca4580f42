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

/** How far a long piece of work is; bytes of `total` when that is known. */
export interface Progress {
  (event: { readonly what: string; readonly doneBytes: number; readonly totalBytes: number | undefined }): void;
}

export interface RunOptions extends NetOptions {
  readonly apps: readonly AppOptions[];
  readonly podName: string | undefined;
  readonly overlay: boolean;
  /** addresses, ports and rules are free as soon as the pod has ended; false: when gc removes it */
  readonly releaseAtExit: boolean;
  readonly uuidFile: string | undefined;
  readonly interactive: boolean;
  readonly progress: Progress;
  /** something the user asked to be told */
  note(text: string): void;
  /** something the user should know, though it stops nothing */
  warn(text: string): void;
}
