/**
 * Network policies on running pods: what is on disk → rules in the kernel. Whoever changes the one changes the other, under one lock;
 * the rules are computed anew and put in place whole, so that a kill at any point is made good by the next change, or by gc.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LiveAttachment } from '../effects/attachments.ts';
import { readCounters, replaceTables } from '../host/nftables/policies.ts';
import { linkByName, listAddresses, listLinks, setBridgePort } from '../host/netlink/rtnetlink.ts';
import { noProxyNeighbour, proxyNeighbour } from '../host/netlink/neighbours.ts';
import { RouteSocket } from '../host/netlink/socket.ts';
import { readText } from '../host/files.ts';
import { readSysctl, writeSysctl } from '../host/sysctl.ts';
import { parseIp, type Ip } from '../model/cidr.ts';
import { isErrno } from '../model/errors.ts';
import type { MemberInterface, PolicedPod, PolicyMember } from '../model/policy-member.ts';
import type { ReleaseOp } from '../model/release.ts';
import { bounded } from '../model/ruleset.ts';
import { policySetFrom } from '../policy/model/json.ts';
import type { World } from '../policy/model/experiment.ts';
import { runningTables } from '../policy/running/tables.ts';
import { runningWorld, setsInForce } from '../policy/running/world.ts';
import {
  appliedTexts,
  changedBridges,
  forgetChangedBridge,
  isPoliced,
  lockPolicies,
  policedPods,
  removePolicedPod,
  writeChangedBridge,
  writePolicedPod,
} from '../state/policy/store.ts';

declare const __DIST__: string;

/** One data directory, one pair of tables: several rkt may share a host. */
const tableOf = (dataDir: string): { readonly name: string; readonly comment: string } => ({
  name: bounded(`rkt-policy${dataDir.replaceAll(/[^A-Za-z0-9]+/g, '-')}`.replace(/-+$/, '')),
  comment: bounded(`rkt network policies of ${dataDir}`),
});

/** The pods and policies of a data directory as they are now, with the rules' counters. */
export function policyState(dataDir: string): { pods: PolicedPod[]; world: World; counters: ReturnType<typeof readCounters> } {
  const pods = policedPods(dataDir);
  return { pods, world: worldOf(dataDir, pods), counters: pods.length === 0 ? [] : readCounters(tableOf(dataDir).name) };
}

const worldOf = (dataDir: string, pods: readonly PolicedPod[]): World =>
  runningWorld(
    pods,
    setsInForce(
      appliedTexts(dataDir).map(({ text }) => policySetFrom(text)),
      pods.map(({ brought }) => policySetFrom(brought)),
    ),
    host(),
  );

function host(): { name: string; ips: Ip[] } {
  using socket = new RouteSocket();
  const ips = listLinks(socket).flatMap(({ index }) =>
    ([4, 6] as const).flatMap((family) => listAddresses(socket, index, family).map(({ ip }) => ip)),
  );
  return { name: (readText('/proc/sys/kernel/hostname') ?? '').trim(), ips };
}

/** Where the attachments come out on the host. The first of them is the cluster's own network. */
function interfacesOf(attachments: readonly LiveAttachment[]): MemberInterface[] {
  using socket = new RouteSocket();
  return attachments.flatMap(({ step: { network }, result }, index): MemberInterface[] => {
    if (result === undefined) return [];
    const own = (result.ips ?? []).filter((ip) => ip.interface === undefined || result.interfaces?.[ip.interface]?.name === network.ifName);
    const type = network.plugins[0]?.type;
    const links = (result.interfaces ?? []).flatMap(({ name, sandbox }) => ((sandbox ?? '') === '' ? (linkByName(socket, name) ?? []) : []));
    const bridge = links.find(({ kind }) => kind === 'bridge');
    const hostEnd = links.find(({ kind }) => kind !== 'bridge');
    return [
      {
        ifName: network.ifName,
        network: index === 0 ? '' : network.name,
        ips: own.map(({ address }) => address.split('/')[0] ?? ''),
        ...((type === 'bridge' || type === 'ptp') && hostEnd !== undefined ? { hostLink: hostEnd.name } : {}),
        ...(type === 'bridge' && bridge !== undefined ? { bridge: bridge.name } : {}),
      },
    ];
  });
}

/** The pod is subject and peer from now on. Idempotent. */
export function joinPolicies(dataDir: string, id: string, member: PolicyMember, attachments: readonly LiveAttachment[]): void {
  using held = lockPolicies(dataDir);
  void held;
  const interfaces = interfacesOf(attachments);
  const addresses = new Set(interfaces.flatMap(({ ips }) => ips));
  const others = policedPods(dataDir).filter((pod) => pod.id !== id);
  // An address is given to one pod at a time: who else is known by it has ended without a word.
  for (const pod of others) if (pod.interfaces.some(({ ips }) => ips.some((ip) => addresses.has(ip)))) removePolicedPod(dataDir, pod.id);
  const ordinal = Math.max(0, ...others.map((pod) => pod.ordinal)) + 1;
  writePolicedPod(dataDir, { ...member, id, ordinal, interfaces });
  enforce(dataDir);
}

