/**
 * `rkt net`: the table of contents for everything that is about networks and not about running a pod. Every line of work is
 * in a room of its own.
 */
import { planServices } from './compose/cni.ts';
import type { NetOptions } from './model/options.ts';
import type { NetPlan } from './model/plan.ts';
import type { Settings } from './model/settings.ts';
import { planPodNetwork } from './net/plan-pod.ts';

export { listNetworks } from './net/plan-pod.ts';
export { renderPlan } from './net/plan/render.ts';
export { inspectNetwork, type InspectedNetwork } from './compose/inspect.ts';
export { collectNetworks, type CollectedNetwork } from './compose/network-gc.ts';
export { checkPod, explainPod, type CheckedPod, type ExplainedAttachment, type ExplainedPod } from './compose/pod-network.ts';
export { networkStatus, type NetworkReadiness } from './compose/status.ts';
export { elementText } from './model/ruleset/text.ts';
export { toolAdd, toolCheck, toolDel, toolGc } from './compose/tool.ts';

/** What `run` would do to the network. Touches nothing, needs no root. */
export const planNetwork = (settings: Settings, options: NetOptions): NetPlan => planPodNetwork(settings, options, [], planServices(settings, false));
