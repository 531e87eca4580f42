/** bridge: a veth pair whose host end is a port of a bridge. @see cni.md 3.1; README.md for what differs from the reference */
import {
  addRoute,
  createVeth,
  linkByName,
  listAddresses,
  setBridgePort,
  setMaster,
  type Link,
  type Route,
} from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { isErrno } from '../../src/host/linux.ts';
import { withNetns } from '../../src/host/netns.ts';
import { cidrText, ipFromValue, networkOf, parseCidr, type Cidr, type Ip } from '../../src/model/cidr.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions, type CniResult } from '../../src/model/cni/types.ts';
import { networkText } from '../../src/model/ruleset.ts';
import { aliveTexts, keyOf } from '../skel/attachment.ts';
import {
  allOf,
  checkPodEnd,
  configurePodEnd,
  createPair,
  deleteIfThere,
  dnsOf,
  enableForwarding,
  firstGateway,
  hostLinks,
  leasesOf,
  ownLeases,
  refuseUnusable,
  routeRequests,
  routesOf,
  silenceForIpam,
  staleLinks,
  type Lease,
} from '../skel/interface.ts';
import { needsInterface, withIpam } from '../skel/ipam.ts';
import { podMac } from '../skel/naming.ts';
import { Repairs, repairAddress, repairForwarding, repairInPod, repairRoutes, repairUp } from '../skel/repair.ts';
import { tidyRuleset } from '../skel/ruleset.ts';
import { checkMasquerade, ensureMasquerade, gcMasquerade, masqueradeOf, repairMasquerade } from '../skel/masquerade.ts';
import { orUndo, releaseAttachment, removeAttachment } from '../skel/veth.ts';
import { readConf, readRemains, type BridgeConf } from './conf.ts';
import { ensureBridge, ensureBridgeAddress, removeBridgeIfUnused } from './shared.ts';

const ipv4Default = parseCidr('0.0.0.0/0');
const ipv6Default = parseCidr('::/0');

/** Every address with the gateway it will use: IPAM's, else the first host of its subnet. */
function withGateways(leases: readonly Lease[], conf: BridgeConf): Lease[] {
  if (!conf.isGateway) return [...leases];
  return leases.map((lease) => ({ ...lease, gateway: lease.gateway ?? firstHost(lease.address) }));
}
const firstHost = (address: Cidr): Ip => ipFromValue(address.ip.family, networkOf(address).ip.value + 1n);

/** IPAM's routes, and with isDefaultGateway a default route for each family that has none (with or without gateway: the reference then adds it twice and fails). */
function routesFor(result: CniResult, leases: readonly Lease[], conf: BridgeConf): Route[] {
  const routes = routesOf(result, leases);
  if (!conf.isDefaultGateway) return routes;
  const families = new Set(leases.map(({ address }) => address.ip.family));
  const extra = ([ipv4Default, ipv6Default] as const).flatMap((dst): Route[] => {
    if (
      dst === undefined ||
      !families.has(dst.ip.family) ||
      routes.some((route) => route.dst.prefixLen === 0 && route.dst.ip.family === dst.ip.family)
    )
      return [];
    return [{ dst, gateway: firstGateway(leases, dst.ip.family) }];
  });
  return [...routes, ...extra];
}

/** A bridge that gc removed between look-up and use is made again; gc holds no lock that a stand-alone plugin could see. */
const bridgeAttempts = 5;

interface Attached {
  readonly bridge: Link;
  readonly host: Link;
}

function attach(socket: RouteSocket, req: PluginRequest, conf: BridgeConf, mac: string | undefined): Attached {
  for (let attempt = 1; ; attempt++) {
    let bridge: Link | undefined;
    try {
      const found = (bridge = ensureBridge(socket, conf));
      const host = createPair(
        socket,
        req,
        (name, netnsFd) => createVeth(name, { mtu: conf.mtu, master: found.index }, { name: req.ifName, netnsFd, mtu: conf.mtu, mac }),
        { hostIpv6: false },
      );
      return { bridge: found, host };
    } catch (error) {
      const lost =
        bridge === undefined
          ? isErrno(error, 'ENODEV')
          : isErrno(error, 'ENODEV', 'EINVAL') && linkByName(socket, conf.bridge)?.index !== bridge.index;
      if (!lost || attempt >= bridgeAttempts) throw error;
    }
  }
}

