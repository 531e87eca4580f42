/** One joined network as a pod's `net-info.json` has it: rkt's keys, with the CNI result beside them. @see rkt.md 2.2 */
import type { CniResult } from './cni/types.ts';

export interface NetInfo {
  readonly netName: string;
  readonly ifName: string;
  /** first address, without prefix; '' when the network gave none */
  readonly ip: string;
  readonly ips: readonly string[];
  readonly result: CniResult;
}
