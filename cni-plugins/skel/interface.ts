/** What the interface plugins do alike: addresses and routes of the pod's end, finding it again, checking it. @see cni.md 3 (common) */
import { closeSync, openSync } from 'node:fs';
import {
  addAddress,
  addRoute,
  deleteLink,
  linkByIndex,
  linkByName,
  linksByName,
  listAddresses,
  listLinks,
  listRoutes,
  setAlias,
  setAliasAndUp,
  setNoLinkLocal,
  setUp,
  type Link,
  type Route,
} from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket, type Request } from '../../src/host/netlink/socket.ts';
import { netnsExists, withNetns } from '../../src/host/netns.ts';
import { ensureSysctl } from '../../src/host/sysctl.ts';
import { isErrno } from '../../src/host/linux.ts';
import { cidrText, networkOf, parseCidr, parseIp, type Cidr, type Family, type Ip } from '../../src/model/cidr.ts';
import type { PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, type CniDns, type CniResult, type CniRoute } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { attachmentText, type AttachmentKey } from '../../src/model/ruleset.ts';
import { keyOf } from './attachment.ts';
import { type ConfReader, isObject, knownKey } from './conf.ts';
import { hostLinkName, linkNameAttempts } from './naming.ts';

/** An address IPAM gave, parsed. */
export interface Lease {
  readonly address: Cidr;
  readonly gateway: Ip | undefined;
}

/** Addresses of an IPAM result. @throws CniError when one is not an address */
export function leasesOf(result: CniResult): Lease[] {
  return (result.ips ?? []).map(({ address, gateway }) => {
    const parsed = parseCidr(address);
    if (parsed === undefined) throw new CniError(cniCode.internal, `IPAM returned the address ${JSON.stringify(address)}`);
    return { address: parsed, gateway: gateway === undefined ? undefined : parseIp(gateway) };
  });
}

/** The leases of the attachment's own interface, of a result that may speak of others too. */
export const ownLeases = (result: CniResult, ifName: string): Lease[] =>
  leasesOf({
    ...result,
    ips: (result.ips ?? []).filter(({ interface: index }) => index === undefined || result.interfaces?.[index]?.name === ifName),
  });

/**
 * What DEL and GC need of a configuration, read so that nothing in it can fail: they also follow an ADD that refused this
 * very configuration (R4, P8). '' = no IPAM.
 */
export function ipamTypeOf(req: PluginRequest): string {
  const ipam = knownKey(req.conf, 'ipam');
  const type = isObject(ipam) ? knownKey(ipam, 'type') : undefined;
  return typeof type === 'string' ? type : '';
}

/** Addresses a DEL is told of: a hint that saves a search, so what cannot be read is left out. */
export const addressesToForget = ({ prevResult, ifName }: PluginRequest): Cidr[] =>
  (prevResult?.ips ?? []).flatMap(({ address, interface: index }) => {
    const own = index === undefined || prevResult?.interfaces?.[index]?.name === ifName;
    const parsed = own ? parseCidr(address) : undefined;
    return parsed === undefined ? [] : [parsed];
  });

/**
 * Before anything is made, IPAM included, so that a refusal has nothing to undo: the namespace is there, the name in it is
 * free (P5), and the attachment does not exist in another namespace, where undoing this ADD would delete it.
 */
export function refuseUnusable(req: PluginRequest): void {
  refuseTaken(req);
  const { ifName, containerId } = req;
  using socket = new RouteSocket();
  const [living] = hostLinks(socket, keyOf(req));
  if (living !== undefined)
    throw new CniError(
      cniCode.internal,
      `${ifName} of ${containerId} exists already, in another namespace (its host end is ${living.name}): DEL comes first`,
    );
}
/** The part of {@link refuseUnusable} that links without an end on the host need. */
export function refuseTaken({ netns, ifName }: PluginRequest): void {
  if (!netnsExists(netns)) throw new CniError(cniCode.netns, `no network namespace at ${netns}`);
  if (podLink(netns, ifName) !== undefined) throw nameTaken(netns, ifName);
}
export const nameTaken = (netns: string, ifName: string): CniError =>
  new CniError(cniCode.internal, `interface ${ifName} already exists in ${netns}`);

/** Setting that some kernels lack (IPv6 off): then there is nothing to set. */
export function setIfPresent(key: string, value: string): void {
  try {
    ensureSysctl(key, value);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EROFS', 'EACCES')) throw error;
  }
}

