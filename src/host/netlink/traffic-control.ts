/**
 * Traffic control: queueing disciplines, classes, filters as values for {@link RouteSocket}, and what the kernel says of them.
 * Rates are bytes a second, sizes bytes. Messages are those of tc, byte for byte where it matters.
 * @see linux/pkt_sched.h, linux/pkt_cls.h, strace of tc
 */
import { parseAttributes } from 'netlink/dist/structs.js';
import { type Cidr, ipBytes, networkOf } from '../../model/cidr.ts';
import { isErrno } from '../linux.ts';
import { NLM_F } from './flags.ts';
import { attribute, IFLA, linkHeader, RTM as LINK, text, u32 } from './rtnetlink.ts';
import type { Reply, Request, RouteSocket } from './socket.ts';

const RTM = { NEWQDISC: 36, DELQDISC: 37, GETQDISC: 38, NEWTCLASS: 40, GETTCLASS: 42, NEWTFILTER: 44, GETTFILTER: 46 } as const;
const TCA = { KIND: 1, OPTIONS: 2 } as const;
const TCA_TBF = { PARMS: 1, RATE64: 4, BURST: 6 } as const;
const TCA_HTB = { PARMS: 1, INIT: 2, RATE64: 6, CEIL64: 7 } as const;
const TCA_U32 = { CLASSID: 1, SEL: 5, ACT: 7 } as const;
const tcmsgBytes = 20;

/** Where a discipline is attached. */
const TC_PARENT = { ROOT: 0xffff_ffff, INGRESS: 0xffff_fff1 } as const;
/** `1:0`, the root discipline of ours. */
export const rootHandle = 0x0001_0000;
const ingressHandle = 0xffff_0000;
/** Handle of a class of {@link rootHandle}. */
const classHandle = (minor: number): number => rootHandle | minor;

function tcmsg(index: number, handle: number, parent: number, info = 0): Buffer {
  const header = Buffer.alloc(tcmsgBytes);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(handle, 8);
  header.writeUInt32LE(parent, 12);
  header.writeUInt32LE(info, 16);
  return header;
}
const create = (type: number, header: Buffer, kind: string, options: readonly Buffer[] | undefined, what: string): Request => ({
  type,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: Buffer.concat([header, text(TCA.KIND, kind), ...(options === undefined ? [] : [attribute(TCA.OPTIONS, ...options)])]),
  what,
});

const maxU32 = 0xffff_ffff;
const capped = (value: number): number => Math.min(Math.floor(value), maxU32);
/** The kernel's unit of time for buckets: 64 ns (PSCHED_SHIFT). */
const nsPerTick = 64;
/** Time that `bytes` take at `rate`, as the kernel counts it. */
const ticksOf = (bytes: number, rate: number): number => (bytes * 1e9) / rate / nsPerTick;

/** tc_ratespec. Link layer Ethernet: the kernel computes by itself and needs none of tc's tables. */
function rateSpec(rate: number): Buffer {
  const spec = Buffer.alloc(12);
  spec[0] = 3;
  spec[1] = 1;
  spec.writeInt16LE(-1, 4);
  spec.writeUInt32LE(capped(rate), 8);
  return spec;
}
function u64(type: number, value: number): Buffer {
  const word = Buffer.alloc(8);
  word.writeBigUInt64LE(BigInt(Math.floor(value)));
  return attribute(type, word);
}
const u32s = (...values: number[]): Buffer => {
  const words = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => words.writeUInt32LE(value >>> 0, i * 4));
  return words;
};

/** A token bucket. `burst` and `limit` (what may wait) below 4 GiB. */
export interface TokenBucket {
  readonly rate: number;
  readonly burst: number;
  readonly limit: number;
}

/** A token bucket filter as root discipline `1:`. EEXIST when there is a root discipline already, ENOENT when the kernel has no tbf. */
export const addTokenBucket = (index: number, { rate, burst, limit }: TokenBucket): Request =>
  create(
    RTM.NEWQDISC,
    tcmsg(index, rootHandle, TC_PARENT.ROOT),
    'tbf',
    [
      ...(rate > maxU32 ? [u64(TCA_TBF.RATE64, rate)] : []),
      attribute(TCA_TBF.PARMS, rateSpec(rate), Buffer.alloc(12), u32s(capped(limit), capped(ticksOf(burst, rate)), 0)),
      u32(TCA_TBF.BURST, capped(burst)),
    ],
    'add qdisc tbf',
  );

/** An HTB as root discipline `1:`; what no filter takes goes to class `1:defaultMinor`. */
export const addHtb = (index: number, defaultMinor: number): Request =>
  create(
    RTM.NEWQDISC,
    tcmsg(index, rootHandle, TC_PARENT.ROOT),
    'htb',
    [attribute(TCA_HTB.INIT, u32s(3 /* version */, 10 /* rate to quantum */, defaultMinor, 0, 0))],
    'add qdisc htb',
  );

