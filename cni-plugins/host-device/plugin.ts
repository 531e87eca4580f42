/** host-device: a device of the host becomes the pod's, and comes back. @see cni.md 3.7 */
import { monotonicMs, sleepMs } from '../../src/host/clock.ts';
import { linkByName, setUp, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { cidrText } from '../../src/model/cidr.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions, type CniResult } from '../../src/model/cni/types.ts';
import { allOf, checkPodEnd, dnsOf, ipamTypeOf, leasesOf, ownLeases, refuseTaken, type Lease } from '../skel/interface.ts';
import { deletionOf } from '../skel/deletion.ts';
import { withIpam } from '../skel/ipam.ts';
import { deviceMark } from '../skel/naming.ts';
import { checkMac, configurePodLink, repairPodLink, resultOf } from '../skel/pod-link.ts';
import { readConf, type HostDeviceConf, type Selector } from './conf.ts';
import { findDevice, isUserspaceDriven, NoDevice, pciAddressOf } from './device.ts';
import { bringBack, moveIn, refuseHeld, settleFallen, settleStale } from './move.ts';

/** Whether the device has no link to move, because a program drives it. */
function withoutLink({ selector }: HostDeviceConf): boolean {
  const pciAddress = pciAddressOf(selector);
  return pciAddress !== undefined && isUserspaceDriven(pciAddress);
}

/** Addresses of IPAM; none without it. `asked` hears of it before IPAM does. */
function addresses(req: PluginRequest, { ipamType }: HostDeviceConf, ctx: PluginContext, asked: () => void): { ipam?: CniResult; leases: Lease[] } {
  if (ipamType === '') return { leases: [] };
  asked();
  const ipam = ctx.delegate(ipamType, 'ADD', req) ?? { cniVersion: '' };
  const leases = leasesOf(ipam);
  if (leases.length === 0) throw new CniError(cniCode.internal, 'IPAM plugin returned missing IP config');
  return { ipam, leases };
}

export const plugin: Plugin = {
  type: 'host-device',
  versions: cniVersions,
  validate: (req) => void readConf(req),

  add(req, ctx) {
    const conf = readConf(req);
    refuseTaken(req);
    refuseHeld(req);
    const undo: (() => void)[] = [];
    let asked = '';
    const onAsked = (): void => void (asked = conf.ipamType);
    try {
      if (withoutLink(conf)) {
        const { ipam, leases } = addresses(req, conf, ctx, onAsked);
        return withoutInterface(req, conf, ipam, leases);
      }
      undo.push(...take(req, conf));
      const { ipam, leases } = addresses(req, conf, ctx, onAsked);
      const result = resultOf(req, configurePodLink(req, ipam, leases), ipam, leases, conf.dns);
      return withPciId(result, pciAddressOf(conf.selector));
    } catch (error) {
      // What the undoing itself cannot do is noted: the first error is the one to report.
      try {
        allOf(withIpam(asked, () => void ctx.delegate(asked, 'DEL', req), undo));
      } catch (cleanup) {
        ctx.note({ what: 'clean-up', detail: `after a failed ADD: ${String(cleanup)}` });
      }
      throw error;
    }
  },

  check(req, ctx) {
    const conf = readConf(req);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'prevResult must be given for CHECK');
    if (conf.ipamType !== '') ctx.delegate(conf.ipamType, 'CHECK', req);
    if (withoutLink(conf)) return;
    const link = checkPodEnd(req, prevResult, ownLeases(prevResult, req.ifName), { name: 'device', is: () => true });
    checkMac(req, prevResult, link);
  },

  del(req, ctx) {
    const ipamType = ipamTypeOf(req);
    // Also when the namespace is about to end: a virtual device would end with it.
    allOf(withIpam(ipamType, () => void ctx.delegate(ipamType, 'DEL', req), [() => bringBack(req, { foreign: true })]));
  },

  // Before the namespace ends: a virtual device would end with it, a physical one come back under the pod's name for it.
  release: (req) => [deletionOf('host-device', req)],

  repair: (req, _ctx, apply) => repairPodLink(req, apply),

  gc(req, ctx) {
    const ipamType = ipamTypeOf(req);
    const network = req.conf.name;
    const valid = new Set(req.validAttachments.map(({ containerID, ifname }) => deviceMark({ network, containerId: containerID, ifName: ifname })));
    allOf(withIpam(ipamType, () => void ctx.delegate(ipamType, 'GC', req), [() => settleStale(network, valid)]));
  },

  status(req, ctx) {
    const conf = readConf(req);
    if (conf.ipamType !== '') ctx.delegate(conf.ipamType, 'STATUS', req);
  },
};

/** Moves the device into the pod; returns how to undo it. Undoes itself when it throws. */
function take(req: PluginRequest, { selector }: HostDeviceConf): (() => void)[] {
  // What an attachment of the same name left on the host when nobody could clean up after it.
  bringBack({ ...req, netns: '' }, { foreign: false });
  using socket = new RouteSocket();
  const device = awaitDevice(socket, selector);
  const giveBack = (): void => {
    bringBack(req, { foreign: false });
    if (device.up) setUpAgain(device);
  };
  try {
    moveIn(socket, req, device);
  } catch (error) {
    giveBack();
    throw error;
  }
  return [giveBack];
}

/** How long a device that is not there may still be on its way back from a pod that has ended. */
const returnMs = 2_000;
const returnPollMs = 20;

function awaitDevice(socket: RouteSocket, selector: Selector): Link {
  const patientUntilMs = monotonicMs() + returnMs;
  for (;;) {
    if (selector.by === 'device' && linkByName(socket, selector.name) === undefined) settleFallen(socket, selector.name);
    try {
      return findDevice(socket, selector);
    } catch (error) {
      if (!(error instanceof NoDevice) || monotonicMs() > patientUntilMs) throw error;
    }
    sleepMs(returnPollMs);
  }
}

/** A failed ADD leaves the device as it found it, apart from addresses: the kernel drops those when it moves. */
function setUpAgain({ name }: Link): void {
  using socket = new RouteSocket();
  const link = linkByName(socket, name);
  if (link !== undefined) socket.request([setUp(link.index, name)]);
}

/** A program drives the device: addresses without an interface that has them. */
function withoutInterface(req: PluginRequest, conf: HostDeviceConf, ipam: CniResult | undefined, leases: readonly Lease[]): CniResult {
  const dns = dnsOf(conf.dns, ipam?.dns);
  return {
    cniVersion: req.conf.cniVersion,
    ips: leases.map(({ address, gateway }) => ({ address: cidrText(address), ...(gateway === undefined ? {} : { gateway: gateway.text }) })),
    ...(ipam?.routes === undefined ? {} : { routes: ipam.routes }),
    ...(dns === undefined ? {} : { dns }),
  };
}

const withPciId = (result: CniResult, pciID: string | undefined): CniResult =>
  pciID === undefined ? result : { ...result, interfaces: (result.interfaces ?? []).map((one) => ({ ...one, pciID })) };
