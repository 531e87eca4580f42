/** What a picture of this machine's pods is made from: plain values. */
import type { CniResult } from '../../model/cni/types.ts';
import type { NetMode, PlannedNetwork } from '../../model/plan.ts';

export interface AttachmentFacts {
  readonly network: PlannedNetwork;
  /** undefined: joining was never finished */
  readonly result: CniResult | undefined;
  /** addresses its interface has now, `10.1.0.2/24`; undefined: there is no such interface, or nobody looked */
  readonly addresses: readonly string[] | undefined;
  /** what `net repair` would put back, and what nobody can */
  readonly missing: readonly string[];
  readonly failures: readonly string[];
}

export interface PodFacts {
  readonly id: string;
  readonly name: string | undefined;
  readonly apps: readonly string[];
  /** no pod of rkt's but a namespace that `net add` (or cnitool) attached; running as long as it is there */
  readonly netns?: string;
  /** not running: it has ended and still holds what is shown */
  readonly isRunning: boolean;
  readonly mode: NetMode;
  readonly attachments: readonly AttachmentFacts[];
}

export interface DiagramFacts {
  readonly hostName: string;
  /** links that lead to the world, with their addresses */
  readonly uplinks: readonly { readonly name: string; readonly addresses: readonly string[] }[];
  readonly forwarding: { readonly ipv4: boolean; readonly ipv6: boolean };
  readonly bridges: readonly { readonly name: string; readonly up: boolean; readonly addresses: readonly string[] }[];
  readonly pods: readonly PodFacts[];
}
