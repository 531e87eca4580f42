/** What a CNI plugin is, in process and as an executable: a value over a typed request. */
import type { Element } from '../ruleset.ts';
import type { ReleaseOp } from '../release.ts';
import type { AttachmentId, CniCommand, CniResult, CniVersion } from './types.ts';

/** One invocation. The environment is parsed, stdin is decoded; nothing else is ambient. */
export interface PluginRequest {
  readonly command: CniCommand;
  /** '' for GC, STATUS */
  readonly containerId: string;
  /** path; '' when the runtime has none (DEL after a reboot) */
  readonly netns: string;
  readonly ifName: string;
  /** CNI_ARGS in order; keys are case sensitive (X9) */
  readonly args: ReadonlyMap<string, string>;
  /** CNI_PATH, for delegation (P16) */
  readonly path: readonly string[];
  /** the whole stdin object, including name, cniVersion, runtimeConfig, prevResult as received */
  readonly conf: PluginRequestConf;
  /** stdin as it came, for what a decoded object does not show (a key that was there twice) */
  readonly confText?: string;
  /** `prevResult` converted to the 1.1.0 shape */
  readonly prevResult: CniResult | undefined;
  /** `cni.dev/valid-attachments` (GC) */
  readonly validAttachments: readonly AttachmentId[];
}
export type PluginRequestConf = {
  name: string;
  cniVersion: string;
  type: string;
  runtimeConfig?: Record<string, unknown>;
  args?: { cni?: Record<string, unknown> };
  [key: string]: unknown;
};

/** Something a plugin did that the user should be able to read later (a sysctl switched on, a backend replaced). */
export interface PluginNote {
  readonly what: string;
  readonly detail: string;
}

/** What a plugin may use besides model/ and host/: the runtime's (or skel's) services. */
export interface PluginContext {
  /** runs an IPAM delegate: ours in process, else the executable on `req.path` (P16-P18) */
  delegate(type: string, command: CniCommand, req: PluginRequest): CniResult | undefined;
  note(note: PluginNote): void;
  /** DEL, GC: the runtime destroys the namespaces concerned right after this call; links with an end in them need no deleting (20 ms each) */
  readonly netnsDies?: boolean;
}

/**
 * A plugin. All verbs are synchronous (they may work inside a pod's namespace) and throw {@link CniError}.
 * `add` returns the result in 1.1.0 shape; conversion to the wire version is the caller's work.
 * `del` and `gc` are idempotent, tolerate absence, and go on past errors before they throw.
 */
export interface Plugin {
  readonly type: string;
  /** oldest first */
  readonly versions: readonly CniVersion[];
  /** throws what ADD would refuse `req` for without looking at the machine: asked when a network is planned; there is no prevResult */
  validate?(req: PluginRequest): void;
  add(req: PluginRequest, ctx: PluginContext): CniResult;
  check(req: PluginRequest, ctx: PluginContext): void;
  del(req: PluginRequest, ctx: PluginContext): void;
  gc(req: PluginRequest, ctx: PluginContext): void;
  status(req: PluginRequest, ctx: PluginContext): void;
  /**
   * Not of CNI: removes what the attachments of a network share (bridge, tables, store) when none is left. An executable does it
   * after DEL, since few runtimes send GC; rkt leaves it to its own gc, which holds the network's lock. Other attachments may come
   * at the same moment: what they meet half-way they make again.
   */
  tidy?(req: PluginRequest): void;
  /** the elements of table `inet rkt` that there are for the attachment when `prevResult` is the final result; absent: it makes none */
  rules?(req: PluginRequest): readonly Element[];
  /**
   * What of DEL is to be done as soon as the pod has ended, as data. Called after the whole list's ADD; `req` is the DEL to come,
   * with the final result. `delegate`: the same of an IPAM plugin. Absent: what the plugin made ends with the namespace, or can
   * wait for gc. Touches nothing.
   */
  release?(req: PluginRequest, delegate: (type: string) => readonly ReleaseOp[]): readonly ReleaseOp[];
  /**
   * Not of CNI: puts back what ADD made and somebody has removed since (rules flushed, an address deleted, forwarding off), from
   * `prevResult`, the final result of the list, and asks nobody for a new address. Idempotent. `apply` false: only looks.
   * @returns what was missing, for people, one thing a line
   * @throws CniError for what is missing and cannot be put back
   */
  repair?(req: PluginRequest, ctx: PluginContext, apply: boolean): readonly string[];
}