/** For an IPAM that works through the interface: the MAC is what it is known by, so it cannot come from the address as it does otherwise. */
function attachEarly(req: PluginRequest, conf: BridgeConf): Attached {
  using socket = new RouteSocket();
  const attached = attach(socket, req, conf, conf.mac);
  withNetns(req.netns, () => silenceForIpam(req.ifName));
  return attached;
}

export const plugin: Plugin = {
  type: 'bridge',
  versions: cniVersions,
  validate: readConf,

  add(req, ctx) {
    const conf = readConf(req);
    conf.notes.forEach((note) => ctx.note(note));
    refuseUnusable(req);
    return orUndo(req, conf.ipamType, ctx, () => {
      const early = needsInterface(conf.ipamType) ? attachEarly(req, conf) : undefined;
      const ipam = conf.ipamType === '' ? undefined : ctx.delegate(conf.ipamType, 'ADD', req);
      const leases = withGateways(leasesOf(ipam ?? { cniVersion: '' }), conf);
      if (conf.ipamType !== '' && leases.length === 0) throw new CniError(cniCode.internal, 'IPAM plugin returned missing IP config');
      return build(req, conf, ipam, leases, ctx, early);
    });
  },

  check(req, ctx) {
    const conf = readConf(req);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'prevResult must be given for CHECK');
    if (conf.ipamType !== '') ctx.delegate(conf.ipamType, 'CHECK', req);
    const leases = ownLeases(prevResult, req.ifName);
    using socket = new RouteSocket();
    const bridge = linkByName(socket, conf.bridge);
    if (bridge === undefined || bridge.kind !== 'bridge') throw new CniError(cniCode.internal, `bridge ${conf.bridge} is missing`);
    const inside = checkPodEnd(req, prevResult, leases);
    const host = hostLinks(socket, keyOf(req)).find(({ index }) => index === inside.peer);
    if (host === undefined) throw new CniError(cniCode.internal, `the host end of ${req.ifName} is missing`);
    if (host.master !== bridge.index) throw new CniError(cniCode.internal, `${host.name} is not a port of ${conf.bridge}`);
    if (conf.ipMasq)
      checkMasquerade(
        keyOf(req),
        leases.map(({ address }) => address),
      );
  },

  del(req, ctx) {
    removeAttachment(req, readRemains(req).ipamType, ctx);
  },

  release(req, delegate) {
    return releaseAttachment(req, readRemains(req).ipamType, delegate);
  },

  gc(req, ctx) {
    const { bridge, ipamType } = readRemains(req);
    const network = req.conf.name;
    const alive = aliveTexts(network, req.validAttachments);
    allOf(
      withIpam(ipamType, () => void ctx.delegate(ipamType, 'GC', req), [
        () => gcMasquerade(network, req.validAttachments),
        () => {
          using socket = new RouteSocket();
          const stale = staleLinks(socket, networkText(network), alive);
          if (ctx.netnsDies !== true) for (const link of stale) deleteIfThere(socket, link);
          const dying = new Set(stale.map(({ index }) => index));
          if (alive.size === 0 && bridge !== undefined) removeBridgeIfUnused(socket, bridge, ({ index }) => dying.has(index), ctx.netnsDies === true);
        },
      ]),
    );
  },

  tidy(req) {
    const { bridge } = readRemains(req);
    allOf([
      tidyRuleset,
      () => {
        using socket = new RouteSocket();
        if (bridge !== undefined) removeBridgeIfUnused(socket, bridge, () => false, false);
      },
    ]);
  },

  status(req, ctx) {
    const conf = readConf(req);
    if (conf.ipamType !== '') ctx.delegate(conf.ipamType, 'STATUS', req);
  },

  rules: (req) => (readConf(req).ipMasq ? masqueradeOf(req) : []),

  repair(req, _ctx, apply) {
    const conf = readConf(req);
    const repairs = new Repairs(apply);
    const { prevResult } = req;
    if (prevResult === undefined) return repairs.found;
    const leases = ownLeases(prevResult, req.ifName);
    repairInPod(req, (inside, link) => {
      repairUp(repairs, inside, link, ' in the pod');
      for (const { address } of leases) repairAddress(repairs, inside, link, address, ' in the pod');
    });
    using socket = new RouteSocket();
    repairHostSide(repairs, socket, req, conf, leases);
    // Last: they lead through the bridge's address.
    repairInPod(req, (inside, link) =>
      repairRoutes(repairs, inside, link, routesOf(prevResult, leases), ' in the pod', (route) => addRoute(link.index, route)),
    );
    if (conf.isGateway) repairForwarding(repairs, leases);
    if (conf.ipMasq)
      repairMasquerade(
        repairs,
        keyOf(req),
        leases.map(({ address }) => address),
      );
    return repairs.found;
  },
};

