/** What the planner must know about this machine: plain JSON, so that a plan can be made again from a bug report. */

/** Something that tells where packets for `destination` go. */
export interface HostRoute {
  /** subnet, or for an address the address with its prefix length */
  readonly destination: string;
  /** '' for a route that rejects */
  readonly device: string;
  readonly kind: 'route' | 'address' | 'reject';
  readonly gateway?: string;
}

export interface NetFacts {
  readonly routes: readonly HostRoute[];
  /** CNI_PATH; the first is the admin's net.d */
  readonly pluginPath: readonly string[];
  /** plugin type → executable */
  readonly executables: Readonly<Record<string, string>>;
  /** executable → CNI versions it speaks; what is not here was not asked (see executablesToProbe) */
  readonly versions: Readonly<Record<string, readonly string[]>>;
}
