/** What the kernel and the disk hold of one attachment at this moment: plain JSON, so that what follows from it is pure. */
import type { Element } from '../../model/ruleset.ts';
import type { Family } from '../../model/cidr.ts';

export interface RouteState {
  readonly dst: string;
  readonly gateway?: string;
}
export interface LinkState {
  readonly name: string;
  readonly index: number;
  readonly kind: string;
  readonly mac: string;
  readonly up: boolean;
  /** name of its bridge */
  readonly master?: string;
  /** index of the other end of a pair, in the namespace of that end */
  readonly peer: number;
  /** `network/container/interface` when it is the host end of an attachment of ours */
  readonly alias: string;
  /** with prefix length, both families */
  readonly addresses: readonly string[];
  /** of every table but the kernel's own */
  readonly routes: readonly RouteState[];
}

/** A file of host-local's store. */
export interface LeaseState {
  readonly address: string;
  readonly containerId: string;
  /** undefined in files of versions that did not write it */
  readonly ifName: string | undefined;
  readonly path: string;
}

/** A socket somebody listens on; `address` '' = every address of the family (or both). */
export interface Listener {
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
}

export interface AttachmentState {
  /** undefined: there is no namespace at that path (any more) */
  readonly pod: { readonly links: readonly LinkState[]; readonly listeners: readonly Listener[] } | undefined;
  /** host links that carry the attachment's name or that its result names */
  readonly hostLinks: readonly LinkState[];
  /** elements of table inet rkt that carry the attachment's name */
  readonly elements: readonly Element[];
  /** of the elements there should be, those that are not there as they should */
  readonly missingElements: readonly Element[];
  readonly tableDamage: readonly string[];
  /** chains of others at the forward hook that drop by default, and whether a rule of their table speaks of the pod, its subnet or its device */
  readonly dropping: readonly { readonly chain: string; readonly family: 'inet' | 'ip' | 'ip6'; readonly knowsPod: boolean }[];
  /** of the network's host-local store: those of the attachment, and those of its addresses */
  readonly leases: readonly LeaseState[];
  /** the file of libcni's cache, when it is there */
  readonly cache: string | undefined;
  readonly forwarding: Readonly<Record<Family, string | undefined>>;
  /** for each address of the result, the device the host sends through to reach it */
  readonly towards: Readonly<Record<string, string | undefined>>;
  /** route_localnet of the device towards the first IPv4 address */
  readonly routeLocalnet: { readonly device: string; readonly value: string } | undefined;
}