/** A class below {@link addHtb} that never gets more than `rate`. */
export function addHtbClass(index: number, minor: number, { rate, burst }: Omit<TokenBucket, 'limit'>): Request {
  const ticks = capped(ticksOf(burst, rate));
  // Said and not left to the kernel, which takes rate/10 and complains in its log when that is below 1000 or above 200000.
  const quantum = Math.min(Math.max(Math.floor(rate / 10), 1000), 200_000);
  return create(
    RTM.NEWTCLASS,
    tcmsg(index, classHandle(minor), rootHandle),
    'htb',
    [
      ...(rate > maxU32 ? [u64(TCA_HTB.RATE64, rate), u64(TCA_HTB.CEIL64, rate)] : []),
      attribute(TCA_HTB.PARMS, rateSpec(rate), rateSpec(rate), u32s(ticks, ticks, quantum, 0, 0)),
    ],
    `add class 1:${minor.toString(16)}`,
  );
}

/** The ingress discipline `ffff:`, which filters what the link receives. */
export const addIngress = (index: number): Request =>
  create(RTM.NEWQDISC, tcmsg(index, ingressHandle, TC_PARENT.INGRESS), 'ingress', undefined, 'add qdisc ingress');

const ETH_P = { ALL: 3, IP: 0x0800, IPV6: 0x86dd } as const;
/** Priority and protocol (network order) as tcm_info. */
const filterInfo = (priority: number, protocol: number): number => (priority << 16) | ((protocol & 0xff) << 8) | (protocol >> 8);

interface Match {
  readonly mask: number;
  readonly value: number;
  /** from the start of the network header */
  readonly offset: number;
}
/** tc_u32_sel with its keys, all of which must match. */
function selector(matches: readonly Match[]): Buffer {
  const head = Buffer.alloc(16);
  head[0] = 1; // terminal
  head[2] = matches.length;
  const keys = matches.map(({ mask, value, offset }) => {
    const key = Buffer.alloc(16);
    key.writeUInt32BE(mask >>> 0, 0);
    key.writeUInt32BE(value >>> 0, 4);
    key.writeInt32LE(offset, 8);
    return key;
  });
  return Buffer.concat([head, ...keys]);
}
const anything: readonly Match[] = [{ mask: 0, value: 0, offset: 0 }];

/** All that the link receives goes out of the link with index `target` instead. u32 and not matchall, which fewer kernels have. */
export function addRedirect(index: number, target: number): Request {
  const TC_ACT_STOLEN = 4;
  const EGRESS_REDIR = 1;
  const NESTED = 0x8000;
  const mirred = attribute(2, u32s(0, 0, TC_ACT_STOLEN, 0, 0, EGRESS_REDIR, target));
  return create(
    RTM.NEWTFILTER,
    tcmsg(index, 0, ingressHandle, filterInfo(1, ETH_P.ALL)),
    'u32',
    [
      u32(TCA_U32.CLASSID, classHandle(1)),
      attribute(TCA_U32.ACT, attribute(1, text(1, 'mirred'), attribute(2 | NESTED, mirred))),
      attribute(TCA_U32.SEL, selector(anything)),
    ],
    'add filter: redirect',
  );
}

/** Packets whose source or destination is in `subnet` go to class `1:minor`. Filters of one priority must be of one protocol. */
export function addSubnetFilter(index: number, subnet: Cidr, side: 'source' | 'destination', minor: number): Request {
  const isV4 = subnet.ip.family === 4;
  const bytes = ipBytes(networkOf(subnet).ip);
  const first = isV4 ? { source: 12, destination: 16 }[side] : { source: 8, destination: 24 }[side];
  const matches: Match[] = [];
  for (let at = 0; at * 8 < subnet.prefixLen; at += 4) {
    const bits = Math.min(32, subnet.prefixLen - at * 8);
    matches.push({ mask: bits === 32 ? maxU32 : ~(maxU32 >>> bits), value: bytes.readUInt32BE(at), offset: first + at });
  }
  return create(
    RTM.NEWTFILTER,
    tcmsg(index, 0, rootHandle, isV4 ? filterInfo(16, ETH_P.IP) : filterInfo(15, ETH_P.IPV6)),
    'u32',
    [u32(TCA_U32.CLASSID, classHandle(minor)), attribute(TCA_U32.SEL, selector(matches.length === 0 ? anything : matches))],
    `add filter for ${side} ${subnet.ip.text}/${subnet.prefixLen}`,
  );
}

/** An IFB: a device whose only use is that what is redirected to it can be queued. `txQueueLen` in packets. */
export const createIfb = (name: string, { mtu, txQueueLen }: { readonly mtu: number; readonly txQueueLen: number }): Request => ({
  type: LINK.NEWLINK,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: Buffer.concat([
    linkHeader(0),
    text(IFLA.IFNAME, name),
    u32(IFLA.MTU, mtu),
    u32(IFLA.TXQLEN, txQueueLen),
    attribute(IFLA.LINKINFO, text(1, 'ifb')),
  ]),
  what: `create link ${name}`,
});

