/**
 * bandwidth: limits what a pod receives and sends. What goes to the pod is queued in its host device; what comes from it is
 * redirected into an IFB of its own and queued there.
 * @see cni.md 3.12
 */
import { isErrno } from '../../src/host/linux.ts';
import { hasLinkKind, hasQdisc } from '../../src/host/netlink/kernel-features.ts';
import { linkByIndex, linkByName, listLinks, setAlias, setNoLinkLocal, setUp, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { addIngress, addRedirect, createIfb, deleteQdisc, ingressFilters, qdiscAt, rootHandle } from '../../src/host/netlink/traffic-control.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, type CniInterface, type CniResult, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { attachmentText, networkText } from '../../src/model/ruleset.ts';
import { aliveTexts, keyOf } from '../skel/attachment.ts';
import { allOf, deleteIfThere, hostLinks } from '../skel/interface.ts';
import { ifbName } from '../skel/naming.ts';
import { inPod, podExists } from '../skel/netns.ts';
import { type BandwidthConf, readConf } from './conf.ts';
import { applyInParts, faultOf, limitDevice } from './shaping.ts';

export const plugin: Plugin = {
  type: 'bandwidth',
  versions: cniVersions.filter((version) => version !== '0.1.0' && version !== '0.2.0'),
  validate: (req) => void readConf(req.conf),

  add(req, ctx) {
    const conf = readConf(req.conf);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'must be called as chained plugin');
    if (conf.ingress === undefined && conf.egress === undefined) return prevResult;
    using socket = new RouteSocket();
    const host = hostDeviceOf(socket, req, prevResult);
    refuseTaken(socket, host, req);
    noteSmallBursts(conf, host, ctx);
    try {
      if (conf.ingress !== undefined) applyInParts(socket, limitDevice(host.index, conf.ingress, conf.scope, 'source'));
      if (conf.egress === undefined) return prevResult;
      const ifb = makeIfb(socket, req, host);
      applyInParts(socket, [
        ...limitDevice(ifb.index, conf.egress, conf.scope, 'destination'),
        addIngress(host.index),
        addRedirect(host.index, ifb.index),
      ]);
      const made: CniInterface = { name: ifb.name, mac: ifb.mac };
      return { ...prevResult, interfaces: [...(prevResult.interfaces ?? []), made] };
    } catch (error) {
      allOf([() => removeQdisc(socket, host.index, 'ROOT'), () => removeQdisc(socket, host.index, 'INGRESS'), () => removeIfb(socket, req)]);
      throw lacking(socket, conf) ?? error;
    }
  },

  check(req) {
    const conf = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'must be called as a chained plugin');
    if (conf.ingress === undefined && conf.egress === undefined) return;
    using socket = new RouteSocket();
    const host = hostDeviceOf(socket, req, req.prevResult);
    if (conf.ingress !== undefined) demand(host, faultOf(socket, host.index, conf.ingress, conf.scope));
    if (conf.egress === undefined) return;
    const ifb = ownIfb(socket, req);
    if (ifb === undefined) throw new CniError(cniCode.internal, `device ${ifbName(keyOf(req))} of ${attachmentText(keyOf(req))} is missing`);
    demand(ifb, ifb.up ? faultOf(socket, ifb.index, conf.egress, conf.scope) : 'is down');
    demand(host, ingressFilters(socket, host.index).some(({ target }) => target === ifb.index) ? undefined : `does not redirect to ${ifb.name}`);
  },

  del(req, ctx) {
    using socket = new RouteSocket();
    allOf([
      () => {
        // Otherwise the host device goes with the namespace, and its queues with it.
        if (ctx.netnsDies !== true) removeQueues(socket, shapedDevices(socket, req), ownIfb(socket, req));
      },
      () => removeIfb(socket, req),
    ]);
  },

  gc(req) {
    const prefix = networkText(req.conf.name);
    const alive = aliveTexts(req.conf.name, req.validAttachments);
    using socket = new RouteSocket();
    const stale = listLinks(socket).filter(({ kind, alias }) => kind === 'ifb' && alias.startsWith(prefix) && !alive.has(alias));
    allOf(stale.map((link) => () => deleteIfThere(socket, link)));
  },

  status(req) {
    using socket = new RouteSocket();
    const missing = lacking(socket, readConf(req.conf));
    if (missing !== undefined) throw missing;
  },
};

function demand({ name }: Link, fault: string | undefined): void {
  if (fault !== undefined) throw new CniError(cniCode.internal, `${name} ${fault}`);
}

/** The host's end of the pod's veth pair, which the result must name: of any other device we would not know whose traffic it carries. */
function hostDeviceOf(socket: RouteSocket, req: PluginRequest, result: CniResult): Link {
  if ((result.interfaces ?? []).length === 0) throw new CniError(cniCode.config, 'no interfaces provided');
  const host = peerOf(socket, req);
  if (host === undefined) throw new CniError(cniCode.internal, `container interface ${req.ifName} has no veth peer`);
  if (!(result.interfaces ?? []).some(({ name, sandbox }) => name === host.name && (sandbox ?? '') === ''))
    throw new CniError(cniCode.internal, 'no veth peer of container interface found in host ns', `${host.name} is not in prevResult`);
  return host;
}
function peerOf(socket: RouteSocket, req: PluginRequest): Link | undefined {
  const inside = inPod(req, () => {
    using pod = new RouteSocket();
    return linkByName(pod, req.ifName);
  });
  if (inside?.kind !== 'veth') return undefined;
  const host = linkByIndex(socket, inside.peer);
  // An index means something in its own namespace only: the peer may be in a third one.
  return host?.kind === 'veth' && host.peer === inside.index ? host : undefined;
}
/** Devices that may carry queues of this attachment: by alias, and as the pod's peer while the pod is there. */
function shapedDevices(socket: RouteSocket, req: PluginRequest): Link[] {
  const own = hostLinks(socket, keyOf(req));
  if (own.length > 0 || !podExists(req)) return own;
  const peer = peerOf(socket, req);
  return peer === undefined || peer.alias !== '' ? [] : [peer];
}

