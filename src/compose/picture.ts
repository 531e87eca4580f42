/** This machine's pods and networks as they are now, for a diagram. Changes nothing. */
import { hostname } from 'node:os';
import { heldAttachments, type LiveAttachment } from '../effects/attachments.ts';
import { readJournal } from '../effects/journal.ts';
import { readText } from '../host/files.ts';
import { linkByName, listAddresses } from '../host/netlink/rtnetlink.ts';
import { RouteSocket } from '../host/netlink/socket.ts';
import { netnsExists, withNetns } from '../host/netns.ts';
import { readSysctl } from '../host/sysctl.ts';
import { cidrText } from '../model/cidr.ts';
import { isErrno } from '../model/errors.ts';
import type { NetPlan } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import { readCache, toolAttachments } from '../net/cni/cache.ts';
import type { AttachmentFacts, DiagramFacts, PodFacts } from '../net/diagram/facts.ts';
import { readHostRoutes } from '../net/facts/routes.ts';
import { confFromText, ownSource, withArguments } from '../net/lists.ts';
import { toolSource } from '../net/tool.ts';
import { podInfo } from '../state/pod/info.ts';
import { podFiles } from '../state/pod/layout.ts';
import { hasEnded, listPods, nameOf, type PodEntry } from '../state/pod/lifecycle.ts';
import { cacheDir, planServices } from './cni.ts';
import { attemptToResolve, withoutPlugins } from './inspect.ts';
import { lookAtAttachment } from './repair.ts';

export function readDiagramFacts(settings: Settings): DiagramFacts {
  const pods = [...listPods(settings.dataDir, ['run', 'exited-garbage']).flatMap(podFacts), ...namespaceFacts(settings)];
  const routes = readHostRoutes();
  const uplinks = [...new Set(routes.flatMap(({ kind, destination, device }) => (kind === 'route' && destination.endsWith('/0') ? [device] : [])))];
  const bridges = [...new Set(pods.flatMap(({ attachments }) => attachments.flatMap(({ network }) => network.expects.bridge ?? [])))];
  return {
    hostName: hostname(),
    uplinks: uplinks.map((name) => ({
      name,
      addresses: routes.flatMap(({ kind, device, destination }) => (kind === 'address' && device === name ? [destination] : [])),
    })),
    forwarding: { ipv4: isOn('net/ipv4/ip_forward'), ipv6: isOn('net/ipv6/conf/all/forwarding') },
    bridges: bridges.flatMap((name) => {
      using socket = new RouteSocket();
      const link = linkByName(socket, name);
      return link === undefined ? [] : [{ name, up: link.up, addresses: addressesOf(socket, link.index) }];
    }),
    pods,
  };
}

function isOn(key: string): boolean {
  try {
    return readSysctl(key) !== '0';
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Those that people gave: what an IPv6 link gives itself says nothing. */
const addressesOf = (socket: RouteSocket, index: number): string[] =>
  ([4, 6] as const)
    .flatMap((family) => listAddresses(socket, index, family))
    .map(cidrText)
    .filter((text) => !/^fe[89ab]/.test(text));

/** A pod that runs, or still holds a network; else none. */
function podFacts(pod: PodEntry): PodFacts[] {
  const files = podFiles(pod.dir);
  const isRunning = pod.state === 'running';
  const attachments = heldAttachments(readJournal(files.journal), hasEnded(pod), netnsExists);
  if (!isRunning && attachments.length === 0) return [];
  const plan = readText(files.netPlan);
  return [
    {
      id: pod.id,
      name: nameOf(pod.dir),
      apps: podInfo(pod).manifest?.apps.map(({ name }) => name) ?? [],
      isRunning,
      mode: plan === undefined ? 'contained' : (JSON.parse(plan) as NetPlan).mode,
      attachments: attachments.map((attachment) => attachmentFacts(attachment, isRunning)),
    },
  ];
}

/** Namespaces that `net add` attached. */
function namespaceFacts(settings: Settings): PodFacts[] {
  const found = new Map<string, { readonly netns: string; readonly attachments: AttachmentFacts[] }>();
  for (const cached of toolAttachments(cacheDir)) {
    const { containerId, netns, config = '', path } = cached;
    const conf = confFromText(config, cached.network, path);
    if (conf === undefined) continue;
    const source = toolSource(process.env, ownSource(settings), cached.network);
    const network = withArguments(attemptToResolve(conf, source, planServices(settings, false)).network ?? withoutPlugins(conf), cached);
    const result = readCache(cacheDir, network, { containerId, netns });
    const there = found.get(containerId) ?? { netns, attachments: [] };
    found.set(containerId, there);
    const step = { kind: 'network.attach', network, containerId, netns, names: [] } as const;
    there.attachments.push(attachmentFacts({ n: 0, step, result }, netnsExists(netns)));
  }
  return [...found].map(([id, { netns, attachments }]) => ({
    id,
    name: undefined,
    apps: [],
    netns,
    isRunning: netnsExists(netns),
    mode: 'contained',
    attachments,
  }));
}

function attachmentFacts(attachment: LiveAttachment, isRunning: boolean): AttachmentFacts {
  const { step, result } = attachment;
  const { missing, failures } = isRunning ? lookAtAttachment(attachment) : { missing: [], failures: [] };
  return { network: step.network, result, addresses: isRunning ? addressesInside(step.netns, step.network.ifName) : undefined, missing, failures };
}

function addressesInside(netns: string, ifName: string): string[] | undefined {
  if (!netnsExists(netns)) return undefined;
  return withNetns(netns, () => {
    using socket = new RouteSocket();
    const link = linkByName(socket, ifName);
    return link === undefined ? undefined : addressesOf(socket, link.index);
  });
}
