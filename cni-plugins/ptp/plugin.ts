/** ptp: a routed veth pair between host and pod. @see cni.md 3.2 */
import { addAddress, addRoute, createVeth, ensureRoute, linkByName, RT_SCOPE, type Route } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { withNetns } from '../../src/host/netns.ts';
import { cidrText, hostCidr, ipFromValue, networkOf, type Cidr, type Ip } from '../../src/model/cidr.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions, type CniDns, type CniResult } from '../../src/model/cni/types.ts';
import { networkText } from '../../src/model/ruleset.ts';
import { ConfReader } from '../skel/conf.ts';
import { aliveTexts, keyOf } from '../skel/attachment.ts';
import {
  allOf,
  checkPodEnd,
  configuredDns,
  configurePodEnd,
  createPair,
  deleteIfThere,
  dnsOf,
  enableForwarding,
  ipamTypeOf,
  hostLinks,
  leasesOf,
  ownLeases,
  refuseUnusable,
  routeRequests,
  routesOf,
  setIfPresent,
  staleLinks,
  type Lease,
} from '../skel/interface.ts';
import { withIpam } from '../skel/ipam.ts';
import { checkMasquerade, ensureMasquerade, gcMasquerade, masqueradeOf, repairMasquerade } from '../skel/masquerade.ts';
import { orUndo, releaseAttachment, removeAttachment } from '../skel/veth.ts';
import { Repairs, repairAddress, repairForwarding, repairInPod, repairRoutes, repairUp } from '../skel/repair.ts';
import { tidyRuleset } from '../skel/ruleset.ts';

interface PtpConf {
  readonly ipMasq: boolean;
  readonly mtu: number;
  readonly ipamType: string;
  readonly dns: CniDns | undefined;
}

function readConf(req: PluginRequest): PtpConf {
  const conf = new ConfReader(req.conf);
  const ipamType = conf.object('ipam')?.text('type') ?? '';
  if (ipamType === '') throw new CniError(cniCode.config, 'ptp needs an ipam section with a type');
  return { ipMasq: conf.flag('ipMasq') ?? false, mtu: conf.integer('mtu', 0, 65_535) ?? 0, ipamType, dns: configuredDns(conf) };
}

/** A lease whose gateway is known: the host's end answers for it. */
type Routed = Lease & { readonly gateway: Ip };
const routed = (leases: readonly Lease[]): Routed[] =>
  leases.map((lease) => ({ ...lease, gateway: lease.gateway ?? ipFromValue(lease.address.ip.family, networkOf(lease.address).ip.value + 1n) }));

export const plugin: Plugin = {
  type: 'ptp',
  versions: cniVersions,
  validate: readConf,

  add(req, ctx) {
    const conf = readConf(req);
    refuseUnusable(req);
    return orUndo(req, conf.ipamType, ctx, () => {
      const ipam = ctx.delegate(conf.ipamType, 'ADD', req);
      const leases = routed(leasesOf(ipam ?? { cniVersion: '' }));
      if (leases.length === 0) throw new CniError(cniCode.internal, 'IPAM plugin returned missing IP config');
      return build(req, conf, ipam ?? { cniVersion: '' }, leases, ctx);
    });
  },

  check(req, ctx) {
    const conf = readConf(req);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'prevResult must be given for CHECK');
    ctx.delegate(conf.ipamType, 'CHECK', req);
    const leases = ownLeases(prevResult, req.ifName);
    checkPodEnd(req, prevResult, leases);
    if (conf.ipMasq)
      checkMasquerade(
        keyOf(req),
        leases.map(({ address }) => address),
      );
  },

  del(req, ctx) {
    removeAttachment(req, ipamTypeOf(req), ctx);
  },

  release(req, delegate) {
    return releaseAttachment(req, ipamTypeOf(req), delegate);
  },

  gc(req, ctx) {
    const ipamType = ipamTypeOf(req);
    const network = req.conf.name;
    const alive = aliveTexts(network, req.validAttachments);
    allOf(
      withIpam(ipamType, () => void ctx.delegate(ipamType, 'GC', req), [
        () => gcMasquerade(network, req.validAttachments),
        () => {
          if (ctx.netnsDies === true) return;
          using socket = new RouteSocket();
          for (const link of staleLinks(socket, networkText(network), alive)) deleteIfThere(socket, link);
        },
      ]),
    );
  },

  tidy: tidyRuleset,

  status(req, ctx) {
    ctx.delegate(readConf(req).ipamType, 'STATUS', req);
  },

  rules: (req) => (readConf(req).ipMasq ? masqueradeOf(req) : []),

  repair(req, _ctx, apply) {
    const conf = readConf(req);
    const repairs = new Repairs(apply);
    const { prevResult } = req;
    if (prevResult === undefined) return repairs.found;
    const leases = routed(ownLeases(prevResult, req.ifName));
    using socket = new RouteSocket();
    const [host] = hostLinks(socket, keyOf(req));
    if (host === undefined)
      throw new CniError(cniCode.internal, `the host end of the pod's ${req.ifName} is gone: disconnect and connect the network`);
    repairUp(repairs, socket, host, ' on the host');
    repairInPod(req, (inside, link) => {
      repairUp(repairs, inside, link, ' in the pod');
      for (const { address } of leases)
        repairAddress(repairs, inside, link, address, ' in the pod', addAddress(link.index, address, { prefixRoute: false }));
      const routes = [...distinct(leases.flatMap(gatewayRoutes), ({ dst }) => dst), ...routesOf(prevResult, leases)];
      repairRoutes(repairs, inside, link, routes, ' in the pod', (route) => addRoute(link.index, route));
    });
    for (const address of distinct(
      leases.map(({ gateway }) => hostCidr(gateway)),
      (cidr) => cidr,
    ))
      repairAddress(repairs, socket, host, address, ' on the host');
    const back = leases.map(({ address }) => ({ dst: hostCidr(address.ip), scope: RT_SCOPE.LINK }));
    repairRoutes(repairs, socket, host, back, ' on the host', (route) => ensureRoute(host.index, route));
    repairForwarding(repairs, leases);
    if (conf.ipMasq)
      repairMasquerade(
        repairs,
        keyOf(req),
        leases.map(({ address }) => address),
      );
    return repairs.found;
  },
};

