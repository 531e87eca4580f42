/** loopback: lo of the pod up. @see cni.md 3.6 */
import { linkByName, listAddresses, setUp } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { withNetns } from '../../src/host/netns.ts';
import { cidrText } from '../../src/model/cidr.ts';
import type { Plugin } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions, type CniResult } from '../../src/model/cni/types.ts';
import { Repairs, repairInPod, repairUp } from '../skel/repair.ts';

const lo = 'lo';
const missing = (netns: string): CniError => new CniError(cniCode.internal, `no interface ${lo} in ${netns}`);

export const plugin: Plugin = {
  type: 'loopback',
  versions: cniVersions,

  add(req) {
    return withNetns(req.netns, (): CniResult => {
      using socket = new RouteSocket();
      const link = linkByName(socket, lo);
      if (link === undefined) throw missing(req.netns);
      if (!link.up) socket.request([setUp(link.index, lo)]);
      if (req.prevResult !== undefined) return req.prevResult;
      const addresses = ([4, 6] as const).flatMap((family) => listAddresses(socket, link.index, family));
      const stray = addresses.find(({ ip }) => !(ip.text.startsWith('127.') || ip.text === '::1'));
      if (stray !== undefined)
        throw new CniError(cniCode.internal, `loopback interface has the address ${cidrText(stray)}, which is none of its own`);
      return {
        cniVersion: req.conf.cniVersion,
        interfaces: [{ name: lo, mac: '00:00:00:00:00:00', sandbox: req.netns }],
        ips: addresses.map((address) => ({ address: cidrText(address), interface: 0 })),
      };
    });
  },

  check(req) {
    withNetns(req.netns, () => {
      using socket = new RouteSocket();
      const link = linkByName(socket, lo);
      if (link === undefined) throw missing(req.netns);
      if (!link.up) throw new CniError(cniCode.internal, `interface ${lo} is down in ${req.netns}`);
    });
  },

  // The reference sets lo down; but lo was the namespace's before this plugin, other attachments use it, and it dies with it.
  del() {},
  gc() {},
  status() {},

  repair(req, _ctx, apply) {
    const repairs = new Repairs(apply);
    repairInPod({ ...req, ifName: lo }, (socket, link) => repairUp(repairs, socket, link, ' in the pod'));
    return repairs.found;
  },
};
