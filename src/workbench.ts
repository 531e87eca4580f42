/**
 * `rkt net`: the table of contents for everything that is about networks and not about running a pod. Every line of work is
 * in a room of its own.
 */
import { capture, type CaptureOptions } from './compose/capture.ts';
import { changePod } from './compose/changing.ts';
import { planServices } from './compose/cni.ts';
import { readDiagramFacts } from './compose/picture.ts';
import { builtinTypes } from './compose/plugin-types.ts';
import { lookAtPod, repairPod, type PodRepair } from './compose/repair.ts';
import { retireServices } from './compose/sweep.ts';
import { attachedNetworks } from './effects/attachments.ts';
import { applySteps, orUndo, undoAll } from './effects/execute.ts';
import { refuseUsedNetworks, retireNetwork } from './gc/networks.ts';
import { SIGNAL, pendingSignal, trapSignals } from './host/linux.ts';
import { RuntimeError, isCode, messageOf } from './model/errors.ts';
import type { NetInfo } from './model/net-info.ts';
import type { AppOptions, NetOptions, RunOptions } from './model/options.ts';
import type { NetPlan } from './model/plan.ts';
import type { Settings } from './model/settings.ts';
import { attachmentTo, planConnection } from './net/connect.ts';
import type { DefinedNetwork } from './net/create/define.ts';
import { createNetworkFile, previewNetwork, removableNetworks } from './net/create/files.ts';
import type { NetworkRequest } from './net/create/request.ts';
import { layOut } from './net/diagram/layout.ts';
import { pictureOf } from './net/diagram/picture.ts';
import { renderSvg } from './net/diagram/svg.ts';
import { renderText } from './net/diagram/text.ts';
import { conform } from './net/conform/conform.ts';
import type { ConformReport, ConformRequest } from './net/conform/types.ts';
import { pluginSearchPath } from './net/facts/plugins.ts';
import { planPodNetwork } from './net/plan-pod.ts';
import { declaredPorts, podManifest, withImages } from './stage0/prepare/manifest.ts';
import { openStore, requireStored } from './state/images/store.ts';
import { supervisorLives } from './state/pod/changes.ts';
import { findPod, listPods, refuseTakenName } from './state/pod/lifecycle.ts';

export { applyPolicies, explainRunning, listPolicies, removePolicy } from './compose/policy-changes.ts';
export { explanationsText } from './policy/decision/explain.ts';
export { listNetworks } from './net/plan-pod.ts';
export { renderPlan } from './net/plan/render.ts';
export { inspectNetwork, type InspectedNetwork } from './compose/inspect.ts';
export { collectNetworks, type CollectedNetwork } from './compose/network-gc.ts';
export { checkPod, explainPod, type CheckedPod, type ExplainedAttachment, type ExplainedPod } from './compose/pod-network.ts';
export { networkStatus, type NetworkReadiness } from './compose/status.ts';
export { failureText, junit } from './net/conform/render.ts';
export { elementText } from './model/ruleset/text.ts';
export { toolAdd, toolCheck, toolDel, toolGc } from './compose/tool.ts';

/** What `run` would do to the network; images, for the names of their ports, must be in the store. Touches nothing, needs no root. */
export function planNetwork(
  settings: Settings,
  options: NetOptions & Partial<Pick<RunOptions, 'podName'>>,
  apps: readonly AppOptions[] = [],
): NetPlan {
  if (options.podName !== undefined) refuseTakenName(settings.dataDir, options.podName);
  const store = openStore(settings.dataDir);
  const images = apps.map(({ reference }) => requireStored(store, reference));
  const ports = apps.length === 0 ? [] : declaredPorts(podManifest(withImages(apps, images)));
  return planPodNetwork(settings, options, ports, planServices(settings, false));
}

/** Makes a configuration file, and nothing else: the first pod makes the bridge. `write` false: nothing is touched. */
export const createNetwork = (settings: Settings, request: NetworkRequest, write: boolean): DefinedNetwork =>
  (write ? createNetworkFile : previewNetwork)(settings, request, builtinTypes);

