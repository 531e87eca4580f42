/** Links, addresses, routes: requests as values for {@link RouteSocket}, and what dumps say. @see linux/rtnetlink.h, if_link.h; native.md C */
import { parseAttributes } from 'netlink/dist/structs.js';
import { cidrText, ipBytes, ipFromBytes, lastOf, type Cidr, type Family, type Ip } from '../../model/cidr.ts';
import { NLM_F } from './flags.ts';
import type { Reply, Request, RouteSocket } from './socket.ts';

/** Message types. */
export const RTM = { NEWLINK: 16, DELLINK: 17, GETLINK: 18, SETLINK: 19, NEWADDR: 20, DELADDR: 21, GETADDR: 22, NEWROUTE: 24, GETROUTE: 26 } as const;
/** Link attributes. */
export const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  PROTINFO: 12,
  TXQLEN: 13,
  LINKINFO: 18,
  IFALIAS: 20,
  AF_SPEC: 26,
  NET_NS_FD: 28,
  LINK_NETNSID: 37,
  PROP_LIST: 52,
  ALT_IFNAME: 53,
} as const;
const AF = (family: Family): number => (family === 4 ? 2 : 10);
const AF_INET6 = 10;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const ADDR_GEN_MODE_NONE = 1;
const IFF_UP = 1;
const IFF_PROMISC = 0x100;
const IFF_ALLMULTI = 0x200;
export const RT_SCOPE = { UNIVERSE: 0, LINK: 253, HOST: 254 } as const;

/** One attribute, padded. */
export function attribute(type: number, ...data: Uint8Array[]): Buffer {
  const payload = Buffer.concat(data);
  const bytes = Buffer.alloc((4 + payload.length + 3) & ~3);
  bytes.writeUInt16LE(4 + payload.length, 0);
  bytes.writeUInt16LE(type, 2);
  payload.copy(bytes, 4);
  return bytes;
}
/** Attribute that is text. */
export const text = (type: number, value: string): Buffer => attribute(type, Buffer.from(`${value}\0`));
/** Attribute of 32 bits. */
export function u32(type: number, value: number): Buffer {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value >>> 0);
  return attribute(type, word);
}
const u8 = (type: number, value: number): Buffer => attribute(type, Buffer.of(value));
const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

/** ifinfomsg. */
export function linkHeader(index: number, flags = 0, change = 0): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(flags, 8);
  header.writeUInt32LE(change, 12);
  return header;
}

/** What a link is made with. */
export interface LinkFields {
  readonly mtu?: number | undefined;
  readonly mac?: string | undefined;
  /** index of the bridge it becomes a port of */
  readonly master?: number | undefined;
  /** index it gets; the kernel's choice by default */
  readonly index?: number | undefined;
}
/** Attributes a link is made with. */
export const fieldsOf = ({ mtu, mac, master }: LinkFields): Buffer[] => [
  ...(mtu === undefined || mtu === 0 ? [] : [u32(IFLA.MTU, mtu)]),
  ...(mac === undefined ? [] : [attribute(IFLA.ADDRESS, macBytes(mac))]),
  ...(master === undefined ? [] : [u32(IFLA.MASTER, master)]),
];

/** A bridge, up, in one message. EEXIST when the name is taken. */
export const createBridge = (name: string, fields: LinkFields): Request => ({
  type: RTM.NEWLINK,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: Buffer.concat([
    linkHeader(fields.index ?? 0, IFF_UP, IFF_UP),
    text(IFLA.IFNAME, name),
    ...fieldsOf(fields),
    attribute(IFLA.LINKINFO, text(1, 'bridge')),
  ]),
  what: `create bridge ${name}`,
});

/**
 * A veth pair in one message: `name` here, enslaved; the peer straight in the namespace behind `netnsFd`.
 */
export const createVeth = (name: string, fields: LinkFields, peer: LinkFields & { readonly name: string; readonly netnsFd: number }): Request => ({
  type: RTM.NEWLINK,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: Buffer.concat([
    linkHeader(fields.index ?? 0),
    text(IFLA.IFNAME, name),
    ...fieldsOf(fields),
    attribute(
      IFLA.LINKINFO,
      text(1, 'veth'),
      attribute(2, attribute(1, linkHeader(peer.index ?? 0), text(IFLA.IFNAME, peer.name), ...fieldsOf(peer), u32(IFLA.NET_NS_FD, peer.netnsFd))),
    ),
  ]),
  what: `create link ${peer.name} with host end ${name}`,
});

