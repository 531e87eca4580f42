/**
 * Putting back what an ADD made. Every function looks first, changes only with `apply`, and returns what was missing in
 * words; what is there is left alone.
 */
import { addAddress, linkByName, listAddresses, listRoutes, setUp, type Link, type Route } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket, type Request } from '../../src/host/netlink/socket.ts';
import { netnsExists, withNetns } from '../../src/host/netns.ts';
import { claim, mendChains, missingOf } from '../../src/host/nftables/table.ts';
import { ensureSysctl, readSysctl } from '../../src/host/sysctl.ts';
import { isErrno } from '../../src/host/linux.ts';
import { cidrText, networkOf, type Cidr, type Family } from '../../src/model/cidr.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import type { Element } from '../../src/model/ruleset.ts';
import { elementText } from '../../src/model/ruleset/describe.ts';
import { forwardingKeys, type Lease } from './interface.ts';
import { withRuleset } from './ruleset.ts';

/** What was missing, and what could not be put back. */
export class Repairs {
  readonly found: string[] = [];
  constructor(readonly apply: boolean) {}

  /** `missing` in words was not there: `act` puts it back. */
  add(missing: string, act: () => void): void {
    this.found.push(missing);
    if (this.apply) act();
  }
}

/** Elements of table inet rkt, with the chains that give them a meaning. */
export function repairElements(repairs: Repairs, elements: readonly Element[]): void {
  if (elements.length === 0) return;
  withRuleset('put rules back', () => {
    const missing = missingOf(elements);
    repairs.found.push(...missing.map((element) => `${elementText(element)} (set ${element.set} of table inet rkt)`));
    if (repairs.apply && missing.length > 0) claim(elements);
    repairs.found.push(...mendChains(repairs.apply).map((chain) => `rules of chain ${chain} of table inet rkt`));
  });
}

/** `key` as a path: `net/ipv4/ip_forward`. */
export function repairSysctl(repairs: Repairs, key: string, value: string): void {
  let now: string;
  try {
    now = readSysctl(key);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return; // without the setting there was nothing to set
    throw error;
  }
  if (now !== value) repairs.add(`sysctl ${key.replaceAll('/', '.')} = ${value} (it was ${now})`, () => void ensureSysctl(key, value));
}
export const repairForwarding = (repairs: Repairs, leases: readonly Lease[]): void =>
  forwardingKeys(leases).forEach((key) => repairSysctl(repairs, key, '1'));

export function repairUp(repairs: Repairs, socket: RouteSocket, link: Link, where: string): void {
  if (!link.up) repairs.add(`${link.name}${where} up`, () => socket.request([setUp(link.index, link.name)]));
}

export function repairAddress(
  repairs: Repairs,
  socket: RouteSocket,
  link: Link,
  address: Cidr,
  where: string,
  add: Request = addAddress(link.index, address),
): void {
  if (listAddresses(socket, link.index, address.ip.family).some((have) => cidrText(have) === cidrText(address))) return;
  repairs.add(`address ${cidrText(address)} of ${link.name}${where}`, () => socket.request([add]));
}

/** `add` makes the request for a route that is missing; a route is there when one to its destination goes through its gateway. */
export function repairRoutes(
  repairs: Repairs,
  socket: RouteSocket,
  link: Link,
  routes: readonly Route[],
  where: string,
  add: (route: Route) => Request,
): void {
  const present = new Map<Family, Route[]>();
  const presentOf = (family: Family): Route[] => {
    const known = present.get(family) ?? listRoutes(socket, link.index, family);
    present.set(family, known);
    return known;
  };
  for (const route of routes) {
    // The kernel drops the host bits of IPv6 destinations.
    const wanted = cidrText(networkOf(route.dst));
    if (presentOf(route.dst.ip.family).some(({ dst, gateway }) => cidrText(dst) === wanted && gateway?.text === route.gateway?.text)) continue;
    repairs.add(`route ${wanted}${route.gateway === undefined ? '' : ` via ${route.gateway.text}`} on ${link.name}${where}`, () =>
      socket.request([add(route)]),
    );
  }
}

/** Runs `act` on the pod's interface, in its namespace. @throws CniError when it is gone: only a new ADD makes one */
export function repairInPod(req: PluginRequest, act: (socket: RouteSocket, link: Link) => void): void {
  if (!netnsExists(req.netns)) throw new CniError(cniCode.netns, `the pod's network namespace ${req.netns} is gone`);
  withNetns(req.netns, () => {
    using socket = new RouteSocket();
    const link = linkByName(socket, req.ifName);
    if (link === undefined) throw new CniError(cniCode.internal, `the pod's interface ${req.ifName} is gone: disconnect and connect the network`);
    act(socket, link);
  });
}