/** Settings that make the host a router for the families of `leases`. */
export function forwardingKeys(leases: readonly Lease[]): string[] {
  const families = new Set(leases.map(({ address }) => address.ip.family));
  return [...(families.has(4) ? ['net/ipv4/ip_forward'] : []), ...(families.has(6) ? ['net/ipv6/conf/all/forwarding'] : [])];
}

/** Routers forward. What was switched on stays on, and is told. */
export function enableForwarding(leases: readonly Lease[], ctx: PluginContext): void {
  for (const key of forwardingKeys(leases)) {
    const before = ensureSysctl(key, '1');
    if (before !== undefined) ctx.note({ what: 'sysctl', detail: `${key.replaceAll('/', '.')} ${before} -> 1` });
  }
}

/** Routes of an IPAM result; one without gateway goes through the first gateway of its family (3, ConfigureIface). */
export function routesOf(result: CniResult, leases: readonly Lease[]): Route[] {
  return (result.routes ?? []).map((route) => {
    const dst = parseCidr(route.dst);
    if (dst === undefined) throw new CniError(cniCode.internal, `IPAM returned the route ${JSON.stringify(route.dst)}`);
    const gateway = route.gw === undefined ? firstGateway(leases, dst.ip.family) : parseIp(route.gw);
    // 0.0.0.0 is how DHCP (option 121) says that there is none.
    return { dst, gateway: gateway?.value === 0n ? undefined : gateway, ...optionsOf(route) };
  });
}
const optionsOf = ({ priority, table, scope, mtu, advmss }: CniRoute): Pick<Route, 'priority' | 'table' | 'scope' | 'mtu' | 'advmss'> => ({
  priority,
  table: table ?? undefined,
  scope: scope ?? undefined,
  mtu,
  advmss,
});
export const firstGateway = (leases: readonly Lease[], family: Family): Ip | undefined =>
  leases.find(({ address, gateway }) => address.ip.family === family && gateway !== undefined)?.gateway;

/** Without IPv6 in the kernel there is nothing to silence. */
const silenced = (link: Link): Request => ({ ...setNoLinkLocal(link.index), mayFail: ['EAFNOSUPPORT', 'EOPNOTSUPP'] });

/** Call in the pod's namespace, with the interface made and not up yet, before an IPAM plugin brings it up and works through it. */
export function silenceForIpam(ifName: string): void {
  using socket = new RouteSocket();
  const link = linkByName(socket, ifName);
  // DHCP gives IPv4 only; when configurePodEnd knows that, the interface is up already.
  if (link !== undefined) socket.request([silenced(link)]);
}

/** Call in the pod's namespace, for an interface that gets IPv6 addresses. */
export function enableIpv6(name: string): void {
  setIfPresent('net/ipv6/conf/lo/disable_ipv6', '0');
  setIfPresent(`net/ipv6/conf/${name}/disable_ipv6`, '0');
  setIfPresent(`net/ipv6/conf/${name}/keep_addr_on_down`, '1');
  // Whoever hands out addresses knows that they are unique: duplicate detection would cost 1-2 s (row 19).
  setIfPresent(`net/ipv6/conf/${name}/accept_dad`, '0');
}

/** Call in the pod's namespace. Addresses, up, then what `afterUp` wants, in one batch. */
export function configurePodEnd(
  socket: RouteSocket,
  link: Link,
  leases: readonly Lease[],
  afterUp: readonly Request[],
  address: (lease: Lease) => Request = (lease) => addAddress(link.index, lease.address),
): void {
  const hasIpv6 = leases.some(({ address: { ip } }) => ip.family === 6);
  if (hasIpv6) enableIpv6(link.name);
  // A network without IPv6: what a link-local address says to everybody when it comes up is copied to every port of
  // the bridge and read in every pod. With 600 pods that made the next ADD four times slower.
  const first = hasIpv6 || leases.length === 0 ? [] : [silenced(link)];
  socket.request([...first, ...leases.map(address), setUp(link.index, link.name), ...afterUp]);
}

/** Metric of an IPv6 route that names none. */
const metric6 = 1024;

/**
 * Call in the pod's namespace. Of several networks with a route to the same place the first one's counts. IPv4 sees to that by
 * itself; IPv6 would make one route of both and spread connections over them, so a later one gets a worse metric.
 */