/** Removes networks with all their pods shared. Nothing is touched unless all of them can go. */
export function removeNetworks(settings: Settings, names: readonly string[], force: boolean, removed: (name: string) => void): void {
  const networks = removableNetworks(settings, names, force);
  const services = retireServices(settings);
  refuseUsedNetworks(settings.dataDir, names, services);
  for (const network of networks) {
    retireNetwork(settings.dataDir, network.conf.name, services, () => network.removeFile());
    removed(network.conf.name);
  }
}

/** Joins a running pod to one more network. @returns what it got there */
export function connectPod(settings: Settings, uuid: string, network: string, warn: (text: string) => void): NetInfo {
  return changePod(settings, uuid, ({ pod, journal, actions, connected, tell }) => {
    const { step, warnings } = planConnection(settings, network, connected(), planServices(settings));
    warnings.forEach(warn);
    const from = journal.entries.length;
    trapSignals(SIGNAL.HUP, SIGNAL.INT, SIGNAL.TERM);
    applySteps([step], actions, journal, pendingSignal, from);
    orUndo(actions, journal, () => tell().forEach(warn), from);
    if (!supervisorLives(pod)) throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} exited meanwhile`, { hint: 'rkt gc removes what it held' });
    const joined = attachedNetworks(journal.entries).at(-1);
    if (joined === undefined) throw new Error(`pod ${pod.id} joined nothing`);
    return joined;
  });
}

/** Takes a running pod off a network: address, links and rules are free again. */
export function disconnectPod(settings: Settings, uuid: string, network: string, warn: (text: string) => void): NetInfo {
  return changePod(settings, uuid, ({ pod, journal, actions, connected, tell }) => {
    const { n, step, result = { cniVersion: '' } } = attachmentTo(connected(), network);
    // Announced, so that a gc after a kill goes on with it.
    journal.kept(n, 'it is being disconnected');
    const kept = undoAll(journal, actions, (entry) => entry.n === n);
    tell().forEach(warn);
    if (kept.length > 0)
      throw new RuntimeError('ERR_UNDO_INCOMPLETE', `pod ${pod.id} could not be taken off network "${step.network.name}" whole`, {
        details: kept.map(({ error }) => error),
        hint: 'cure the cause, then try again; rkt gc does so too',
      });
    return { netName: step.network.name, ifName: step.network.ifName, ip: '', ips: [], result };
  });
}

/** A pod's attachments, put back in place or (`apply` false) only looked at. `uuid` undefined: every running pod. */
export function repairPods(settings: Settings, uuid: string | undefined, apply: boolean): PodRepair[] {
  const pods =
    uuid === undefined ? listPods(settings.dataDir, ['run']).filter(({ state }) => state === 'running') : [findPod(settings.dataDir, uuid)];
  return pods.flatMap(({ id, dir }): PodRepair[] => {
    try {
      return [{ id, attachments: apply ? repairPod(settings, id) : lookAtPod(dir) }];
    } catch (error) {
      if (uuid !== undefined) throw error;
      // One of many: it has ended meanwhile, or is told with the others.
      return isCode(error, 'ERR_POD_STATE') ? [] : [{ id, attachments: [], failure: messageOf(error) }];
    }
  });
}

/** A picture of the pods and their networks as they are now, what is broken marked. */
export function diagram(settings: Settings, format: 'text' | 'svg'): string {
  const scene = layOut(pictureOf(readDiagramFacts(settings)));
  return format === 'svg' ? renderSvg(scene) : renderText(scene);
}

/** Becomes tcpdump in a running pod's network; never returns. */
export const capturePackets = ({ dataDir }: Settings, uuid: string, options: CaptureOptions): never => capture(findPod(dataDir, uuid), options);

/** Holds a plugin to CNI's requirements; this process must end afterwards. CNI_PATH comes before rkt's own search path. */
export const conformPlugin = ({ localConfig }: Settings, cniPath: string, request: Omit<ConformRequest, 'searchPath'>): ConformReport =>
  conform({ ...request, searchPath: [...cniPath.split(':').filter((path) => path !== ''), ...pluginSearchPath(localConfig)] });
