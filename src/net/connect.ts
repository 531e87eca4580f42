/** `net connect`: one more network for a pod that runs. Gather, then decide; touches nothing. */
import type { LiveAttachment } from '../effects/attachments.ts';
import type { StepOf } from '../effects/steps.ts';
import { listLinks } from '../host/netlink/rtnetlink.ts';
import { RouteSocket } from '../host/netlink/socket.ts';
import { netnsExists, withNetns } from '../host/netns.ts';
import { RuntimeError } from '../model/errors.ts';
import { unnamed } from '../model/options.ts';
import type { NetMode, NetPlan } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import { parseNetArgs } from './args.ts';
import { planPodNetwork, type PlanServices } from './plan-pod.ts';

/** A running pod as far as its networks go. */
export interface ConnectedPod {
  readonly id: string;
  readonly mode: NetMode;
  readonly netns: string;
  readonly names: readonly string[];
  readonly attachments: readonly LiveAttachment[];
}

/** @throws ERR_POD_STATE for a pod that has no network namespace of its own, or none that rkt gave it networks in */
function requireContained({ id, mode, netns }: ConnectedPod): void {
  if (mode !== 'contained') throw new RuntimeError('ERR_POD_STATE', `pod ${id} was started with --net=${mode}: it cannot join or leave networks`);
  if (!netnsExists(netns))
    throw new RuntimeError('ERR_POD_STATE', `the network namespace of pod ${id} is gone (${netns})`, {
      hint: 'stop the pod; rkt gc removes what is left',
    });
}

/**
 * The step that joins `pod` to the network `text` names (`NAME[:ARGS]`, as in --net).
 * @throws ERR_NET_ARGS, ERR_NET_ATTACHED, ERR_POD_STATE, and what planning refuses
 */
export function planConnection(
  settings: Settings,
  text: string,
  pod: ConnectedPod,
  services: PlanServices,
): { readonly step: StepOf<'network.attach'>; readonly warnings: readonly string[] } {
  requireContained(pod);
  const request = parseNetArgs([text]);
  const [wanted, ...more] = request.networks;
  if (request.mode !== 'contained' || request.all || wanted === undefined || more.length > 0)
    throw new RuntimeError('ERR_NET_ARGS', `${JSON.stringify(text)} is not one network`, {
      hint: 'forms: NAME, NAME:IP=10.1.2.3, NAME:ip=10.1.2.3,mac=02:00:00:00:00:01',
    });
  const there = pod.attachments.find(({ step }) => step.network.name === wanted.name);
  if (there !== undefined)
    throw new RuntimeError('ERR_NET_ATTACHED', `pod ${pod.id} is on network "${wanted.name}" already (${there.step.network.ifName})`);
  const plan: NetPlan = planPodNetwork(settings, { net: [text], ports: [], netExec: false, ...unnamed }, [], services);
  const [network] = plan.networks;
  if (network === undefined) throw new Error(`network ${wanted.name} was not planned`);
  return {
    step: { kind: 'network.attach', network: { ...network, ifName: freeIfName(pod) }, containerId: pod.id, netns: pod.netns, names: pod.names },
    warnings: plan.warnings,
  };
}

/** The first `ethN` that neither an attachment nor a link in the pod has. */
function freeIfName({ netns, attachments }: ConnectedPod): string {
  const links = withNetns(netns, () => {
    using socket = new RouteSocket();
    return listLinks(socket).map(({ name }) => name);
  });
  const taken = new Set([...links, ...attachments.map(({ step }) => step.network.ifName)]);
  for (let n = 0; ; n++) if (!taken.has(`eth${n}`)) return `eth${n}`;
}

/** The attachment of `pod` that `network` (a name, or an interface in the pod) means. @throws ERR_NET_ATTACHED, ERR_POD_STATE */
export function attachmentTo(pod: ConnectedPod, network: string): LiveAttachment {
  requireContained(pod);
  const found = pod.attachments.find(({ step }) => step.network.name === network || step.network.ifName === network);
  if (found !== undefined) return found;
  throw new RuntimeError('ERR_NET_ATTACHED', `pod ${pod.id} is not on network "${network}"`, {
    details: pod.attachments.map(({ step }) => `it is on "${step.network.name}" (${step.network.ifName})`),
  });
}