export function routeRequests(link: Link, routes: readonly Route[]): Request[] {
  const unranked = ({ dst, priority }: Route): boolean => dst.ip.family === 6 && priority === undefined;
  if (!routes.some(unranked)) return routes.map((route) => addRoute(link.index, route));
  using socket = new RouteSocket();
  const others = listLinks(socket)
    .filter(({ index }) => index !== link.index)
    .flatMap(({ index }) => listRoutes(socket, index, 6).map(({ dst }) => cidrText(dst)));
  return routes.map((route) => {
    const rank = unranked(route) ? others.filter((dst) => dst === cidrText(networkOf(route.dst))).length : 0;
    return addRoute(link.index, rank === 0 ? route : { ...route, priority: metric6 + rank });
  });
}

/**
 * Makes the pair: `make` builds the request for a host name. The host end carries the attachment's name as alias, so
 * that DEL and GC find it without the namespace.
 * @throws CniError when the pod already has an interface of that name (P5)
 */
export function createPair(
  socket: RouteSocket,
  req: PluginRequest,
  make: (hostName: string, netnsFd: number) => Request,
  options: { readonly hostIpv6: boolean },
): Link {
  const key = keyOf(req);
  const netnsFd = openSync(req.netns, 'r');
  try {
    for (let attempt = 0; ; attempt++) {
      const name = hostLinkName(key, attempt);
      try {
        socket.request([make(name, netnsFd)]);
      } catch (error) {
        if (!isErrno(error, 'EEXIST')) throw error;
        if (podLink(req.netns, req.ifName) !== undefined) throw nameTaken(req.netns, req.ifName);
        if (attempt + 1 >= linkNameAttempts) throw error;
        continue;
      }
      const link = linkByName(socket, name);
      if (link === undefined) throw new CniError(cniCode.internal, `link ${name} vanished right after it was made`);
      try {
        // A port of a bridge has no use for addresses, and each link-local one makes the host's table of them longer.
        socket.request([...(options.hostIpv6 ? [] : [silenced(link)]), setAliasAndUp(link.index, attachmentText(key), name)]);
      } catch (error) {
        deleteIfThere(socket, link); // without its alias nobody would know whose it is
        throw error;
      }
      return link;
    }
  } finally {
    closeSync(netnsFd);
  }
}

/** The pod's interface, seen from here; undefined when there is none. */
export function podLink(netns: string, ifName: string): Link | undefined {
  return withNetns(netns, () => {
    using socket = new RouteSocket();
    return linkByName(socket, ifName);
  });
}

const hostNames = (key: AttachmentKey): string[] => Array.from({ length: linkNameAttempts }, (_, attempt) => hostLinkName(key, attempt));

/** Host ends of an attachment, by their alias. All its names are tried: whoever took one at ADD may be gone since. */
export function hostLinks(socket: RouteSocket, key: AttachmentKey): Link[] {
  const alias = attachmentText(key);
  return linksByName(socket, hostNames(key)).filter((link) => link.alias === alias);
}

/** Undoes {@link createPair}, and nothing else: what has the pod's interface name may be somebody else's. */
export function deleteOwnPair(req: PluginRequest, ctx: PluginContext): void {
  if (ctx.netnsDies === true && netnsExists(req.netns)) return;
  using socket = new RouteSocket();
  for (const link of hostLinks(socket, keyOf(req))) deleteIfThere(socket, link);
}

/** Deletes the attachment's pair, wherever an end of it can be found. Fine when there is none. */
export function deletePair(req: PluginRequest, ctx: PluginContext): void {
  const inNetns = req.netns !== '' && netnsExists(req.netns);
  if (ctx.netnsDies === true && inNetns) {
    const isWhole = req.prevResult?.interfaces?.some(({ name, sandbox }) => name === req.ifName && sandbox !== undefined);
    if (isWhole !== true) claimHalfMade(req);
    return;
  }
  using socket = new RouteSocket();
  const own = hostLinks(socket, keyOf(req));
  for (const link of own) deleteIfThere(socket, link);
  if (own.length > 0) return;
  // Made by another plugin, or renamed: the name in the pod is the one CNI knows.
  const link = inNetns ? podLink(req.netns, req.ifName) : undefined;
  if (link?.kind !== 'veth' || belongsToAnother(socket, link, keyOf(req))) return;
  withNetns(req.netns, () => {
    using inside = new RouteSocket();
    deleteIfThere(inside, link);
  });
}

/**
 * A pair whose maker was killed before it wrote down whose it is. It goes with the namespace, but not at once, and until
 * then gc, which asks by alias, must not take it for a stranger's port that keeps the bridge.
 */
