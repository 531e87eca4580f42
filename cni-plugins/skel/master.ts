/** The link that a pod's link stands on (macvlan, ipvlan, vlan), and making one on it. @see cni.md 3.3-3.5 */
import { closeSync, openSync } from 'node:fs';
import { monotonicMs, sleepMs } from '../../src/host/clock.ts';
import { isErrno } from '../../src/host/linux.ts';
import { createLink, hasLinkKind, type LinkKind, type LinkSpec } from '../../src/host/netlink/link-kinds.ts';
import { defaultRouteLink, linkByIndex, linkByName, type Link, type LinkFields } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { withNetns } from '../../src/host/netns.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { keyOf } from './attachment.ts';
import type { ConfReader } from './conf.ts';
import { linkNameAttempts, stagingName } from './naming.ts';

/** What the configuration says of the master. */
export interface MasterConf {
  /** '' = the device of the default route */
  readonly master: string;
  /** the master is in the pod's namespace */
  readonly inContainer: boolean;
}
export const masterConf = (conf: ConfReader): MasterConf => ({
  master: conf.text('master') ?? '',
  inContainer: conf.flag('linkInContainer') ?? false,
});
/** Any whole number: what fits is known when the master is ({@link refuseMtu}). 0 = the master's. */
export const mtuOf = (conf: ConfReader): number => conf.integer('mtu', -0x8000_0000, 0x7fff_ffff) ?? 0;

/** The master, looked up where it has to be. @throws CniError when there is none */
export const findMaster = (req: PluginRequest, conf: MasterConf): Link =>
  conf.inContainer ? withNetns(req.netns, () => lookUp(conf)) : lookUp(conf);

function lookUp({ master }: MasterConf): Link {
  using socket = new RouteSocket();
  if (master !== '') {
    const link = linkByName(socket, master);
    if (link === undefined) throw new CniError(cniCode.internal, `failed to lookup master ${JSON.stringify(master)}: link not found`);
    return link;
  }
  const index = defaultRouteLink(socket);
  const link = index === undefined ? undefined : linkByIndex(socket, index);
  if (link === undefined) throw new CniError(cniCode.internal, 'no default route interface found', 'name one: "master"');
  return link;
}

/** @throws CniError 7 when a link on `master` cannot have `mtu` (bytes) */
export function refuseMtu(mtu: number, master: Link): void {
  if (mtu < 0 || mtu > master.mtu) throw new CniError(cniCode.config, `invalid MTU ${mtu}, must be [0, master MTU(${master.mtu})]`);
}

/** CHECK: the link stands on the master, where the configuration names one (a default route may lead elsewhere by now). */
export function verifyMaster(req: PluginRequest, conf: MasterConf, link: Link): void {
  const master = findMaster(req, conf);
  if (conf.master !== '' && link.peer !== master.index)
    throw new CniError(cniCode.internal, `interface ${req.ifName} does not stand on ${conf.master}`);
}

/** STATUS: ADD can be served only when the kernel has such links and the named master is there. @throws CniError 50 */
export function requireLinks(kind: LinkKind, conf?: MasterConf): void {
  using socket = new RouteSocket();
  if (!hasLinkKind(socket, kind)) throw kernelLacks(kind);
  if (conf !== undefined && conf.master !== '' && !conf.inContainer && linkByName(socket, conf.master) === undefined)
    throw new CniError(cniCode.notAvailable, `master ${JSON.stringify(conf.master)} is not there`);
}

const options: Readonly<Record<LinkKind, string>> = {
  macvlan: 'CONFIG_MACVLAN, module macvlan',
  ipvlan: 'CONFIG_IPVLAN, module ipvlan',
  vlan: 'CONFIG_VLAN_8021Q, module 8021q',
  dummy: 'CONFIG_DUMMY, module dummy',
};
const kernelLacks = (kind: LinkKind): CniError =>
  new CniError(cniCode.notAvailable, `this kernel has no ${kind} links`, `it was built without them, or their module is not there: ${options[kind]}`);

/**
 * Makes a link in the pod's namespace, down; returns the name it has there for now. `master`: what it stands on.
 * @throws CniError 50 when the kernel has no such links; nothing is made then
 */
export function createInPod(
  req: PluginRequest,
  spec: LinkSpec,
  master: { readonly link: Link; readonly inContainer: boolean } | undefined,
  fields: LinkFields,
): string {
  if (master !== undefined && !master.inContainer) return createFromHost(req, spec, master.link.index, fields);
  return withNetns(req.netns, () => {
    using socket = new RouteSocket();
    try {
      socket.request([createLink(req.ifName, spec, { parent: master?.link.index }, fields)]);
    } catch (error) {
      throw failed(socket, spec.kind, error);
    }
    return req.ifName;
  });
}

/** How long what a link of an ended pod takes from its master may stay taken: the kernel takes namespaces apart when it has time. */
const lingerMs = 500;
const lingerPollMs = 10;
/** How the kernel says that a VLAN's id, or a master that one link has for itself, is taken. */
function takenErrnos(spec: LinkSpec): readonly string[] {
  if (spec.kind === 'vlan') return ['EEXIST'];
  return spec.kind === 'macvlan' && spec.mode === 'passthru' ? ['EINVAL', 'EBUSY'] : [];
}

function createFromHost(req: PluginRequest, spec: LinkSpec, parent: number, fields: LinkFields): string {
  using socket = new RouteSocket();
  const netnsFd = openSync(req.netns, 'r');
  const patientUntilMs = monotonicMs() + lingerMs;
  try {
    for (let attempt = 0; ;) {
      const name = stagingName(keyOf(req), attempt);
      try {
        socket.request([createLink(name, spec, { parent, netnsFd }, fields)]);
        return name;
      } catch (error) {
        // The same errno says that a vlan's id is taken on its master.
        const nameTaken = isErrno(error, 'EEXIST') && (linkByName(socket, name) ?? withNetns(req.netns, () => inThisNetns(name))) !== undefined;
        if (nameTaken && attempt + 1 < linkNameAttempts) attempt++;
        else if (isErrno(error, ...takenErrnos(spec)) && monotonicMs() < patientUntilMs) sleepMs(lingerPollMs);
        else throw failed(socket, spec.kind, error);
      }
    }
  } finally {
    closeSync(netnsFd);
  }
}
function inThisNetns(name: string): Link | undefined {
  using socket = new RouteSocket();
  return linkByName(socket, name);
}

function failed(socket: RouteSocket, kind: LinkKind, error: unknown): CniError {
  if (isErrno(error, 'EOPNOTSUPP') && !hasLinkKind(socket, kind)) return kernelLacks(kind);
  const hint = isErrno(error, 'EBUSY') ? 'another kind of link stands on the same master: macvlan, ipvlan and a bridge exclude each other' : '';
  return new CniError(cniCode.internal, `failed to create ${kind}: ${messageOf(error)}`, hint);
}