/** The bridge, its addresses, and the pair's host end as its port. */
function repairHostSide(repairs: Repairs, socket: RouteSocket, req: PluginRequest, conf: BridgeConf, leases: readonly Lease[]): void {
  const found = linkByName(socket, conf.bridge);
  if (found === undefined) repairs.add(`bridge ${conf.bridge}`, () => void ensureBridge(socket, conf));
  else repairUp(repairs, socket, found, '');
  const bridge = found ?? linkByName(socket, conf.bridge);
  const [host] = hostLinks(socket, keyOf(req));
  if (host === undefined) throw new CniError(cniCode.internal, `the host end of the pod's ${req.ifName} is gone: disconnect and connect the network`);
  if (bridge === undefined) return;
  if (conf.isGateway)
    for (const { address, gateway } of leases) {
      if (gateway === undefined) continue;
      const wanted = { ip: gateway, prefixLen: address.prefixLen };
      if (listAddresses(socket, bridge.index, gateway.family).some((have) => cidrText(have) === cidrText(wanted))) continue;
      repairs.add(`address ${cidrText(wanted)} of bridge ${conf.bridge}`, () => ensureBridgeAddress(socket, bridge, wanted, conf.forceAddress));
    }
  if (host.master !== bridge.index)
    repairs.add(`${host.name} as a port of bridge ${conf.bridge}`, () =>
      socket.request([
        setMaster(host.index, bridge.index),
        ...(conf.hairpin || conf.isolated ? [setBridgePort(host.index, { hairpin: conf.hairpin, isolated: conf.isolated })] : []),
      ]),
    );
  repairUp(repairs, socket, host, ' on the host');
}

function build(
  req: PluginRequest,
  conf: BridgeConf,
  ipam: CniResult | undefined,
  leases: readonly Lease[],
  ctx: PluginContext,
  early: Attached | undefined,
): CniResult {
  using socket = new RouteSocket();
  const { bridge, host } = early ?? attach(socket, req, conf, conf.mac ?? podMac(leases.map(({ address }) => address)));
  if (conf.hairpin || conf.isolated) socket.request([setBridgePort(host.index, { hairpin: conf.hairpin, isolated: conf.isolated })]);
  const routes = routesFor(ipam ?? { cniVersion: '' }, leases, conf);
  // Before the pod's end: its routes lead through this address.
  if (conf.isGateway)
    for (const { address, gateway } of leases)
      if (gateway !== undefined) ensureBridgeAddress(socket, bridge, { ip: gateway, prefixLen: address.prefixLen }, conf.forceAddress);
  const inside = withNetns(req.netns, () => {
    using pod = new RouteSocket();
    const link = linkByName(pod, req.ifName);
    if (link === undefined) throw new CniError(cniCode.internal, `interface ${req.ifName} vanished from ${req.netns}`);
    configurePodEnd(pod, link, leases, routeRequests(link, routes));
    return link;
  });
  if (conf.isGateway) enableForwarding(leases, ctx);
  if (conf.ipMasq)
    ensureMasquerade(
      keyOf(req),
      leases.map(({ address }) => address),
    );
  const dns = dnsOf(conf.dns, ipam?.dns);
  return {
    cniVersion: req.conf.cniVersion,
    interfaces: [
      { name: bridge.name, mac: bridge.mac },
      { name: host.name, mac: host.mac },
      { name: req.ifName, mac: inside.mac, sandbox: req.netns },
    ],
    ips: leases.map(({ address, gateway }) => ({
      address: cidrText(address),
      interface: 2,
      ...(gateway === undefined ? {} : { gateway: gateway.text }),
    })),
    routes: routes.map((route, i) => ({
      ...ipam?.routes?.[i],
      dst: cidrText(route.dst),
      ...(route.gateway === undefined || (ipam?.routes?.[i]?.gw === undefined && i < (ipam?.routes?.length ?? 0)) ? {} : { gw: route.gateway.text }),
    })),
    ...(dns === undefined ? {} : { dns }),
  };
}
