/** Reads {@link AttachmentState}: rtnetlink in both namespaces, nftables, /proc, the disk. Changes nothing. */
import { listAddresses, listLinks, listRoutes, type Link } from '../../host/netlink/rtnetlink.ts';
import { wayTowards } from '../../host/netlink/route-to.ts';
import { RouteSocket } from '../../host/netlink/socket.ts';
import { droppingChains } from '../../host/nftables/foreign.ts';
import { elementsOf, missingOf, tableDamage } from '../../host/nftables/table.ts';
import { netnsExists, withNetns } from '../../host/netns.ts';
import { readSysctl } from '../../host/sysctl.ts';
import { cidrText, ipBytes, networkOf, parseCidr, type Cidr } from '../../model/cidr.ts';
import { isErrno, messageOf } from '../../model/errors.ts';
import { type AttachmentKey, type Element, attachmentText, setNames, table } from '../../model/ruleset.ts';
import { leasesOf } from './leases.ts';
import { readListeners } from './listeners.ts';
import type { Attached } from './compare.ts';
import type { AttachmentState, LeaseState, LinkState } from './types.ts';

const RT_TABLE_LOCAL = 255;
const families = [4, 6] as const;

function describe(socket: RouteSocket, link: Link, names: ReadonlyMap<number, string>): LinkState {
  const master = names.get(link.master);
  return {
    name: link.name,
    index: link.index,
    kind: link.kind,
    mac: link.mac,
    up: link.up,
    ...(master === undefined ? {} : { master }),
    peer: link.peer,
    alias: link.alias,
    addresses: families.flatMap((family) => listAddresses(socket, link.index, family)).map(cidrText),
    routes: families
      .flatMap((family) => listRoutes(socket, link.index, family))
      .filter(({ table }) => table !== RT_TABLE_LOCAL)
      .map(({ dst, gateway }) => ({ dst: cidrText(dst), ...(gateway === undefined ? {} : { gateway: gateway.text }) })),
  };
}

/** The links of this namespace that `wanted` selects. */
export function readLinks(wanted: (link: Link) => boolean): LinkState[] {
  using socket = new RouteSocket();
  const links = listLinks(socket);
  const names = new Map(links.map(({ index, name }) => [index, name]));
  return links.filter(wanted).map((link) => describe(socket, link, names));
}

/** All elements of table inet rkt whose comment is selected; none when nf_tables cannot be used. */
export const readElements = (selects: (comment: string) => boolean): Element[] =>
  setNames.flatMap((set) => elementsOf(set)).filter(({ comment }) => selects(comment));

function sysctl(key: string): string | undefined {
  try {
    return readSysctl(key);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined; // the kernel has no such setting
    throw error;
  }
}

const unreadable = 'nftables cannot be read';
const isUnreadable = (text: string): boolean => text.startsWith(unreadable);

/** What is wrong with the table, as far as the attachment needs it. */
function damageFor(elements: readonly Element[]): string[] {
  if (elements.length === 0) return [];
  try {
    return tableDamage(elements.flatMap(({ chain }) => chain ?? [])).map(({ text }) => text);
  } catch (error) {
    return [`${unreadable}: ${messageOf(error)}`];
  }
}

/** A rule that holds the address, the subnet's first address or the device's name is somebody's decision about the pod. */
function readDropping(addresses: readonly Cidr[], devices: readonly string[]): AttachmentState['dropping'] {
  const marks = [
    ...addresses.flatMap((address) => [ipBytes(address.ip), ipBytes(networkOf(address).ip)]),
    ...devices.map((device) => Buffer.from(`${device}\0`)),
  ];
  return droppingChains(table.name).map(({ family, table: name, chain, rules }) => ({
    chain: `${family} ${name} ${chain}`,
    family,
    knowsPod: rules.some((rule) => marks.some((mark) => rule.includes(mark))),
  }));
}

/** @param expected - the elements there should be. @param cache - the file of libcni's cache, when it is there */
export function readAttachment(
  { network, containerId, netns, result }: Attached,
  expected: readonly Element[],
  cache: string | undefined,
): AttachmentState {
  const key: AttachmentKey = { network: network.name, containerId, ifName: network.ifName };
  const alias = attachmentText(key);
  const named = new Set((result.interfaces ?? []).filter(({ sandbox }) => (sandbox ?? '') === '').map(({ name }) => name));
  if (network.expects.bridge !== undefined) named.add(network.expects.bridge);
  const addresses = (result.ips ?? []).flatMap(({ address }) => parseCidr(address) ?? []);
  using socket = new RouteSocket();
  const ways = new Map(addresses.map(({ ip }) => [ip.text, wayTowards(socket, ip)]));
  const towards = Object.fromEntries([...ways].map(([ip, way]) => [ip, way?.device]));
  const first = addresses.find(({ ip }) => ip.family === 4);
  const way = first === undefined ? undefined : ways.get(first.ip.text);
  // Behind a gateway it is somebody else's device that the route leads to.
  const device = way?.isDirect === true ? way.device : undefined;
  const localnet = device === undefined ? undefined : sysctl(`net/ipv4/conf/${device}/route_localnet`);
  const isOwnLease = (lease: LeaseState): boolean =>
    (lease.containerId === containerId && (lease.ifName ?? network.ifName) === network.ifName) || Object.hasOwn(towards, lease.address);
  const damage = damageFor(expected);
  return {
    pod: netnsExists(netns) ? withNetns(netns, () => ({ links: readLinks(({ name }) => name !== 'lo'), listeners: readListeners() })) : undefined,
    hostLinks: readLinks((link) => link.alias === alias || named.has(link.name)),
    elements: damage.some(isUnreadable) ? [] : readElements((comment) => comment === alias),
    missingElements: damage.length === 0 ? missingOf(expected) : missingOrAll(expected),
    tableDamage: damage,
    dropping: damage.some(isUnreadable) ? [] : readDropping(addresses, [...new Set(Object.values(towards).flatMap((name) => name ?? []))]),
    leases: leasesOf(network).filter(isOwnLease),
    cache,
    forwarding: { 4: sysctl('net/ipv4/ip_forward'), 6: sysctl('net/ipv6/conf/all/forwarding') },
    towards,
    routeLocalnet: device === undefined || localnet === undefined ? undefined : { device, value: localnet },
  };
}

/** In a table that is damaged a look-up may not be possible: then all are as good as missing. */
function missingOrAll(expected: readonly Element[]): Element[] {
  try {
    return missingOf(expected);
  } catch {
    return [...expected]; // tableDamage says why
  }
}
