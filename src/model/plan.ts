/** The network plan: what `rkt net plan` prints and `rkt run` does. JSON, deterministic, without pod identity. */
import type { CapabilityArgs, CniVersion } from './cni/types.ts';

/** `ns`: a namespace that somebody else made and keeps */
export type NetMode = 'contained' | 'host' | 'none' | 'ns';

/** A plugin of a list, resolved. */
export interface PlannedPlugin {
  readonly type: string;
  /** 'builtin' = ours, in process; else the absolute path of the executable */
  readonly via: string;
  /** IPAM delegate of this plugin, resolved the same way */
  readonly ipam?: { readonly type: string; readonly via: string };
  /** capability args this plugin will receive (R30: declared true AND supplied) */
  readonly runtimeConfig?: CapabilityArgs;
}

export interface PlannedNetwork {
  readonly name: string;
  readonly ifName: string;
  readonly cniVersion: CniVersion;
  /** file the configuration came from, whose it is, and the drop-in files whose plugins were appended (L13) */
  readonly source: { readonly path: string; readonly owner: 'admin' | 'system' | 'builtin'; readonly dropIns?: readonly string[] };
  /** the configuration list, byte-exact as read (a .conf is wrapped); DEL uses these bytes (rkt 2.10, R6) */
  readonly confList: string;
  /** the file's own bytes when it holds one plugin (`.conf`): rkt's contract gave the plugin exactly these (rkt 2.10) */
  readonly rawConf?: string;
  readonly plugins: readonly PlannedPlugin[];
  /** CNI_ARGS pairs in order */
  readonly args: readonly (readonly [string, string])[];
  readonly capabilityArgs: CapabilityArgs;
  /** CNI_PATH */
  readonly pluginPath: readonly string[];
  /** CNI GC is not ours to send: the configuration is shared with other runtimes (C5) */
  readonly disableGC?: true;
  /** what the configuration says will exist: for people, and for the subnet conflict check */
  readonly expects: {
    readonly bridge?: string;
    readonly subnets: readonly string[];
    /** gateway of each range: the configured one, else the subnet's first host */
    readonly gateways?: readonly string[];
    readonly gateway: boolean;
    readonly masquerade: boolean;
  };
}

export interface NetPlan {
  readonly mode: NetMode;
  /** mode `ns`: path of the namespace */
  readonly netns?: string;
  readonly networks: readonly PlannedNetwork[];
  /** names and resolvers that were asked for; absent: none */
  readonly names?: PodNames;
  readonly warnings: readonly string[];
}

/** One line of /etc/hosts. */
export interface HostsEntry {
  readonly ip: string;
  readonly names: readonly string[];
}

/** What was asked of a pod's names and resolvers. @see rkt.md 2.6 */
export interface PodNames {
  readonly hostname?: string;
  /** `host`: the host's file as it is; `none`: what the image has, nothing else */
  readonly dns?:
    | 'host'
    | 'none'
    | {
        readonly nameservers: readonly string[];
        readonly search: readonly string[];
        readonly options: readonly string[];
        readonly domain?: string;
      };
  readonly hosts?: 'host' | readonly HostsEntry[];
}