/** Changes an existing link; `what` names the change in errors. */
export const changeLink = (index: number, what: string, body: Buffer[], flags = 0, change = 0): Request => ({
  type: RTM.NEWLINK,
  flags: 0,
  body: Buffer.concat([linkHeader(index, flags, change), ...body]),
  what,
});
export const setUp = (index: number, name: string): Request => changeLink(index, `set ${name} up`, [], IFF_UP, IFF_UP);
export const setPromiscuous = (index: number, on: boolean): Request =>
  changeLink(index, 'set promiscuous mode', [], on ? IFF_PROMISC : 0, IFF_PROMISC);
export const setAllMulticast = (index: number, on: boolean): Request =>
  changeLink(index, 'set all-multicast mode', [], on ? IFF_ALLMULTI : 0, IFF_ALLMULTI);
export const setMtu = (index: number, mtu: number): Request => changeLink(index, `set MTU ${mtu}`, [u32(IFLA.MTU, mtu)]);
export const setMac = (index: number, mac: string): Request => changeLink(index, `set MAC ${mac}`, [attribute(IFLA.ADDRESS, macBytes(mac))]);
export const setTxQueueLen = (index: number, packets: number): Request =>
  changeLink(index, `set queue length ${packets}`, [u32(IFLA.TXQLEN, packets)]);
/** `master` 0: none. An IPv6 address of a link that becomes part of a VRF is lost, and all its routes. */
export const setMaster = (index: number, master: number): Request => changeLink(index, 'set master', [u32(IFLA.MASTER, master)]);
/**
 * No link-local address, and so none of the messages to everybody that come with one. EAFNOSUPPORT on kernels without IPv6.
 * By netlink and not by sysctl: names below /proc/sys/net are looked up among those of all namespaces (1000 pods: 0.5 ms each).
 */
export const setNoLinkLocal = (index: number): Request =>
  changeLink(index, 'set address generation mode', [attribute(IFLA.AF_SPEC, attribute(AF_INET6, u8(IFLA_INET6_ADDR_GEN_MODE, ADDR_GEN_MODE_NONE)))]);
/** '' removes it. */
export const setAlias = (index: number, alias: string): Request => changeLink(index, 'set alias', [aliasAttribute(alias)]);
/** {@link setAlias} and {@link setUp}, in this order. */
export const setAliasAndUp = (index: number, alias: string, name: string): Request =>
  changeLink(index, `set alias of ${name} and set it up`, [aliasAttribute(alias)], IFF_UP, IFF_UP);
const aliasAttribute = (alias: string): Buffer => (alias === '' ? attribute(IFLA.IFALIAS) : text(IFLA.IFALIAS, alias));

/** Settings of a bridge port. */
export function setBridgePort(index: number, port: { readonly hairpin?: boolean; readonly isolated?: boolean }): Request {
  const IFLA_BRPORT_MODE = 4;
  const IFLA_BRPORT_ISOLATED = 33;
  const settings = [
    ...(port.hairpin === undefined ? [] : [u8(IFLA_BRPORT_MODE, port.hairpin ? 1 : 0)]),
    ...(port.isolated === undefined ? [] : [u8(IFLA_BRPORT_ISOLATED, port.isolated ? 1 : 0)]),
  ];
  const AF_BRIDGE = 7;
  const header = linkHeader(index);
  header.writeUInt8(AF_BRIDGE, 0);
  return { type: RTM.SETLINK, flags: 0, body: Buffer.concat([header, attribute(IFLA.PROTINFO | 0x8000, ...settings)]), what: 'set bridge port' };
}

export const deleteLink = (index: number, name: string): Request => ({
  type: RTM.DELLINK,
  flags: 0,
  body: linkHeader(index),
  what: `delete link ${name}`,
});