function build(req: PluginRequest, conf: PtpConf, ipam: CniResult, leases: readonly Routed[], ctx: PluginContext): CniResult {
  enableForwarding(leases, ctx);
  using socket = new RouteSocket();
  const host = createPair(socket, req, (name, netnsFd) => createVeth(name, { mtu: conf.mtu }, { name: req.ifName, netnsFd, mtu: conf.mtu }), {
    hostIpv6: true,
  });
  // Before the pod's end is up: a pod must not be able to become the host's router (CVE-2020-10749).
  setIfPresent(`net/ipv6/conf/${host.name}/accept_ra`, '0');
  setIfPresent(`net/ipv6/conf/${host.name}/accept_dad`, '0');
  const mac = withNetns(req.netns, () => {
    using pod = new RouteSocket();
    const link = linkByName(pod, req.ifName);
    if (link === undefined) throw new CniError(cniCode.internal, `interface ${req.ifName} vanished from ${req.netns}`);
    // The subnet is reached through the gateway, so the route that comes with the address must not exist.
    configurePodEnd(
      pod,
      link,
      leases,
      [
        ...distinct(leases.flatMap(gatewayRoutes), ({ dst }) => dst).map((route) => addRoute(link.index, route)),
        ...routeRequests(link, routesOf(ipam, leases)),
      ],
      ({ address }) => addAddress(link.index, address, { prefixRoute: false }),
    );
    return link.mac;
  });
  socket.request([
    ...distinct(
      leases.map(({ gateway }) => hostCidr(gateway)),
      (address) => address,
    ).map((address) => addAddress(host.index, address)),
    ...leases.map(({ address }) => ensureRoute(host.index, { dst: hostCidr(address.ip), scope: RT_SCOPE.LINK })),
  ]);
  if (conf.ipMasq)
    ensureMasquerade(
      keyOf(req),
      leases.map(({ address }) => address),
    );
  const dns = dnsOf(conf.dns, ipam.dns);
  return {
    cniVersion: req.conf.cniVersion,
    interfaces: [
      { name: host.name, mac: host.mac },
      { name: req.ifName, mac, sandbox: req.netns },
    ],
    ips: leases.map(({ address, gateway }) => ({ address: cidrText(address), interface: 1, gateway: gateway.text })),
    ...(ipam.routes === undefined ? {} : { routes: ipam.routes }),
    ...(dns === undefined ? {} : { dns }),
  };
}

/** `gw dev eth0 scope link src ip`, then the subnet through it. */
const gatewayRoutes = ({ address, gateway }: Routed): Route[] => [
  { dst: hostCidr(gateway), source: address.ip, scope: RT_SCOPE.LINK },
  { dst: networkOf(address), gateway, source: address.ip },
];

/** Addresses of one subnet share their gateway: the first of them says how it is reached. */
const distinct = <T>(items: readonly T[], cidrOf: (item: T) => Cidr): T[] =>
  [...new Map([...items].reverse().map((item) => [cidrText(cidrOf(item)), item])).values()].reverse();
