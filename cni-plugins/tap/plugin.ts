/** tap: an interface whose other end is a program that opens it, such as a virtual machine monitor. @see cni.md 3.9 */
import { isErrno } from '../../src/host/linux.ts';
import { isTap } from '../../src/host/netlink/link-kinds.ts';
import { setMac, setMaster, setMtu } from '../../src/host/netlink/link-moves.ts';
import { linkByIndex, linkByName, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { withNetns } from '../../src/host/netns.ts';
import { createLabelledTap, createTap, hasSelinux, hasTaps, isTapNameTaken } from '../../src/host/tap.ts';
import type { PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { deleteIfThere, nameTaken } from '../skel/interface.ts';
import { podLinkPlugin } from '../skel/pod-link.ts';
import { readConf, type TapConf } from './conf.ts';

export const plugin = podLinkPlugin({
  type: 'tap',
  sort: { name: 'tap', is: isTap },
  readConf,

  make(req, conf, ctx) {
    return withNetns(req.netns, () => {
      using socket = new RouteSocket();
      const bridge = bridgeOf(socket, conf);
      create(req, conf, ctx);
      const link = linkByName(socket, req.ifName);
      if (link === undefined) throw new CniError(cniCode.internal, `tap ${req.ifName} vanished right after it was made`);
      try {
        socket.request([
          ...(conf.mtu === 0 ? [] : [setMtu(link, conf.mtu)]),
          ...(conf.mac === undefined ? [] : [setMac(link, conf.mac)]),
          ...(bridge === undefined ? [] : [setMaster(link, bridge.index)]),
        ]);
      } catch (error) {
        deleteIfThere(socket, link);
        throw error;
      }
      return req.ifName;
    });
  },

  verify(req, conf, link) {
    if (conf.bridge === '') return;
    const master = withNetns(req.netns, () => {
      using socket = new RouteSocket();
      return link.master === 0 ? undefined : linkByIndex(socket, link.master);
    });
    if (master?.name !== conf.bridge) throw new CniError(cniCode.internal, `tap ${req.ifName} is not a port of ${conf.bridge}`);
  },

  require() {
    if (!hasTaps()) throw noTaps();
  },
});

function bridgeOf(socket: RouteSocket, { bridge: name }: TapConf): Link | undefined {
  if (name === '') return undefined;
  const link = linkByName(socket, name);
  if (link === undefined) throw new CniError(cniCode.internal, `failed to get bridge device ${name}: link not found`);
  if (link.kind !== 'bridge') throw new CniError(cniCode.internal, `${JSON.stringify(name)} already exists but is not a bridge`);
  return link;
}

function create(req: PluginRequest, conf: TapConf, ctx: PluginContext): void {
  const labelled = conf.selinuxContext !== '' && hasSelinux();
  if (conf.selinuxContext !== '' && !labelled)
    ctx.note({ what: 'selinuxContext', detail: `${conf.selinuxContext} is not set on ${req.ifName}: SELinux is not on` });
  try {
    if (labelled) createLabelledTap(req.ifName, conf, conf.selinuxContext);
    else createTap(req.ifName, conf);
  } catch (error) {
    if (isTapNameTaken(error)) throw nameTaken(req.netns, req.ifName);
    if (isErrno(error, 'ENOENT', 'ENODEV', 'ENXIO')) throw noTaps();
    throw new CniError(cniCode.internal, `failed to create tap: ${messageOf(error)}`);
  }
}
const noTaps = (): CniError =>
  new CniError(cniCode.notAvailable, 'this kernel has no tap devices', '/dev/net/tun is not there: CONFIG_TUN, module tun');