/** Before anything is made, so that undoing removes nothing of somebody else. */
function refuseTaken(socket: RouteSocket, host: Link, req: PluginRequest): void {
  if (linkByName(socket, ifbName(keyOf(req))) !== undefined)
    throw new CniError(cniCode.internal, `device ${ifbName(keyOf(req))} of ${attachmentText(keyOf(req))} exists already: DEL comes first`);
  for (const side of ['ROOT', 'INGRESS'] as const) {
    const queue = qdiscAt(socket, host.index, side);
    // Handle 0: the kernel's default, which whatever is added replaces.
    if (queue !== undefined && queue.handle !== 0) throw new CniError(cniCode.internal, `${host.name} has a qdisc already: ${queue.kind}`);
  }
}

/** A token bucket never lets through what is larger than itself. */
function noteSmallBursts({ ingress, egress, scope }: BandwidthConf, { mtu, name }: Link, ctx: PluginContext): void {
  const frame = mtu + 14;
  if (scope.kind !== 'all') return;
  for (const [key, bucket] of Object.entries({ ingressBurst: ingress, egressBurst: egress })) {
    if (bucket !== undefined && bucket.burst < frame)
      ctx.note({ what: key, detail: `${bucket.burst} bytes is less than a full packet on ${name} (${frame}): larger packets are dropped` });
  }
}

/** Up, with the attachment's name as alias, and silent: nothing of its own may come out of it. */
function makeIfb(socket: RouteSocket, req: PluginRequest, host: Link): Link {
  const name = ifbName(keyOf(req));
  // A class queues as many packets as the device says: an IFB's own 32 are too few for any burst.
  socket.request([createIfb(name, { mtu: host.mtu, txQueueLen: Math.max(host.txQueueLen, 1000) })]);
  const link = linkByName(socket, name);
  if (link === undefined) throw new CniError(cniCode.internal, `link ${name} vanished right after it was made`);
  socket.request([setAlias(link.index, attachmentText(keyOf(req)))]);
  try {
    socket.request([setNoLinkLocal(link.index)]);
  } catch (error) {
    if (!isErrno(error, 'EAFNOSUPPORT', 'EOPNOTSUPP')) throw error; // no IPv6 in this kernel: silent anyway
  }
  socket.request([setUp(link.index, name)]);
  return link;
}

/** The attachment's IFB. Without an alias it is what an ADD left that was killed right after it had made it. */
function ownIfb(socket: RouteSocket, req: PluginRequest): Link | undefined {
  const link = linkByName(socket, ifbName(keyOf(req)));
  return link?.kind === 'ifb' && (link.alias === '' || link.alias === attachmentText(keyOf(req))) ? link : undefined;
}
function removeIfb(socket: RouteSocket, req: PluginRequest): void {
  const link = ownIfb(socket, req);
  if (link !== undefined) deleteIfThere(socket, link);
}

/** Takes our queues off host devices, and the redirect to `ifb`, or to one that is gone: such a redirect drops everything. */
function removeQueues(socket: RouteSocket, devices: readonly Link[], ifb: Link | undefined): void {
  for (const { index } of devices) {
    const root = qdiscAt(socket, index, 'ROOT');
    if (root?.handle === rootHandle && (root.kind === 'tbf' || root.kind === 'htb')) removeQdisc(socket, index, 'ROOT');
    if (qdiscAt(socket, index, 'INGRESS') === undefined) continue;
    const targets = ingressFilters(socket, index).map(({ target }) => target);
    if (targets.length > 0 && targets.every((target) => target === 0 || (target !== undefined && target === ifb?.index)))
      removeQdisc(socket, index, 'INGRESS');
  }
}
function removeQdisc(socket: RouteSocket, index: number, side: 'ROOT' | 'INGRESS'): void {
  try {
    socket.request([deleteQdisc(index, side)]);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EINVAL', 'ENODEV')) throw error; // it went with its device meanwhile
  }
}

/** What this kernel has not got of what the configuration needs. */
function lacking(socket: RouteSocket, conf: BandwidthConf): CniError | undefined {
  const qdisc = conf.scope.kind === 'all' ? 'tbf' : 'htb';
  const missing = !hasQdisc(socket, qdisc)
    ? `qdisc ${qdisc} (CONFIG_NET_SCH_${qdisc.toUpperCase()})`
    : hasLinkKind(socket, 'ifb')
      ? undefined
      : 'devices of kind ifb (CONFIG_IFB)';
  return missing === undefined ? undefined : new CniError(cniCode.notAvailable, `this kernel has no ${missing}`);
}
