/** The bridge itself: what all pods of a network share. Made by the first attachment, removed by gc after the last. */
import {
  addAddress,
  createBridge,
  deleteAddress,
  deleteLink,
  linkByName,
  listAddresses,
  listLinks,
  setPromiscuous,
  setUp,
  type Link,
} from '../../src/host/netlink/rtnetlink.ts';
import type { RouteSocket } from '../../src/host/netlink/socket.ts';
import { isErrno } from '../../src/host/linux.ts';
import { cidrText, overlaps, type Cidr } from '../../src/model/cidr.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { deleteIfThere, setIfPresent } from '../skel/interface.ts';
import { bridgeMac } from '../skel/naming.ts';
import type { BridgeConf } from './conf.ts';

/** The bridge, up; made when it is not there. @throws CniError when the name belongs to something else */
export function ensureBridge(socket: RouteSocket, conf: BridgeConf): Link {
  const { bridge: name } = conf;
  const found = linkByName(socket, name);
  // A bridge with our mark whose maker was killed half-way gets its settings from the next attachment.
  if (found?.mac === bridgeMac(name)) settle(name);
  const existing = found ?? make(socket, conf);
  if (existing.kind !== 'bridge') throw new CniError(cniCode.internal, `${JSON.stringify(name)} already exists but is not a bridge`);
  const changes = [
    ...(existing.up ? [] : [setUp(existing.index, name)]),
    ...(conf.promiscuous && !existing.promiscuous ? [setPromiscuous(existing.index, true)] : []),
  ];
  if (changes.length > 0) socket.request(changes);
  return existing;
}

function make(socket: RouteSocket, { bridge: name, mtu }: BridgeConf): Link {
  try {
    socket.request([createBridge(name, { mtu, mac: bridgeMac(name) })]);
    settle(name);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error; // another attachment was faster
  }
  const link = linkByName(socket, name);
  if (link === undefined) throw new CniError(cniCode.tryAgain, `bridge ${name} vanished right after it was made`);
  return link;
}

/** Router advertisements of pods are not for the host; and while its own link-local address is being checked it would not answer pods. */
function settle(name: string): void {
  setIfPresent(`net/ipv6/conf/${name}/accept_ra`, '0');
  setIfPresent(`net/ipv6/conf/${name}/accept_dad`, '0');
}

/** Gives the bridge `address`. Another IPv4 address, or an overlapping IPv6 one, is somebody's decision: only `force` overrides it. */
export function ensureBridgeAddress(socket: RouteSocket, bridge: Link, address: Cidr, force: boolean): void {
  const present = listAddresses(socket, bridge.index, address.ip.family);
  if (present.some((have) => cidrText(have) === cidrText(address))) return;
  const inTheWay = present.filter((have) => (address.ip.family === 4 ? true : overlaps(have, address)));
  if (inTheWay.length > 0 && !force) {
    throw new CniError(
      cniCode.internal,
      `${JSON.stringify(bridge.name)} already has an IP address different from ${cidrText(address)}`,
      inTheWay.map(cidrText).join(', '),
    );
  }
  for (const have of inTheWay) {
    try {
      socket.request([deleteAddress(bridge.index, have)]);
    } catch (error) {
      if (!isErrno(error, 'EADDRNOTAVAIL')) throw error; // with a primary address its secondaries go too
    }
  }
  try {
    socket.request([addAddress(bridge.index, address)]);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error; // another attachment was faster
  }
}

/**
 * Removes the bridge when rkt made it and every port left is one of `dying`. `detached`: nobody waits for the kernel; what
 * the caller's lock protects stays locked until it is done, and the next gc sees whether it was.
 */
export function removeBridgeIfUnused(socket: RouteSocket, name: string, isDying: (port: Link) => boolean, detached: boolean): void {
  const bridge = linkByName(socket, name);
  if (bridge === undefined || bridge.kind !== 'bridge' || bridge.mac !== bridgeMac(name)) return;
  if (!listLinks(socket, bridge.index).every(isDying)) return;
  if (detached) socket.requestDetached(deleteLink(bridge.index, name));
  else deleteIfThere(socket, bridge);
}
