/**
 * vrf: makes the pod's interface part of a VRF, a routing domain of its own inside the pod. Attachments of one pod may share it: the
 * first makes it, the last removes it.
 * @see cni.md 3.15; complaint 34
 */
import { hasLinkKind } from '../../src/host/netlink/kernel-features.ts';
import { isErrno } from '../../src/host/linux.ts';
import { copyRoute, freeTables, type KernelRoute, mainTable, routesThrough } from '../../src/host/netlink/policy-routing.ts';
import { linkByIndex, linkByName, listLinks, setAlias, setMaster, setUp, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { createVrf, type HeldAddress, ipv6Addresses, tableOfVrf } from '../../src/host/netlink/vrf.ts';
import { cidrText } from '../../src/model/cidr.ts';
import type { Plugin, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { atLeast } from '../../src/model/cni/version.ts';
import { allOf, deleteIfThere } from '../skel/interface.ts';
import { inPod, lockPod, podExists } from '../skel/netns.ts';
import { nameOf, readConf, type VrfConf } from './conf.ts';

/** Alias of a VRF that this plugin made, and so removes. */
const mark = 'made by the CNI plugin vrf';
const RTPROT_KERNEL = 2;

export const plugin: Plugin = {
  type: 'vrf',
  versions: cniVersions.filter((version) => atLeast(version, '0.3.1')),
  validate: (req) => void readConf(req.conf),

  add(req) {
    const conf = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'missing prevResult from earlier plugin');
    using held = lockPod(req);
    void held;
    inPod(req, () => {
      using socket = new RouteSocket();
      requireVrf(socket);
      join(socket, req, conf);
    });
    return req.prevResult;
  },

  check(req) {
    const { name, table } = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'missing prevResult from earlier plugin');
    inPod(req, () => {
      using socket = new RouteSocket();
      const vrf = existing(socket, { name, table });
      if (vrf === undefined) throw new CniError(cniCode.internal, `VRF ${name} is missing`);
      if (ownLink(socket, req).master !== vrf.index) throw new CniError(cniCode.internal, `Failed to find ${req.ifName} associated to vrf ${name}`);
    });
  },

  del(req, ctx) {
    const name = nameOf(req.conf);
    if (ctx.netnsDies === true || name === undefined || !podExists(req)) return;
    using held = lockPod(req);
    void held;
    inPod(req, () => {
      using socket = new RouteSocket();
      const vrf = linkByName(socket, name);
      if (vrf?.kind !== 'vrf') return;
      const link = linkByName(socket, req.ifName);
      allOf([
        () => {
          if (link?.master === vrf.index) socket.request([setMaster(link.index, 0)]);
        },
        () => {
          if (vrf.alias === mark && listLinks(socket, vrf.index).length === 0) deleteIfThere(socket, vrf);
        },
      ]);
    });
  },

  gc() {
    // Nothing is kept outside of the pod's namespace.
  },

  status() {
    using socket = new RouteSocket();
    requireVrf(socket);
  },
};

function requireVrf(socket: RouteSocket): void {
  if (!hasLinkKind(socket, 'vrf')) throw new CniError(cniCode.notAvailable, 'this kernel has no VRF devices (CONFIG_NET_VRF)');
}
function ownLink(socket: RouteSocket, { ifName }: PluginRequest): Link {
  const link = linkByName(socket, ifName);
  if (link === undefined) throw new CniError(cniCode.internal, `could not get link by name ${ifName}`);
  return link;
}
/** The VRF of that name. @throws CniError when the name is another link's, or its table is not the one asked for */
function existing(socket: RouteSocket, { name, table }: VrfConf): Link | undefined {
  const link = linkByName(socket, name);
  if (link === undefined) return undefined;
  const has = tableOfVrf(link);
  if (has === undefined) throw new CniError(cniCode.internal, `Netlink ${name} is not a VRF`);
  if (table !== 0 && has !== table) throw new CniError(cniCode.internal, `VRF ${name} already exist with different routing table ${has}`);
  return link;
}

function join(socket: RouteSocket, req: PluginRequest, conf: VrfConf): void {
  const link = ownLink(socket, req);
  if (link.master !== 0)
    throw new CniError(
      cniCode.internal,
      `interface ${req.ifName} has already a master set: ${linkByIndex(socket, link.master)?.name ?? link.master}`,
    );
  const found = existing(socket, conf);
  // The kernel takes the interface down and up: its routes go, and IPv6 addresses too unless keep_addr_on_down is set.
  const addresses = ipv6Addresses(socket, link.index);
  const routes = routesThrough(socket, link.index).filter(({ table, protocol }) => table === mainTable && protocol !== RTPROT_KERNEL);
  const vrf = found ?? make(socket, conf);
  try {
    socket.request([setMaster(link.index, vrf.index)]);
    giveBack(socket, link, addresses, routes, tableOfVrf(vrf) ?? conf.table);
  } catch (error) {
    allOf([
      () => socket.request([setMaster(link.index, 0)]),
      () => giveBack(socket, link, addresses, routes, mainTable),
      () => {
        if (found === undefined) deleteIfThere(socket, vrf);
      },
    ]);
    throw error;
  }
}

function make(socket: RouteSocket, { name, table }: VrfConf): Link {
  const chosen = table === 0 ? (freeTables(socket, 1, 1)[0] ?? 1) : table;
  socket.request([createVrf(name, chosen)]);
  const vrf = linkByName(socket, name);
  if (vrf === undefined) throw new CniError(cniCode.internal, `VRF ${name} vanished right after it was made`);
  try {
    socket.request([setAlias(vrf.index, mark), setUp(vrf.index, name)]);
  } catch (error) {
    deleteIfThere(socket, vrf);
    throw error;
  }
  return vrf;
}

/** Addresses that are missing, then routes, those without gateway first: the others need them. */
function giveBack(socket: RouteSocket, link: Link, addresses: readonly HeldAddress[], routes: readonly KernelRoute[], table: number): void {
  const left = new Set(ipv6Addresses(socket, link.index).map(({ address }) => cidrText(address)));
  const near = routes.filter(({ gateway }) => gateway === undefined);
  const far = routes.filter(({ gateway }) => gateway !== undefined);
  const requests = [
    ...addresses.filter(({ address }) => !left.has(cidrText(address))).map(({ give }) => give),
    ...[...near, ...far].map((route) => copyRoute(route, table)),
  ];
  for (const request of requests) {
    try {
      socket.request([request]);
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error; // the kernel was faster
    }
  }
}