/** A link as the kernel describes it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, `tun` (also of taps); '' for hardware and lo */
  readonly kind: string;
  /** what the kind has to say of it (IFLA_INFO_DATA): a list of attributes, often empty */
  readonly data: Buffer;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly promiscuous: boolean;
  readonly allMulticast: boolean;
  /** packets its queue holds */
  readonly txQueueLen: number;
  /** index of its bridge, 0 if it has none */
  readonly master: number;
  /** index of its peer (veth) or of the link it stands on (macvlan, ipvlan, vlan), in the namespace of that one; 0 if it has none */
  readonly peer: number;
  readonly alias: string;
  /** other names it answers to, of any length */
  readonly altNames: readonly string[];
}

const string = (data: Buffer): string => data.toString('utf8').replace(/\0.*$/s, '');

function parseLink({ body }: Reply): Link {
  const found = new Map<number, Buffer>();
  parseAttributes(body.subarray(16), (item) => found.set(item.type, item.data));
  let kind = '';
  let data: Buffer = Buffer.alloc(0);
  const info = found.get(IFLA.LINKINFO);
  if (info !== undefined)
    parseAttributes(info, (item) => {
      if (item.type === 1) kind = string(item.data);
      if (item.type === 2) data = item.data;
    });
  const altNames: string[] = [];
  const properties = found.get(IFLA.PROP_LIST);
  if (properties !== undefined) parseAttributes(properties, (item) => void (item.type === IFLA.ALT_IFNAME && altNames.push(string(item.data))));
  const flags = body.readUInt32LE(8);
  return {
    index: body.readInt32LE(4),
    name: string(found.get(IFLA.IFNAME) ?? Buffer.alloc(0)),
    kind,
    data,
    mac: (found.get(IFLA.ADDRESS)?.toString('hex') ?? '').replace(/(..)(?=.)/g, '$1:'),
    mtu: found.get(IFLA.MTU)?.readUInt32LE(0) ?? 0,
    up: (flags & IFF_UP) !== 0,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    allMulticast: (flags & IFF_ALLMULTI) !== 0,
    txQueueLen: found.get(IFLA.TXQLEN)?.readUInt32LE(0) ?? 0,
    master: found.get(IFLA.MASTER)?.readUInt32LE(0) ?? 0,
    peer: found.get(IFLA.LINK)?.readUInt32LE(0) ?? 0,
    alias: string(found.get(IFLA.IFALIAS) ?? Buffer.alloc(0)),
    altNames,
  };
}

/** The link of that name, be it one of its other, longer names; undefined when there is none. */
export const linkByName = (socket: RouteSocket, name: string): Link | undefined => linksByName(socket, [name])[0];
/** Those of several names that there are, asked for at once. */
export const linksByName = (socket: RouteSocket, names: readonly string[]): Link[] =>
  socket
    .getEach(names.filter((name) => Buffer.byteLength(name) <= 127).map(askForName))
    .flatMap((reply) => (reply === undefined ? [] : [parseLink(reply)]));
const askForName = (name: string): Request =>
  askForLink(Buffer.concat([linkHeader(0), text(Buffer.byteLength(name) > 15 ? IFLA.ALT_IFNAME : IFLA.IFNAME, name)]), name);
/** The link of that index; undefined when there is none. */
export const linkByIndex = (socket: RouteSocket, index: number): Link | undefined => {
  const reply = socket.get(askForLink(linkHeader(index), `${index}`));
  return reply === undefined ? undefined : parseLink(reply);
};
const askForLink = (body: Buffer, subject: string): Request => ({ type: RTM.GETLINK, flags: 0, body, what: `look up link ${subject}` });
/** Every link, or the ports of the bridge with index `master`. */
export const listLinks = (socket: RouteSocket, master?: number): Link[] =>
  socket
    .dump({
      type: RTM.GETLINK,
      flags: 0,
      body: Buffer.concat([linkHeader(0), ...(master === undefined ? [] : [u32(IFLA.MASTER, master)])]),
      what: 'list links',
    })
    .map(parseLink)
    .filter((link) => master === undefined || link.master === master);

/* ---- addresses ---- */

