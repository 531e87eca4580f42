/**
 * A device of the host goes into a pod and comes back. Two names travel with it: its alias is what it was called on the host (as
 * with the reference, so that either finds what the other moved), and one of its other names is the attachment's mark, by which it
 * is found without the namespace: physical devices fall back to the host when their namespace ends, under the pod's name for them.
 * Both are set before the move, so an interrupted one can be told.
 */
import { closeSync, openSync } from 'node:fs';
import { isErrno } from '../../src/host/linux.ts';
import { addAltName, deleteAltName, moveLink, renameLink, setDown } from '../../src/host/netlink/link-moves.ts';
import { linkByIndex, linkByName, listLinks, setAlias, setUp, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { netnsExists, openCurrentNetns, withNetns } from '../../src/host/netns.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { isIfName } from '../../src/model/ids.ts';
import { keyOf } from '../skel/attachment.ts';
import { allOf, nameTaken } from '../skel/interface.ts';
import { deviceMark, networkMark, stagingName } from '../skel/naming.ts';

const isMark = (name: string): boolean => name.startsWith('rkt:');

/** @throws CniError when the pod has the attachment's device already, under whatever name */
export function refuseHeld(req: PluginRequest): void {
  const held = withNetns(req.netns, () => {
    using pod = new RouteSocket();
    return linkByName(pod, deviceMark(keyOf(req)));
  });
  if (held !== undefined)
    throw new CniError(cniCode.internal, `the device of ${req.ifName} is in ${req.netns} already, as ${held.name}: DEL comes first`);
}

/** Moves `device` into the pod as its interface, down. What fails part-way is undone by {@link bringBack}. @throws CniError */
export function moveIn(socket: RouteSocket, req: PluginRequest, device: Link): void {
  const mark = deviceMark(keyOf(req));
  const netnsFd = openSync(req.netns, 'r');
  try {
    try {
      // One after the other: without the mark nobody would take the alias away again.
      socket.request([addAltName(device.index, mark)]);
      socket.request([setDown(device), setAlias(device.index, device.name)]);
      socket.request([moveLink(device, netnsFd, req.ifName)]);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) throw nameTaken(req.netns, req.ifName);
      throw new CniError(cniCode.internal, `failed to move link: ${messageOf(error)}`);
    }
  } finally {
    closeSync(netnsFd);
  }
}

/**
 * The attachment's device is on the host again, under its own name, down: out of the pod, or from where it fell back to.
 * Fine when there is none. `foreign`: also one that another implementation moved in, known by its alias alone.
 * @throws CniError when its name is taken on the host: it stays where it is, and the next try can succeed
 */
export function bringBack(req: PluginRequest, options: { readonly foreign: boolean }): void {
  const mark = deviceMark(keyOf(req));
  using host = new RouteSocket();
  if (req.netns !== '' && netnsExists(req.netns)) {
    const hostFd = openCurrentNetns();
    try {
      withNetns(req.netns, () => {
        using pod = new RouteSocket();
        const inside = linkByName(pod, mark) ?? (options.foreign ? movedByAnother(pod, req.ifName) : undefined);
        if (inside === undefined) return;
        const home = moveOut(pod, host, inside, hostFd, req);
        const arrived = linkByName(host, mark) ?? linkByName(host, home);
        if (arrived !== undefined) settle(host, arrived);
      });
    } finally {
      closeSync(hostFd);
    }
  }
  const fallen = linkByName(host, mark);
  if (fallen !== undefined) settle(host, fallen);
}

/** A device that the reference moved: its alias is a name and it has no mark of ours. Links of our other plugins have an alias with a slash. */
function movedByAnother(pod: RouteSocket, ifName: string): Link | undefined {
  const link = linkByName(pod, ifName);
  return link !== undefined && isIfName(link.alias) && !link.altNames.some(isMark) ? link : undefined;
}

/** Returns the name it has on the host, unless that was taken in this very moment. */
function moveOut(pod: RouteSocket, host: RouteSocket, inside: Link, hostFd: number, req: PluginRequest): string {
  const home = isIfName(inside.alias) ? inside.alias : inside.name;
  const taken = linkByName(pod, home);
  // Under its own name before it goes, so that a host that has that name refuses it as a whole and it stays with the pod.
  const first = taken === undefined || taken.index === inside.index ? home : stagingName(keyOf(req));
  if (first !== home && linkByName(host, home) !== undefined) throw nameTakenOnHost(home, staysWithPod);
  pod.request([setDown(inside)]);
  if (first !== inside.name) pod.request([renameLink(inside, first)]);
  try {
    pod.request([moveLink({ ...inside, name: first }, hostFd, home)]);
  } catch (error) {
    if (linkByIndex(pod, inside.index) !== undefined)
      allOf([
        () => first !== inside.name && pod.request([renameLink({ ...inside, name: first }, inside.name)]),
        () => inside.up && pod.request([setUp(inside.index, inside.name)]),
      ]);
    throw isErrno(error, 'EEXIST') ? nameTakenOnHost(home, staysWithPod) : new CniError(cniCode.internal, `failed to move link: ${messageOf(error)}`);
  }
  return home;
}
const nameTakenOnHost = (home: string, now: string): CniError =>
  new CniError(cniCode.internal, `failed to move link: the host has another interface ${home}`, now);
const staysWithPod = 'the device stays with the pod';

/** On the host: its own name back, and nothing that speaks of a pod. */
function settle(host: RouteSocket, device: Link): void {
  const home = device.alias;
  if (isIfName(home) && home !== device.name) {
    try {
      host.request([setDown(device), renameLink(device, home)]);
    } catch (error) {
      throw isErrno(error, 'EEXIST') ? nameTakenOnHost(home, `the device is ${device.name} there`) : new CniError(cniCode.internal, messageOf(error));
    }
  }
  host.request([setAlias(device.index, ''), ...device.altNames.filter(isMark).map((mark) => deleteAltName(device.index, mark))]);
}

/** GC: devices of attachments of `network` that fell back to the host get their names again, but for those in `valid`. */
export function settleStale(network: string, valid: ReadonlySet<string>): void {
  using host = new RouteSocket();
  const prefix = networkMark(network);
  allOf(
    listLinks(host)
      .filter(({ altNames }) => {
        const marks = altNames.filter(isMark);
        return marks.some((mark) => mark.startsWith(prefix)) && !marks.some((mark) => valid.has(mark));
      })
      .map((device) => () => settle(host, device)),
  );
}

/** A device called `name` that fell back from a pod nobody has cleaned up after, under its own name again. */
export function settleFallen(host: RouteSocket, name: string): void {
  const fallen = listLinks(host).find(({ alias, altNames }) => alias === name && altNames.some(isMark));
  if (fallen !== undefined) settle(host, fallen);
}