/** The pod is neither any more. Idempotent; with the last one the rules go. */
export function leavePolicies(dataDir: string, id: string): void {
  if (!isPoliced(dataDir, id) && policedPods(dataDir).length > 0) return;
  using held = lockPolicies(dataDir);
  void held;
  const pods = policedPods(dataDir);
  const pod = pods.find((one) => one.id === id);
  enforce(
    dataDir,
    pods.filter((one) => one !== pod),
  );
  if (pod !== undefined) forgetAddresses(pod);
  // Last: who is killed before it is asked again.
  removePolicedPod(dataDir, id);
}

/** Puts right what a kill, or somebody else, left otherwise. Nothing where no pod takes part. */
export function settlePolicies(dataDir: string): void {
  if (policedPods(dataDir).length === 0) return;
  using held = lockPolicies(dataDir);
  void held;
  enforce(dataDir);
}

/** A running pod leaves one of its networks. */
export function leaveNetworkOfPolicies(dataDir: string, id: string, ifName: string): void {
  if (!isPoliced(dataDir, id)) return;
  using held = lockPolicies(dataDir);
  void held;
  const pod = policedPods(dataDir).find((one) => one.id === id);
  if (pod === undefined) return;
  writePolicedPod(dataDir, { ...pod, interfaces: pod.interfaces.filter((one) => one.ifName !== ifName) });
  enforce(dataDir);
}

/** Runs `change` on what is applied, then makes the rules follow. */
export function changePolicies(dataDir: string, change: () => void): void {
  using held = lockPolicies(dataDir);
  void held;
  change();
  enforce(dataDir);
}

/** For the supervisor: a Node of its own, since what the rules will be then nobody knows yet. */
export const policyRelease = (dataDir: string, id: string): ReleaseOp => ({
  op: 'run',
  path: join(__DIST__, 'policy/leave'),
  env: {},
  stdin: JSON.stringify({ dataDir, id }),
  timeoutMs: 30_000,
});

/** Makes the kernel what the files say. Call with the lock. */
function enforce(dataDir: string, pods: readonly PolicedPod[] = policedPods(dataDir)): void {
  const table = tableOf(dataDir);
  if (pods.length === 0) replaceTables(table.name, []);
  else replaceTables(table.name, runningTables(worldOf(dataDir, pods), pods, table, readCounters(table.name)).tables);
  settleBridges(dataDir, pods);
}

/** Answers ARP for pods that cannot hear each other, at once (proxy_delay), and IPv6 by {@link proxyNeighbour}. */
const bridgeSettings = (bridge: string): Readonly<Record<string, string>> => ({
  [`net/ipv4/conf/${bridge}/proxy_arp_pvlan`]: '1',
  [`net/ipv4/neigh/${bridge}/proxy_delay`]: '0',
  [`net/ipv6/conf/${bridge}/proxy_ndp`]: '1',
  [`net/ipv6/neigh/${bridge}/proxy_delay`]: '0',
});

function settleBridges(dataDir: string, pods: readonly PolicedPod[]): void {
  const ports = pods.flatMap(({ interfaces }) => interfaces.filter(({ bridge }) => bridge !== undefined));
  const used = new Set(ports.flatMap(({ bridge }) => bridge ?? []));
  using socket = new RouteSocket();
  const known = new Map(changedBridges(dataDir).map((bridge) => [bridge.name, bridge]));
  for (const name of used) {
    if (known.has(name)) continue;
    const wanted = Object.keys(bridgeSettings(name)).filter((key) => existsSync(`/proc/sys/${key}`));
    writeChangedBridge(dataDir, { name, before: Object.fromEntries(wanted.map((key) => [key, readSysctl(key)])) });
  }
  for (const name of used) for (const [key, value] of Object.entries(bridgeSettings(name))) whereThere(() => writeSysctl(key, value));
  for (const { hostLink, bridge, ips } of ports) {
    const [port, link] = [linkByName(socket, hostLink ?? ''), linkByName(socket, bridge ?? '')];
    // A pod that ended meanwhile has none, and its turn to leave comes.
    if (port === undefined || link === undefined) continue;
    socket.request([{ ...setBridgePort(port.index, { isolated: true }), mayFail: ['ENODEV', 'EINVAL', 'EOPNOTSUPP'] }]);
    socket.request(sixes(ips).map((ip) => proxyNeighbour(link.index, ip)));
  }
  for (const { name, before } of known.values()) {
    if (used.has(name)) continue;
    for (const [key, value] of Object.entries(before)) whereThere(() => writeSysctl(key, value));
    forgetChangedBridge(dataDir, name);
  }
}
const sixes = (ips: readonly string[]): Ip[] => ips.flatMap((text) => parseIp(text) ?? []).filter(({ family }) => family === 6);

/** The host answers for the addresses of a pod no longer. */
function forgetAddresses(pod: PolicedPod): void {
  using socket = new RouteSocket();
  for (const { bridge, ips } of pod.interfaces) {
    const link = bridge === undefined ? undefined : linkByName(socket, bridge);
    if (link !== undefined) socket.request(sixes(ips).map((ip) => noProxyNeighbour(link.index, ip)));
  }
}

/** A bridge may go at any time, and its settings with it. */
function whereThere(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
