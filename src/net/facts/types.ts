/** What the planner must know about this machine: plain JSON, so that a plan can be made again from a bug report. */
import type { PortMapping } from '../../model/cni/types.ts';

/** Something that tells where packets for `destination` go. */
export interface HostRoute {
  /** subnet, or for an address the address with its prefix length */
  readonly destination: string;
  /** '' for a route that rejects */
  readonly device: string;
  readonly kind: 'route' | 'address' | 'reject';
  readonly gateway?: string;
}

/** A socket that answers whoever comes. */
export interface HostSocket {
  readonly protocol: PortMapping['protocol'];
  readonly address: string;
  readonly port: number;
  readonly uid: number;
  /** who has it, as far as that was looked for and may be known */
  readonly holder?: string;
}

/** A host port that a pod has until gc or rm. */
export interface PublishedPort extends PortMapping {
  readonly pod: string;
  readonly podName?: string;
  readonly apps: readonly string[];
  /** families of the pod's addresses */
  readonly families: readonly (4 | 6)[];
}

/** What publishing depends on. */
export interface PortFacts {
  /** addresses of this machine */
  readonly addresses: readonly string[];
  /** families of which addresses may be used before they are there (ip_nonlocal_bind: an address that moves between machines) */
  readonly nonlocal: readonly (4 | 6)[];
  readonly sockets: readonly HostSocket[];
  readonly published: readonly PublishedPort[];
  /** where a port is chosen: from `start` on, around the range */
  readonly choice: { readonly first: number; readonly last: number; readonly start: number };
  /** the kernel can translate SCTP */
  readonly sctp: boolean;
  /** what could not be read */
  readonly warnings: readonly string[];
}

export interface NetFacts {
  readonly routes: readonly HostRoute[];
  /** CNI_PATH; the first is the admin's net.d */
  readonly pluginPath: readonly string[];
  /** plugin type → executable */
  readonly executables: Readonly<Record<string, string>>;
  /** executable → CNI versions it speaks; what is not here was not asked (see executablesToProbe) */
  readonly versions: Readonly<Record<string, readonly string[]>>;
  /** absent when no port is to be published: then nobody looks */
  readonly ports?: PortFacts;
  /** for `ns:PATH`: whether a network namespace is there; absent when nobody asked */
  readonly netnsExists?: boolean;
  /** for `ns:PATH`: it is the one this process is in; absent when nobody asked, or nothing is there */
  readonly netnsIsOwn?: boolean;
}