/** Removes the root or ingress discipline with everything below it. ENOENT or EINVAL when there is none. */
export const deleteQdisc = (index: number, parent: 'ROOT' | 'INGRESS'): Request => ({
  type: RTM.DELQDISC,
  flags: 0,
  body: tcmsg(index, parent === 'ROOT' ? rootHandle : ingressHandle, TC_PARENT[parent]),
  what: `delete ${parent.toLowerCase()} qdisc`,
});

/* ---- what is there ---- */

/** A discipline or class: its kind and, of a token bucket or HTB class, what it lets through. `limit` is 0 for classes. */
export interface Queue {
  readonly kind: string;
  readonly handle: number;
  readonly rate: number;
  readonly limit: number;
  /** of the bucket, in ticks, modulo 2^32 */
  readonly ticks: number;
  /** minor number of an HTB's default class */
  readonly defaultMinor: number;
}

function attributesOf(list: Buffer | undefined): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  if (list !== undefined) parseAttributes(list, (item) => found.set(item.type & 0x3fff, item.data));
  return found;
}
function queueOf({ body }: Reply): Queue {
  const found = attributesOf(body.subarray(tcmsgBytes));
  const kind = found.get(TCA.KIND)?.toString('utf8').replace(/\0.*$/s, '') ?? '';
  const options = kind === 'tbf' || kind === 'htb' ? attributesOf(found.get(TCA.OPTIONS)) : new Map<number, Buffer>();
  const parms = options.get(TCA_TBF.PARMS);
  const rate64 = options.get(kind === 'tbf' ? TCA_TBF.RATE64 : TCA_HTB.RATE64);
  const isBucket = parms !== undefined && parms.length >= 32;
  return {
    kind,
    handle: body.readUInt32LE(8),
    rate: rate64 === undefined ? (isBucket ? parms.readUInt32LE(8) : 0) : Number(rate64.readBigUInt64LE(0)),
    limit: kind === 'tbf' && isBucket ? parms.readUInt32LE(24) : 0,
    ticks: isBucket ? parms.readUInt32LE(kind === 'tbf' ? 28 : 24) : 0,
    defaultMinor: options.get(TCA_HTB.INIT)?.readUInt32LE(8) ?? 0,
  };
}

/** One object; undefined when the kernel has none there, or only a built-in one. */
function look(socket: RouteSocket, type: number, header: Buffer, what: string): Queue | undefined {
  try {
    // Traffic control answers only those who ask for an echo, and of a built-in discipline (noqueue) it says nothing at all:
    // without the acknowledgement we would wait for ever.
    const reply = socket.get({ type, flags: NLM_F.ECHO | NLM_F.ACK, body: header, what });
    return reply === undefined ? undefined : queueOf(reply);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EINVAL')) return undefined;
    throw error;
  }
}
export const qdiscAt = (socket: RouteSocket, index: number, parent: 'ROOT' | 'INGRESS'): Queue | undefined =>
  look(socket, RTM.GETQDISC, tcmsg(index, 0, TC_PARENT[parent]), 'look up qdisc');
export const classAt = (socket: RouteSocket, index: number, minor: number): Queue | undefined =>
  look(socket, RTM.GETTCLASS, tcmsg(index, classHandle(minor), 0), 'look up class');

/** True when `queue` is a bucket of that rate and burst; the kernel rounds the burst to its ticks. */
export function holds(queue: Queue, { rate, burst }: Omit<TokenBucket, 'limit'>): boolean {
  const exact = ticksOf(burst, rate);
  const wanted = queue.kind === 'tbf' ? exact % 2 ** 32 : capped(exact);
  return queue.rate === rate && Math.abs(queue.ticks - wanted) <= 2 + wanted * 1e-6;
}

/** A u32 filter: the class it chooses, the link it redirects to (0: one that is gone; undefined: it does not redirect). */
export interface Filter {
  readonly classId: number;
  readonly target: number | undefined;
}
/** u32 filters of a link below `parent` (a handle). */
export function filtersOf(socket: RouteSocket, index: number, parent: number): Filter[] {
  return socket.dump({ type: RTM.GETTFILTER, flags: 0, body: tcmsg(index, 0, parent), what: 'list filters' }).flatMap(({ body }) => {
    const options = attributesOf(attributesOf(body.subarray(tcmsgBytes)).get(TCA.OPTIONS));
    const classId = options.get(TCA_U32.CLASSID)?.readUInt32LE(0);
    if (classId === undefined) return [];
    const action = attributesOf(attributesOf(options.get(TCA_U32.ACT)).get(1));
    const mirred = attributesOf(action.get(2)).get(2);
    return [{ classId, target: mirred !== undefined && mirred.length >= 28 ? mirred.readUInt32LE(24) : undefined }];
  });
}
/** Filters of what the link receives. */
export const ingressFilters = (socket: RouteSocket, index: number): Filter[] => filtersOf(socket, index, ingressHandle);
