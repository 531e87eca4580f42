/** A running pod as network policies see it. */

/** What a pod says of itself: `rkt run --namespace --label`, the ports of its images, and the policies that it brings. */
export interface PolicyMember {
  readonly namespace: string;
  /** of the pod among those of its namespace: its own, else its UUID's first eight digits */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly MemberPort[];
  /** policies and namespaces that count as long as this pod is there, as policy/model/json.ts writes them; '' when it brings none */
  readonly brought: string;
}
export interface MemberPort {
  readonly name?: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}

/** Where packets of a pod come out on the host. */
export interface MemberInterface {
  /** the name it has in the pod */
  readonly ifName: string;
  /** a network's name; '' for the pod's first network, whichever that is: the cluster's own (R65) */
  readonly network: string;
  /** without prefix */
  readonly ips: readonly string[];
  /** the host's end of the link; absent: packets of this interface are seen by no rule of the host */
  readonly hostLink?: string;
  /** the bridge that the host's end is a port of; absent: packets are routed as they come */
  readonly bridge?: string;
}

/** A member with its addresses, as it is kept below the data directory while the pod lives. */
export interface PolicedPod extends PolicyMember {
  /** the pod's UUID */
  readonly id: string;
  /** goes up with every pod: of two that bring the same policy the later one's counts */
  readonly ordinal: number;
  readonly interfaces: readonly MemberInterface[];
}
