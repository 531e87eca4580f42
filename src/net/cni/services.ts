/** What libcni's loop needs from the composition root, and what it tells it. */
import type { Plugin, PluginNote } from '../../model/cni/plugin.ts';
import type { CniCommand } from '../../model/cni/types.ts';

/** A container and its namespace. */
export interface Attachment {
  readonly containerId: string;
  /** '' when it is gone (DEL after a reboot) */
  readonly netns: string;
  /** what the pod and its apps are called: `args.cni.names` of plugins that take aliases */
  readonly names?: readonly string[];
}

/** One call of a plugin as it is kept for people (H1): the same in process and as an executable. */
export interface CniCall {
  readonly verb: CniCommand;
  readonly network: string;
  readonly plugin: string;
  /** 'builtin' or the path of the executable */
  readonly via: string;
  /** CNI_* variables */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
  /** exit status; -1 when the plugin did not exit by itself */
  readonly exit: number;
  readonly notes: readonly PluginNote[];
}
/** Of stdout and of stderr, so many characters are kept. */
export const recordedBytes = 16 << 10;

export interface CniServices {
  /** the namespaces concerned stay after DEL and GC: whoever made them did not ask us to destroy them */
  readonly netnsStays?: true;
  /** our plugins by type, used in process where the plan says `via: 'builtin'` */
  readonly plugins: ReadonlyMap<string, Plugin>;
  /** libcni's cache directory (L1) */
  readonly cacheDir: string;
  /** of one plugin call, its retries included */
  readonly timeoutMs: number;
  /** environment of executables, besides CNI_* */
  readonly env: Readonly<Record<string, string>>;
  /** monotonic */
  nowMs(): number;
  pause(ms: number): void;
  /** 0, or the signal that asked rkt to stop */
  interrupted(): number;
  /** hears of every call when it has ended, delegates included */
  record(call: CniCall): void;
  /** what {@link record} has kept so far, also for earlier commands; may lack calls */
  recorded(): readonly CniCall[];
}
