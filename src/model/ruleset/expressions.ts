/**
 * nftables rules as data: the expressions of the kernel's virtual machine that rkt's rules need, nothing else.
 * Registers are the 16 words of 32 bit (0-15); a value of n bytes takes ceil(n/4) words.
 * @see linux/netfilter/nf_tables.h; `nft --debug=netlink` prints the same programs
 */
import { type Cidr, type Family, ipBytes, lastOf, networkOf } from '../cidr.ts';

/** Names are what `nft` prints; numbers are in the codec. */
export type MetaKey = 'protocol' | 'nfproto' | 'l4proto' | 'iifname' | 'oifname' | 'iiftype';
export type CtKey = 'state' | 'status';
export type Verdict = 'accept' | 'drop' | 'return' | 'jump' | 'goto';
export type Test = 'eq' | 'neq' | 'lte' | 'gte';

export type Expression =
  | { readonly op: 'meta'; readonly key: MetaKey; readonly reg: number }
  | { readonly op: 'payload'; readonly base: 'network' | 'transport'; readonly offset: number; readonly length: number; readonly reg: number }
  | { readonly op: 'ct'; readonly key: CtKey; readonly reg: number }
  /** routing type of the destination address (local, unicast, …) */
  | { readonly op: 'fib-daddr-type'; readonly reg: number }
  /** reg = reg & mask; `mask` in the byte order of what is loaded */
  | { readonly op: 'mask'; readonly reg: number; readonly mask: Uint8Array }
  | { readonly op: 'cmp'; readonly test: Test; readonly reg: number; readonly data: Uint8Array }
  /** goes on only when the key at `reg` is in `set`; with `into` the map's value is loaded there ('verdict': it is obeyed) */
  | { readonly op: 'lookup'; readonly set: string; readonly reg: number; readonly into?: number | 'verdict' }
  /** goes on only when the key at `reg` is not in `set` */
  | { readonly op: 'lookup-not'; readonly set: string; readonly reg: number }
  /** 0, 1, … modulus-1, 0, …: one on with each packet */
  | { readonly op: 'number'; readonly modulus: number; readonly reg: number }
  /** the named counter of the table counts the packet */
  | { readonly op: 'count'; readonly counter: string }
  /** loads `data` */
  | { readonly op: 'immediate'; readonly reg: number; readonly data: Uint8Array }
  /** adds the key at `reg` to the set; ends the rule when there is no room */
  | { readonly op: 'record'; readonly set: string; readonly reg: number }
  | { readonly op: 'dnat'; readonly family: Family; readonly addressReg: number; readonly portReg: number }
  | { readonly op: 'masquerade' }
  | { readonly op: 'verdict'; readonly verdict: Verdict; readonly chain?: string };

/** A value in host byte order (every machine Node runs rkt on is little-endian). */
export const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

const NFPROTO = { 4: 2, 6: 10 } as const;
const RTN_LOCAL = 2;
const ARPHRD_LOOPBACK = 772;
const IPS_DST_NAT = 0x20;
const CT_STATE = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;

/** Words a value of `bytes` bytes takes. */
export const words = (bytes: number): number => Math.ceil(bytes / 4);
const addressLength = (family: Family): number => (family === 4 ? 4 : 16);

/** Only packets of `family` go on. Needed before any address of the network header is loaded. */
export const isFamily = (family: Family): Expression[] => [
  { op: 'meta', key: 'nfproto', reg: 0 },
  { op: 'cmp', test: 'eq', reg: 0, data: Uint8Array.of(NFPROTO[family]) },
];
/** Loads the source address. */
export const source = (family: Family, reg: number): Expression => ({
  op: 'payload',
  base: 'network',
  offset: family === 4 ? 12 : 8,
  length: addressLength(family),
  reg,
});
/** Loads the destination address. */
export const destination = (family: Family, reg: number): Expression => ({
  op: 'payload',
  base: 'network',
  offset: family === 4 ? 16 : 24,
  length: addressLength(family),
  reg,
});
/** Loads protocol and destination port into two words: the key of a published port. */
export const protocolAndPort = (reg: number): Expression[] => [
  { op: 'meta', key: 'l4proto', reg },
  { op: 'payload', base: 'transport', offset: 2, length: 2, reg: reg + 1 },
];
/** Only packets whose connection is in one of `states` go on. */
export const ctState = (...states: (keyof typeof CT_STATE)[]): Expression[] => [
  { op: 'ct', key: 'state', reg: 0 },
  { op: 'mask', reg: 0, mask: word(states.reduce((bits, state) => bits | CT_STATE[state], 0)) },
  { op: 'cmp', test: 'neq', reg: 0, data: word(0) },
];
/** Only packets of connections whose destination was translated go on. */
export const isDnat: readonly Expression[] = [
  { op: 'ct', key: 'status', reg: 0 },
  { op: 'mask', reg: 0, mask: word(IPS_DST_NAT) },
  { op: 'cmp', test: 'neq', reg: 0, data: word(0) },
];
/** Only packets for an address of this host go on. */
export const isForHost: readonly Expression[] = [
  { op: 'fib-daddr-type', reg: 0 },
  { op: 'cmp', test: 'eq', reg: 0, data: word(RTN_LOCAL) },
];
/** Only packets that came in through another device than loopback go on. */
export const notFromLoopback: readonly Expression[] = [
  { op: 'meta', key: 'iiftype', reg: 0 },
  { op: 'cmp', test: 'neq', reg: 0, data: Uint8Array.of(ARPHRD_LOOPBACK & 0xff, ARPHRD_LOOPBACK >> 8) },
];
/** Only packets whose source or destination is in `subnet` go on. */
export function inSubnet(side: 'source' | 'destination', subnet: Cidr): Expression[] {
  const { family } = subnet.ip;
  if (subnet.prefixLen === 0) return [];
  const network = ipBytes(networkOf(subnet).ip);
  const broadcast = ipBytes(lastOf(subnet));
  const mask = network.map((byte, index) => ~(byte ^ (broadcast[index] ?? 0)) & 0xff);
  return [
    side === 'source' ? source(family, 0) : destination(family, 0),
    ...(mask.every((byte) => byte === 0xff) ? [] : [{ op: 'mask', reg: 0, mask } as const]),
    { op: 'cmp', test: 'eq', reg: 0, data: network },
  ];
}
export const lookup = (set: string): Expression => ({ op: 'lookup', set, reg: 0 });
/** Obeys the verdict that the map has for the key at register 0. */
export const obey = (map: string): Expression => ({ op: 'lookup', set: map, reg: 0, into: 'verdict' });
export const verdict = (kind: Exclude<Verdict, 'jump' | 'goto'>): Expression => ({ op: 'verdict', verdict: kind });
export const jump = (chain: string): Expression => ({ op: 'verdict', verdict: 'jump', chain });
