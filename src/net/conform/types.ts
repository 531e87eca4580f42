/** What the conformance bench says about a plugin, as values. */

/** `unknown`: it could not be tried on this machine, or nothing that came of it can be seen from outside; the reason says which. */
export type Verdict = 'pass' | 'fail' | 'not applicable' | 'unknown';

/** One call of the plugin, as it happened. */
export interface PluginCall {
  /** CNI_ variables and what else was set on purpose */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  /** exit status; -1 when it did not exit by itself */
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** One thing that was tried for a requirement. */
export interface Evidence {
  readonly what: string;
  readonly holds: boolean;
  /** what came back, or what was left: one line */
  readonly saw: string;
  readonly calls: readonly PluginCall[];
}

export interface Finding {
  /** `P9` */
  readonly number: string;
  readonly requirement: string;
  readonly verdict: Verdict;
  /** why it was not applicable or is unknown; '' else */
  readonly reason: string;
  readonly evidence: readonly Evidence[];
}

export interface ConformReport {
  readonly plugin: string;
  readonly type: string;
  /** what it says it supports */
  readonly versions: readonly string[];
  /** why nothing that needs an ADD could be tried; '' when it was */
  readonly untried: string;
  /** in the order of the catalogue; every number once */
  readonly findings: readonly Finding[];
  readonly calls: number;
  readonly ms: number;
}

/** What to try, and on what. */
export interface ConformRequest {
  /** a path, or a type to look up */
  readonly plugin: string;
  readonly searchPath: readonly string[];
  /** text of a plugin object or a list; undefined: the built-in configuration of the type */
  readonly conf: string | undefined;
  /** text of a result of a plugin before this one */
  readonly prevResult: string | undefined;
  /** JSON object of capability arguments, as CAP_ARGS of cnitool */
  readonly capArgs: string | undefined;
}
