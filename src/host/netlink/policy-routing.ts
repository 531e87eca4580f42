/**
 * Policy routing: rules that choose a table by source address, and routes moved between tables with all they carry (metrics,
 * several ways, preferences), as the kernel's own message with the table exchanged.
 * @see linux/fib_rules.h, linux/rtnetlink.h; strace of ip
 */
import { type Cidr, cidrText, type Family, hostCidr, type Ip, ipBytes, ipFromBytes } from '../../model/cidr.ts';
import { isErrno } from '../linux.ts';
import { NLM_F } from './flags.ts';
import { attribute, u32 } from './rtnetlink.ts';
import type { Request, RouteSocket } from './socket.ts';

const RTM = { NEWROUTE: 24, DELROUTE: 25, GETROUTE: 26, NEWRULE: 32, DELRULE: 33, GETRULE: 34 } as const;
const FRA = { DST: 1, SRC: 2, PRIORITY: 6, TABLE: 15, PROTOCOL: 21 } as const;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, MULTIPATH: 9, CACHEINFO: 12, TABLE: 15 } as const;
const headerBytes = 12;
const FR_ACT_TO_TBL = 1;
const RTN_UNICAST = 1;
const RTM_F_CLONED = 0x200;
const RTNH_F_ONLINK = 4;
/** Tables that are everybody's: compat, default, main, local. */
export const mainTable = 254;
const isReserved = (table: number): boolean => table >= 252 && table <= 255;
const families: readonly Family[] = [4, 6];
const AF = (family: Family): number => (family === 4 ? 2 : 10);

interface RawAttribute {
  readonly type: number;
  readonly data: Buffer;
  /** with its header and padding, as it came */
  readonly bytes: Buffer;
}
function rawAttributes(list: Buffer): RawAttribute[] {
  const found: RawAttribute[] = [];
  for (let at = 0; at + 4 <= list.length;) {
    const length = list.readUInt16LE(at);
    if (length < 4) break;
    const end = Math.min(at + ((length + 3) & ~3), list.length);
    found.push({ type: list.readUInt16LE(at + 2) & 0x3fff, data: list.subarray(at + 4, at + length), bytes: list.subarray(at, end) });
    at += (length + 3) & ~3;
  }
  return found;
}
const dataOf = (attributes: readonly RawAttribute[], type: number): Buffer | undefined => attributes.find((one) => one.type === type)?.data;

/* ---- rules ---- */

/** A rule that sends what comes from `source` to `table`. */
export interface Rule {
  readonly family: Family;
  /** undefined: whatever it comes from */
  readonly source: Cidr | undefined;
  readonly table: number;
  readonly priority: number;
  /** who made it, by a number of his own choice */
  readonly protocol: number;
}

/** Rules of both families; none when the kernel has no policy routing. */
export function listRules(socket: RouteSocket): Rule[] {
  try {
    return readRules(socket);
  } catch (error) {
    if (isErrno(error, 'EOPNOTSUPP', 'EAFNOSUPPORT')) return [];
    throw error;
  }
}
function readRules(socket: RouteSocket): Rule[] {
  return families.flatMap((family) => {
    const header = Buffer.alloc(headerBytes);
    header[0] = AF(family);
    return socket.dump({ type: RTM.GETRULE, flags: 0, body: header, what: 'list rules' }).flatMap(({ body }) => {
      if (body[0] !== AF(family)) return []; // a family the kernel lacks is answered with all others
      const found = rawAttributes(body.subarray(headerBytes));
      const source = dataOf(found, FRA.SRC);
      return [
        {
          family,
          source: source === undefined ? undefined : { ip: ipFromBytes(source), prefixLen: body[2] ?? 0 },
          table: dataOf(found, FRA.TABLE)?.readUInt32LE(0) ?? body[4] ?? 0,
          priority: dataOf(found, FRA.PRIORITY)?.readUInt32LE(0) ?? 0,
          protocol: dataOf(found, FRA.PROTOCOL)?.[0] ?? 0,
        },
      ];
    });
  });
}

function ruleBody({ source, table, priority, protocol }: Omit<Rule, 'family' | 'source' | 'priority'> & { source: Cidr; priority?: number }): Buffer {
  return Buffer.concat([
    Buffer.from([AF(source.ip.family), 0, source.prefixLen, 0, table < 256 ? table : 0, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]),
    attribute(FRA.SRC, ipBytes(source.ip)),
    u32(FRA.TABLE, table),
    attribute(FRA.PROTOCOL, Buffer.of(protocol)),
    ...(priority === undefined ? [] : [u32(FRA.PRIORITY, priority)]),
  ]);
}
/** The kernel puts it before the rules that are there. EEXIST when there is such a rule. */
export const addSourceRule = (ip: Ip, table: number, protocol: number): Request => ({
  type: RTM.NEWRULE,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: ruleBody({ source: hostCidr(ip), table, protocol }),
  what: `add rule from ${ip.text} lookup ${table}`,
});
/** ENOENT when there is no such rule. */
export const deleteSourceRule = (ip: Ip, rule: Omit<Rule, 'family' | 'source' | 'priority'> & { readonly priority?: number }): Request => ({
  type: RTM.DELRULE,
  flags: 0,
  body: ruleBody({ ...rule, source: hostCidr(ip) }),
  what: `delete rule from ${ip.text} lookup ${rule.table}`,
});

/* ---- routes ---- */

