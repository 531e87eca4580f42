/**
 * What the plugins do alike whose link is in the pod and nowhere else: macvlan, ipvlan, vlan, dummy, tap. Link first, then IPAM
 * (a DHCP client needs the link), then addresses. The link carries the attachment's name as alias; it dies with the namespace,
 * so GC has nothing to look for on the host.
 * @see cni.md 3 (common), 3.3-3.5, 3.8, 3.9
 */
import { addAddress, addRoute, changeLink, IFLA, linkByName, listLinks, setUp, text, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { isErrno } from '../../src/host/linux.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { netnsExists, withNetns } from '../../src/host/netns.ts';
import { cidrText } from '../../src/model/cidr.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions, type CniDns, type CniResult } from '../../src/model/cni/types.ts';
import { attachmentText } from '../../src/model/ruleset.ts';
import { keyOf } from './attachment.ts';
import {
  allOf,
  checkPodEnd,
  deleteIfThere,
  dnsOf,
  enableIpv6,
  ipamTypeOf,
  leasesOf,
  nameTaken,
  ownLeases,
  refuseTaken,
  routeRequests,
  routesOf,
  setIfPresent,
  type Lease,
  type Sort,
} from './interface.ts';
import { withIpam } from './ipam.ts';
import { linkNameAttempts, stagingName } from './naming.ts';
import { Repairs, repairAddress, repairInPod, repairRoutes, repairUp } from './repair.ts';

/** What every such plugin reads of its configuration. */
export interface PodLinkConf {
  /** '' = layer 2 only, where the plugin allows it */
  readonly ipamType: string;
  readonly dns: CniDns | undefined;
}

/** How a plugin of this sort differs from the others. */
export interface PodLinkPlugin<Conf extends PodLinkConf> {
  readonly type: string;
  readonly sort: Sort;
  /** @throws CniError 7 */
  readConf(req: PluginRequest): Conf;
  /** Makes the link in the pod's namespace, down, and returns the name it has there. Leaves nothing when it throws. */
  make(req: PluginRequest, conf: Conf, ctx: PluginContext): string;
  /** CHECK of what is its own; throws CniError */
  verify(req: PluginRequest, conf: Conf, link: Link): void;
  /** STATUS: whether the kernel, and what the configuration names, is there. @throws CniError 50 */
  require(conf: Conf): void;
  /** The result that stands for IPAM's when there is no IPAM (ipvlan in a chain). */
  given?(req: PluginRequest, conf: Conf): CniResult | undefined;
  /** True when something on the host stays taken until the link is gone: then DEL does not leave that to the namespace's end. */
  takesFromHost?(req: PluginRequest): boolean;
}

/** The plugin. */
export function podLinkPlugin<Conf extends PodLinkConf>(own: PodLinkPlugin<Conf>): Plugin {
  return {
    type: own.type,
    versions: cniVersions,
    validate: (req) => void own.readConf(req),

    add(req, ctx) {
      const conf = own.readConf(req);
      refuseTaken(req);
      const made = settle(req, own.make(req, conf, ctx));
      let asked = false;
      try {
        const given = conf.ipamType === '' ? own.given?.(req, conf) : undefined;
        asked = conf.ipamType !== '';
        const ipam = given ?? (asked ? ctx.delegate(conf.ipamType, 'ADD', req) : undefined);
        const leases = leasesOf(ipam ?? { cniVersion: '' });
        if (asked && leases.length === 0) throw new CniError(cniCode.internal, 'IPAM plugin returned missing IP config');
        const link = configurePodLink(req, ipam, leases);
        return resultOf(req, link, ipam, leases, conf.dns);
      } catch (error) {
        // What the undoing itself cannot do is noted: the first error is the one to report.
        try {
          allOf(
            withIpam(asked ? conf.ipamType : '', () => void ctx.delegate(conf.ipamType, 'DEL', req), [
              () => deleteInPod(req, ({ index }) => index === made),
            ]),
          );
        } catch (cleanup) {
          ctx.note({ what: 'clean-up', detail: `after a failed ADD: ${String(cleanup)}` });
        }
        throw error;
      }
    },

    check(req, ctx) {
      const conf = own.readConf(req);
      const { prevResult } = req;
      if (prevResult === undefined) throw new CniError(cniCode.config, 'prevResult must be given for CHECK');
      if (conf.ipamType !== '') ctx.delegate(conf.ipamType, 'CHECK', req);
      const link = checkPodEnd(req, prevResult, ownLeases(prevResult, req.ifName), own.sort);
      checkMac(req, prevResult, link);
      own.verify(req, conf, link);
    },

    del(req, ctx) {
      const ipamType = ipamTypeOf(req);
      const unlink = (): void => {
        if (ctx.netnsDies === true && own.takesFromHost?.(req) !== true) return;
        const made = isMade(req);
        deleteInPod(req, (link) => made(link) || (link.name === req.ifName && link.alias === '' && own.sort.is(link)));
      };
      allOf(withIpam(ipamType, () => void ctx.delegate(ipamType, 'DEL', req), [unlink]));
    },

    // The link ends with the namespace, which the supervisor lets go of next.
    release(req, delegate) {
      const ipamType = ipamTypeOf(req);
      return ipamType === '' ? [] : delegate(ipamType);
    },

    repair: (req, _ctx, apply) => repairPodLink(req, apply),

    gc(req, ctx) {
      const ipamType = ipamTypeOf(req);
      if (ipamType !== '') ctx.delegate(ipamType, 'GC', req);
    },

    status(req, ctx) {
      const conf = own.readConf(req);
      own.require(conf);
      if (conf.ipamType !== '') ctx.delegate(conf.ipamType, 'STATUS', req);
    },
  };
}

/** Gives the link its name and alias; returns its index. What fails takes the link with it: without its alias nobody would know whose it is. */
function settle(req: PluginRequest, made: string): number {
  return withNetns(req.netns, () => {
    using socket = new RouteSocket();
    const link = linkByName(socket, made);
    if (link === undefined) throw new CniError(cniCode.internal, `interface ${made} vanished from ${req.netns}`);
    const name = link.name === req.ifName ? [] : [text(IFLA.IFNAME, req.ifName)];
    try {
      socket.request([changeLink(link.index, `name ${req.ifName}`, [...name, text(IFLA.IFALIAS, attachmentText(keyOf(req)))])]);
    } catch (error) {
      deleteIfThere(socket, link);
      throw isErrno(error, 'EEXIST') ? nameTaken(req.netns, req.ifName) : error;
    }
    return link.index;
  });
}

/** Addresses, up, routes, in one batch; the link as it is then. */
export function configurePodLink(req: PluginRequest, ipam: CniResult | undefined, leases: readonly Lease[]): Link {
  return withNetns(req.netns, () => {
    using socket = new RouteSocket();
    const link = linkByName(socket, req.ifName);
    if (link === undefined) throw new CniError(cniCode.internal, `interface ${req.ifName} vanished from ${req.netns}`);
    if (leases.some(({ address: { ip } }) => ip.family === 6)) enableIpv6(link.name);
    // Others on the wire may remember who had the address before.
    setIfPresent(`net/ipv4/conf/${link.name}/arp_notify`, '1');
    setIfPresent(`net/ipv6/conf/${link.name}/ndisc_notify`, '1');
    try {
      socket.request([
        ...leases.map(({ address }) => addAddress(link.index, address)),
        setUp(link.index, link.name),
        ...routeRequests(link, routesOf(ipam ?? { cniVersion: '' }, leases)),
      ]);
    } catch (error) {
      throw isErrno(error, 'ENETDOWN') ? new CniError(cniCode.internal, `failed to set ${link.name} up: what it stands on is down`) : error;
    }
    return link;
  });
}

/** The result of an interface that is all there is: IPAM's answer, about interface 0. */
export function resultOf(
  req: PluginRequest,
  link: Link,
  ipam: CniResult | undefined,
  leases: readonly Lease[],
  configured: CniDns | undefined,
): CniResult {
  const dns = dnsOf(configured, ipam?.dns);
  return {
    cniVersion: req.conf.cniVersion,
    interfaces: [{ name: req.ifName, mac: link.mac, sandbox: req.netns }],
    ...(leases.length === 0
      ? {}
      : {
          ips: leases.map(({ address, gateway }) => ({
            address: cidrText(address),
            interface: 0,
            ...(gateway === undefined ? {} : { gateway: gateway.text }),
          })),
        }),
    ...(ipam?.routes === undefined ? {} : { routes: ipam.routes }),
    ...(dns === undefined ? {} : { dns }),
  };
}

/** Up, addresses and routes of prevResult are put back. @see Plugin.repair */
export function repairPodLink(req: PluginRequest, apply: boolean): readonly string[] {
  const repairs = new Repairs(apply);
  const { prevResult } = req;
  if (prevResult === undefined) return repairs.found;
  const leases = ownLeases(prevResult, req.ifName);
  repairInPod(req, (socket, link) => {
    repairUp(repairs, socket, link, ' in the pod');
    for (const { address } of leases) repairAddress(repairs, socket, link, address, ' in the pod');
    repairRoutes(repairs, socket, link, routesOf(prevResult, leases), ' in the pod', (route) => addRoute(link.index, route));
  });
  return repairs.found;
}

/** CHECK: the hardware address is that of prevResult, where it has one. */
export function checkMac(req: PluginRequest, result: CniResult, link: Link): void {
  const wanted = result.interfaces?.find(({ name, sandbox }) => name === req.ifName && sandbox === req.netns)?.mac ?? '';
  if (wanted !== '' && wanted.toLowerCase() !== link.mac)
    throw new CniError(cniCode.internal, `interface ${req.ifName} has the hardware address ${link.mac}, not ${wanted}`);
}

/** Links that an ADD of this attachment made: by alias, also when the pod renamed them; by their first name, when it was interrupted. */
function isMade(req: PluginRequest): (link: Link) => boolean {
  const alias = attachmentText(keyOf(req));
  const staged = new Set(Array.from({ length: linkNameAttempts }, (_, attempt) => stagingName(keyOf(req), attempt)));
  return (link) => link.alias === alias || staged.has(link.name);
}

function deleteInPod(req: PluginRequest, chosen: (link: Link) => boolean): void {
  if (req.netns === '' || !netnsExists(req.netns)) return;
  withNetns(req.netns, () => {
    using socket = new RouteSocket();
    allOf(
      listLinks(socket)
        .filter(chosen)
        .map((link) => () => deleteIfThere(socket, link)),
    );
  });
}