const IFA_F_NODAD = 2;
const IFA_F_NOPREFIXROUTE = 0x200;
const IFA_FLAGS = 8;
function addressBody(index: number, { ip, prefixLen }: Cidr, flags = 0): Buffer {
  const header = Buffer.from([AF(ip.family), prefixLen, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32LE(index, 4);
  const IFA_ADDRESS = 1;
  const IFA_LOCAL = 2;
  return Buffer.concat([
    header,
    attribute(IFA_LOCAL, ipBytes(ip)),
    attribute(IFA_ADDRESS, ipBytes(ip)),
    u32(IFA_FLAGS, flags | (ip.family === 6 ? IFA_F_NODAD : 0)),
  ]);
}
/** The kernel does not derive it, and programs ask for it (SIOCGIFBRDADDR). Subnets of one or two addresses have none. */
const broadcastOf = (address: Cidr): Buffer[] => {
  const IFA_BROADCAST = 4;
  return address.ip.family === 4 && address.prefixLen < 31 ? [attribute(IFA_BROADCAST, ipBytes(lastOf(address)))] : [];
};

/** IPv6 addresses are usable at once: whoever allocates them sees to it that they are unique (no DAD). `prefixRoute` false: without the route to its subnet. */
export const addAddress = (index: number, address: Cidr, options: { readonly prefixRoute?: boolean } = {}): Request => ({
  type: RTM.NEWADDR,
  flags: NLM_F.CREATE | NLM_F.EXCL,
  body: Buffer.concat([addressBody(index, address, options.prefixRoute === false ? IFA_F_NOPREFIXROUTE : 0), ...broadcastOf(address)]),
  what: `add address ${cidrText(address)}`,
});
export const deleteAddress = (index: number, address: Cidr): Request => ({
  type: RTM.DELADDR,
  flags: 0,
  body: addressBody(index, address),
  what: `delete address ${cidrText(address)}`,
});

/** Addresses of the link with `index`. */
export function listAddresses(socket: RouteSocket, index: number, family: Family): Cidr[] {
  const header = Buffer.from([AF(family), 0, 0, 0, 0, 0, 0, 0]);
  return socket.dump({ type: RTM.GETADDR, flags: 0, body: header, what: 'list addresses' }).flatMap(({ body }) => {
    if (body.readUInt32LE(4) !== index || body[0] !== AF(family)) return [];
    const found = new Map<number, Buffer>();
    parseAttributes(body.subarray(8), (item) => found.set(item.type, item.data));
    const bytes = found.get(2) ?? found.get(1);
    return bytes === undefined ? [] : [{ ip: ipFromBytes(bytes), prefixLen: body[1] ?? 0 }];
  });
}

/* ---- routes ---- */

export interface Route {
  /** prefix 0: the default route */
  readonly dst: Cidr;
  readonly gateway?: Ip | undefined;
  readonly source?: Ip | undefined;
  /** {@link RT_SCOPE}; default: link without gateway, else universe (IPv6 has none) */
  readonly scope?: number | undefined;
  readonly table?: number | undefined;
  readonly priority?: number | undefined;
  readonly mtu?: number | undefined;
  readonly advmss?: number | undefined;
}
const RT_TABLE_MAIN = 254;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, METRICS: 8, MULTIPATH: 9, TABLE: 15 } as const;

function routeBody(index: number, route: Route): Buffer {
  const { dst, gateway, source, table = RT_TABLE_MAIN, priority, mtu, advmss } = route;
  const scope = dst.ip.family === 6 ? 0 : (route.scope ?? (gateway === undefined ? RT_SCOPE.LINK : RT_SCOPE.UNIVERSE));
  const header = Buffer.from([AF(dst.ip.family), dst.prefixLen, 0, 0, table < 256 ? table : 252, 3 /* boot */, scope, 1 /* unicast */, 0, 0, 0, 0]);
  const metrics = [...(mtu === undefined || mtu === 0 ? [] : [u32(2, mtu)]), ...(advmss === undefined || advmss === 0 ? [] : [u32(8, advmss)])];
  return Buffer.concat([
    header,
    ...(dst.prefixLen === 0 ? [] : [attribute(RTA.DST, ipBytes(dst.ip))]),
    u32(RTA.OIF, index),
    u32(RTA.TABLE, table),
    ...(gateway === undefined ? [] : [attribute(RTA.GATEWAY, ipBytes(gateway))]),
    ...(source === undefined ? [] : [attribute(RTA.PREFSRC, ipBytes(source))]),
    ...(priority === undefined || priority === 0 ? [] : [u32(RTA.PRIORITY, priority)]),
    ...(metrics.length === 0 ? [] : [attribute(RTA.METRICS | 0x8000, ...metrics)]),
  ]);
}
const routeText = ({ dst, gateway }: Route): string => `${cidrText(dst)}${gateway === undefined ? '' : ` via ${gateway.text}`}`;

/** Of equal destinations with different gateways the kernel makes one route with several ways (ECMP); the same route again is EEXIST. */
export const addRoute = (index: number, route: Route): Request => ({
  type: RTM.NEWROUTE,
  flags: NLM_F.CREATE | NLM_F.APPEND,
  body: routeBody(index, route),
  what: `add route ${routeText(route)}`,
});
/** An existing route to the same destination is replaced, whatever it leads to: an address follows its pod though the link of its last one still lingers. */
export const ensureRoute = (index: number, route: Route): Request => ({
  type: RTM.NEWROUTE,
  flags: NLM_F.CREATE | NLM_F.REPLACE,
  body: routeBody(index, route),
  what: `add route ${routeText(route)}`,
});

/** Ways of a route: the kernel tells several (IPv6, ECMP) as a list of next hops instead of one link and gateway. */
function waysOf(found: ReadonlyMap<number, Buffer>): { readonly link: number | undefined; readonly gateway: Buffer | undefined }[] {
  const list = found.get(RTA.MULTIPATH);
  if (list === undefined) return [{ link: found.get(RTA.OIF)?.readUInt32LE(0), gateway: found.get(RTA.GATEWAY) }];
  const ways = [];
  const headerBytes = 8;
  for (let at = 0; at + headerBytes <= list.length;) {
    const length = list.readUInt16LE(at);
    if (length < headerBytes) break;
    let gateway: Buffer | undefined;
    parseAttributes(list.subarray(at + headerBytes, at + length), (item) => void (item.type === RTA.GATEWAY && (gateway = item.data)));
    ways.push({ link: list.readUInt32LE(at + 4), gateway });
    at += (length + 3) & ~3;
  }
  return ways;
}

/** Routes through the link with `index`, in any table; one with several ways is several routes. */
export const listRoutes = (socket: RouteSocket, index: number, family: Family): Route[] =>
  waysThrough(socket, family).flatMap(({ link, route }) => (link === index ? [route] : []));

/** Index of the link that the best default route of the main table leads through; undefined without one. IPv4 first. */
export function defaultRouteLink(socket: RouteSocket): number | undefined {
  for (const family of [4, 6] as const) {
    const ways = waysThrough(socket, family)
      .filter(({ route, link }) => route.dst.prefixLen === 0 && route.table === RT_TABLE_MAIN && link !== undefined)
      .sort((a, b) => a.priority - b.priority);
    if (ways[0] !== undefined) return ways[0].link;
  }
  return undefined;
}

function waysThrough(socket: RouteSocket, family: Family): { readonly link: number | undefined; readonly priority: number; readonly route: Route }[] {
  const header = Buffer.alloc(12);
  header[0] = AF(family);
  return socket.dump({ type: RTM.GETROUTE, flags: 0, body: header, what: 'list routes' }).flatMap(({ body }) => {
    const found = new Map<number, Buffer>();
    parseAttributes(body.subarray(12), (item) => found.set(item.type, item.data));
    if (body[0] !== AF(family)) return [];
    const dst = found.get(RTA.DST) ?? Buffer.alloc(family === 4 ? 4 : 16);
    return waysOf(found).map(({ link, gateway }) => ({
      link,
      priority: found.get(RTA.PRIORITY)?.readUInt32LE(0) ?? 0,
      route: {
        dst: { ip: ipFromBytes(dst), prefixLen: body[1] ?? 0 },
        gateway: gateway === undefined ? undefined : ipFromBytes(gateway),
        table: found.get(RTA.TABLE)?.readUInt32LE(0),
        scope: body[6],
      },
    }));
  });
}