function claimHalfMade(req: PluginRequest): void {
  const key = keyOf(req);
  const inside = podLink(req.netns, req.ifName);
  if (inside?.kind !== 'veth') return;
  using socket = new RouteSocket();
  const host = linkByIndex(socket, inside.peer);
  if (host?.kind !== 'veth' || host.peer !== inside.index || host.alias !== '' || !hostNames(key).includes(host.name)) return;
  try {
    socket.request([setAlias(host.index, attachmentText(key))]);
  } catch (error) {
    if (!isErrno(error, 'ENODEV')) throw error;
  }
}

/** An ADD that found the name taken is followed by a DEL (R4), which must not take the link of the attachment that has it. */
function belongsToAnother(socket: RouteSocket, inside: Link, key: AttachmentKey): boolean {
  const host = linkByIndex(socket, inside.peer);
  return host?.kind === 'veth' && host.peer === inside.index && host.alias !== '' && host.alias !== attachmentText(key);
}

export function deleteIfThere(socket: RouteSocket, link: Link): void {
  try {
    socket.request([deleteLink(link.index, link.name)]);
  } catch (error) {
    if (!isErrno(error, 'ENODEV')) throw error;
  }
}

/** Host ends of attachments of `network` that are not valid any more. */
export function staleLinks(socket: RouteSocket, prefix: string, valid: ReadonlySet<string>): Link[] {
  return listLinks(socket).filter(({ kind, alias }) => kind === 'veth' && alias.startsWith(prefix) && !valid.has(alias));
}

/** Runs every part, past errors; throws the first one's as a CniError at the end. */
export function allOf(parts: readonly (() => void)[]): void {
  let first: unknown;
  for (const part of parts) {
    try {
      part();
    } catch (error) {
      first ??= error;
    }
  }
  if (first !== undefined) throw asCni(first);
}
export const asCni = (error: unknown): CniError => (error instanceof CniError ? error : new CniError(cniCode.internal, messageOf(error)));

/** The `dns` of a configuration; undefined when no field of it is set (an empty list is set). */
export function configuredDns(conf: ConfReader): CniDns | undefined {
  const dns = conf.object('dns');
  const fields = Object.entries({
    nameservers: dns?.texts('nameservers'),
    domain: dns?.text('domain') === '' ? undefined : dns?.text('domain'),
    search: dns?.texts('search'),
    options: dns?.texts('options'),
  });
  const set = fields.filter(([, value]) => value !== undefined);
  return set.length === 0 ? undefined : (Object.fromEntries(set) as CniDns);
}
/** Configured DNS replaces IPAM's when any field is set. */
export const dnsOf = (configured: CniDns | undefined, ipam: CniDns | undefined): CniDns | undefined => configured ?? ipam;

/** What a pod's interface has to be: its name in errors, and the test. */
export interface Sort {
  readonly name: string;
  readonly is: (link: Link) => boolean;
}
const veth: Sort = { name: 'veth', is: ({ kind }) => kind === 'veth' };

/** CHECK of the pod's end: the link, its addresses and routes are as prevResult has them (P10). */
export function checkPodEnd(req: PluginRequest, result: CniResult, leases: readonly Lease[], sort: Sort = veth): Link {
  const wanted = (result.interfaces ?? []).find(({ name, sandbox }) => name === req.ifName && sandbox === req.netns);
  if (wanted === undefined) throw new CniError(cniCode.internal, `prevResult has no interface ${req.ifName} in ${req.netns}`);
  return withNetns(req.netns, () => {
    using socket = new RouteSocket();
    const link = linkByName(socket, req.ifName);
    if (link === undefined) throw new CniError(cniCode.internal, `interface ${req.ifName} is missing in ${req.netns}`);
    if (!sort.is(link))
      throw new CniError(cniCode.internal, `interface ${req.ifName} is not a ${sort.name} but ${link.kind === '' ? 'something else' : link.kind}`);
    for (const { address } of leases) {
      if (!listAddresses(socket, link.index, address.ip.family).some((have) => cidrText(have) === cidrText(address)))
        throw new CniError(cniCode.internal, `address ${cidrText(address)} is missing on ${req.ifName}`);
    }
    for (const route of routesOf(result, leases)) {
      // The kernel drops the host bits of IPv6 destinations. A default route may have been redirected since (as in the reference).
      const wantedDst = cidrText(networkOf(route.dst));
      const have = listRoutes(socket, link.index, route.dst.ip.family).some(
        ({ dst, gateway }) => cidrText(dst) === wantedDst && (dst.prefixLen === 0 || gateway?.text === route.gateway?.text),
      );
      if (!have) throw new CniError(cniCode.internal, `route to ${cidrText(route.dst)} is missing on ${req.ifName}`);
    }
    return link;
  });
}
