/** One connection that is asked about, and who stands at its ends. */
import type { Ip } from '../../model/cidr.ts';
import type { Node, Outside, Pod, Protocol } from './values.ts';

export type Endpoint =
  | { readonly kind: 'pod'; readonly pod: Pod; readonly network: string; readonly ip: Ip }
  | { readonly kind: 'node'; readonly node: Node; readonly ip: Ip }
  | { readonly kind: 'outside'; readonly outside: Outside; readonly ip: Ip };

/** Ends are pods that run: one that has ended is nobody's subject and nobody's peer (R42). `port` is the destination's, as it arrives there (R23). Both ends are of one family, and pods of one network. */
export interface Flow {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly protocol: Protocol;
  readonly port: number;
}