/** A unicast route as the kernel has it. */
export interface KernelRoute {
  readonly family: Family;
  readonly table: number;
  readonly dst: Cidr;
  /** of a route with several ways: of the first */
  readonly gateway: Ip | undefined;
  readonly source: Ip | undefined;
  readonly priority: number;
  /** RTPROT_KERNEL (2): comes and goes with an address */
  readonly protocol: number;
  readonly body: Buffer;
}
const ipOf = (data: Buffer | undefined): Ip | undefined =>
  data === undefined || (data.length !== 4 && data.length !== 16) ? undefined : ipFromBytes(data);

interface Way {
  readonly link: number;
  readonly gateway: Ip | undefined;
}
function waysOf(found: readonly RawAttribute[]): Way[] {
  const list = dataOf(found, RTA.MULTIPATH);
  if (list === undefined) return [{ link: dataOf(found, RTA.OIF)?.readUInt32LE(0) ?? 0, gateway: ipOf(dataOf(found, RTA.GATEWAY)) }];
  const ways: Way[] = [];
  for (let at = 0; at + 8 <= list.length;) {
    const length = list.readUInt16LE(at);
    if (length < 8) break;
    const gateway = dataOf(rawAttributes(list.subarray(at + 8, at + length)), RTA.GATEWAY);
    ways.push({ link: list.readUInt32LE(at + 4), gateway: ipOf(gateway) });
    at += (length + 3) & ~3;
  }
  return ways;
}

function allRoutes(socket: RouteSocket): (KernelRoute & { readonly links: readonly number[] })[] {
  return families.flatMap((family) => {
    const header = Buffer.alloc(headerBytes);
    header[0] = AF(family);
    return socket.dump({ type: RTM.GETROUTE, flags: 0, body: header, what: 'list routes' }).flatMap(({ body }) => {
      if (body[0] !== AF(family) || body[7] !== RTN_UNICAST || (body.readUInt32LE(8) & RTM_F_CLONED) !== 0) return [];
      const found = rawAttributes(body.subarray(headerBytes));
      const ways = waysOf(found);
      return [
        {
          family,
          table: dataOf(found, RTA.TABLE)?.readUInt32LE(0) ?? body[4] ?? 0,
          dst: { ip: ipFromBytes(dataOf(found, RTA.DST) ?? Buffer.alloc(family === 4 ? 4 : 16)), prefixLen: body[1] ?? 0 },
          gateway: ways[0]?.gateway,
          source: ipOf(dataOf(found, RTA.PREFSRC)),
          priority: dataOf(found, RTA.PRIORITY)?.readUInt32LE(0) ?? 0,
          protocol: body[5] ?? 0,
          body,
          links: ways.map(({ link }) => link),
        },
      ];
    });
  });
}

/** Unicast routes of all tables that go through the link with `index`, and no other. */
export const routesThrough = (socket: RouteSocket, index: number): KernelRoute[] =>
  allRoutes(socket).filter(({ links }) => links.length > 0 && links.every((link) => link === index));

/** The first tables from `first` on that no rule leads to, that hold no route, and that are nobody's by name. */
export function freeTables(socket: RouteSocket, first: number, count: number): number[] {
  const used = new Set([...tablesWithRoutes(socket), ...listRules(socket).map(({ table }) => table)]);
  const free: number[] = [];
  for (let table = first; free.length < count; table++) if (!used.has(table) && !isReserved(table)) free.push(table);
  return free;
}
/** Tables that hold a unicast route. */
export const tablesWithRoutes = (socket: RouteSocket): Set<number> => new Set(allRoutes(socket).map(({ table }) => table));

/** The route's message, fit to be sent: in `table`, without what only the kernel can say. */
function inTable({ body }: KernelRoute, table: number): Buffer {
  const header = Buffer.from(body.subarray(0, headerBytes));
  header[4] = table < 256 ? table : 252;
  header.writeUInt32LE(header.readUInt32LE(8) & RTNH_F_ONLINK, 8);
  const kept = rawAttributes(body.subarray(headerBytes))
    .filter(({ type }) => type !== RTA.TABLE && type !== RTA.CACHEINFO)
    .map(({ type, bytes }) => (type === RTA.MULTIPATH ? withoutState(bytes) : bytes));
  return Buffer.concat([header, ...kept, u32(RTA.TABLE, table)]);
}
/** That a way is dead at the moment is the kernel's to say. */
function withoutState(multipath: Buffer): Buffer {
  const copy = Buffer.from(multipath);
  for (let at = 4; at + 8 <= copy.length;) {
    const length = copy.readUInt16LE(at);
    if (length < 8) break;
    copy[at + 2] = (copy[at + 2] ?? 0) & RTNH_F_ONLINK;
    at += (length + 3) & ~3;
  }
  return copy;
}
const routeText = ({ dst, gateway }: KernelRoute): string => `${cidrText(dst)}${gateway === undefined ? '' : ` via ${gateway.text}`}`;

/** The same route in `table`, beside others to the same destination. EEXIST when it is there. */
export const copyRoute = (route: KernelRoute, table: number): Request => ({
  type: RTM.NEWROUTE,
  flags: NLM_F.CREATE | NLM_F.APPEND,
  body: inTable(route, table),
  what: `add route ${routeText(route)} to table ${table}`,
});
/** ESRCH when it is not there. */
export const deleteRoute = (route: KernelRoute): Request => ({
  type: RTM.DELROUTE,
  flags: 0,
  body: inTable(route, route.table),
  what: `delete route ${routeText(route)} from table ${route.table}`,
});
/** The route an {@link ensureRoute} of rtnetlink.ts made. */
export const deleteMade = (made: Request): Request => ({ ...made, type: RTM.DELROUTE, flags: 0, what: made.what.replace('add', 'delete') });
/** The reverse of {@link copyRoute} to `table`. */
export const deleteCopy = (route: KernelRoute, table: number): Request => deleteRoute({ ...route, table });
