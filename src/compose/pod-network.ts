/** What a pod's journal promises of its networks, and what there is: for CHECK and for explanations. */
import { liveAttachments, type LiveAttachment } from '../effects/attachments.ts';
import { readJournal } from '../effects/journal.ts';
import { readText } from '../host/files.ts';
import { attachmentText } from '../model/ruleset.ts';
import { isRuntimeError } from '../model/errors.ts';
import type { PodState } from '../model/pod.ts';
import type { NetMode, NetPlan, PlannedNetwork } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import { cachedAttachments } from '../net/cni/cache.ts';
import { CniPluginError } from '../net/cni/errors.ts';
import { checkList, checkObstacle } from '../net/cni/list.ts';
import { expectedRules } from '../net/cni/rules.ts';
import type { CniCall } from '../net/cni/services.ts';
import { type Attached, compareAttachment, type Difference, differenceText } from '../net/observe/compare.ts';
import { diagnose, failedCalls, type Finding } from '../net/observe/diagnose.ts';
import { readAttachment } from '../net/observe/read.ts';
import type { AttachmentState } from '../net/observe/types.ts';
import { podFiles } from '../state/pod/layout.ts';
import { requireRunning } from '../state/pod/info.ts';
import { findPod, nameOf, type PodEntry } from '../state/pod/lifecycle.ts';
import { lockNetwork } from '../state/network/record.ts';
import { cacheDir, cniServices, readCalls } from './cni.ts';

/** An attachment of the journal with what its plugins made; `result` undefined: ADD never finished. */
const attachedOf = ({ step: { network, containerId, netns, names = [] }, result }: LiveAttachment) => ({
  network,
  containerId,
  netns,
  names,
  result,
});

function look(attached: Attached, services: ReturnType<typeof cniServices>): AttachmentState {
  const { network, containerId } = attached;
  const cached = cachedAttachments(cacheDir, network.name).find((item) => item.containerId === containerId && item.ifName === network.ifName);
  return readAttachment(attached, expectedRules(network, attached, attached.result, services), cached?.path);
}

/** One attachment as `rkt net check` reports it. */
export interface CheckedAttachment {
  readonly network: string;
  readonly ifName: string;
  readonly cniVersion: string;
  /** types in the order of the list */
  readonly plugins: readonly string[];
  /** of the verb CHECK */
  readonly check:
    | 'passed'
    | 'failed'
    | 'not sent: the list says disableCheck'
    | 'not sent: its CNI version has no CHECK'
    | 'not sent: ADD never finished';
  readonly failure?: string;
  readonly code?: number;
  readonly differences: readonly (Difference & { readonly text: string })[];
}
export interface CheckedPod {
  readonly pod: string;
  readonly state: PodState;
  readonly attachments: readonly CheckedAttachment[];
  readonly passed: boolean;
}

/** CHECK of every attachment of a running pod, and a comparison of our own. @throws ERR_POD_STATE, ERR_POD_NOT_FOUND, ERR_POD_AMBIGUOUS, ERR_JOURNAL_CORRUPT */
export function checkPod({ dataDir }: Settings, uuid: string): CheckedPod {
  const pod = findPod(dataDir, uuid);
  requireRunning(pod);
  const services = cniServices(podFiles(pod.dir).netCalls);
  const attachments = liveAttachments(readJournal(podFiles(pod.dir).journal))
    .map(attachedOf)
    .map((item): CheckedAttachment => {
      const { network, result } = item;
      const about = {
        network: network.name,
        ifName: network.ifName,
        cniVersion: network.cniVersion,
        plugins: network.plugins.map(({ type }) => type),
      };
      if (result === undefined) return { ...about, check: 'not sent: ADD never finished', differences: [] };
      const attached = { ...item, result };
      using held = lockNetwork(dataDir, network.name);
      void held;
      return {
        ...about,
        ...verb(attached, services),
        differences: compareAttachment(attached, look(attached, services)).map((difference) => ({ ...difference, text: differenceText(difference) })),
      };
    });
  const passed = attachments.every(
    ({ check, differences }) => check !== 'failed' && check !== 'not sent: ADD never finished' && differences.length === 0,
  );
  return { pod: pod.id, state: pod.state, attachments, passed };
}

function verb(attached: Attached, services: ReturnType<typeof cniServices>): Pick<CheckedAttachment, 'check' | 'failure' | 'code'> {
  const obstacle = checkObstacle(attached.network);
  if (obstacle === 'disabled') return { check: 'not sent: the list says disableCheck' };
  if (obstacle === 'version') return { check: 'not sent: its CNI version has no CHECK' };
  try {
    checkList(attached.network, attached, services, attached.result);
    return { check: 'passed' };
  } catch (error) {
    if (!isRuntimeError(error)) throw error;
    const code = error instanceof CniPluginError ? error.cniCode : undefined;
    return { check: 'failed', failure: error.message, ...(code === undefined ? {} : { code }) };
  }
}

/** One attachment as `rkt net explain` shows it. */
export interface ExplainedAttachment {
  readonly network: PlannedNetwork;
  readonly key: string;
  readonly netns: string;
  readonly result: Attached['result'] | undefined;
  readonly state: AttachmentState | undefined;
}
export interface ExplainedPod {
  readonly pod: string;
  readonly name?: string;
  readonly state: PodState;
  readonly mode: NetMode;
  readonly attachments: readonly ExplainedAttachment[];
  readonly calls: readonly CniCall[];
  readonly findings: readonly (Finding & { readonly on: string })[];
}

/** Everything about a pod's networks. Changes nothing. @throws ERR_POD_NOT_FOUND, ERR_POD_AMBIGUOUS, ERR_JOURNAL_CORRUPT */
export function explainPod({ dataDir }: Settings, uuid: string): ExplainedPod {
  const pod = findPod(dataDir, uuid);
  const files = podFiles(pod.dir);
  const services = cniServices(undefined);
  const calls = readCalls(files.netCalls);
  const findings: (Finding & { on: string })[] = [];
  const attachments = liveAttachments(readJournal(files.journal))
    .map(attachedOf)
    .map((item): ExplainedAttachment => {
      const { network, containerId, netns, result } = item;
      const key = attachmentText({ network: network.name, containerId, ifName: network.ifName });
      const on = `${network.ifName} (network "${network.name}")`;
      const attached = result === undefined ? undefined : { ...item, result };
      const state = attached === undefined ? undefined : look(attached, services);
      if (attached === undefined || state === undefined)
        findings.push({ on, what: 'ADD began and never finished', effect: 'the pod did not start', cure: 'rkt rm undoes what there is of it' });
      else if (pod.state === 'running') findings.push(...diagnose(attached, state).map((finding) => ({ on, ...finding })));
      return { network, key, netns, result, state };
    });
  findings.push(...failedCalls(calls).map((finding) => ({ on: 'plugins', ...finding })));
  if (pod.state !== 'running') findings.unshift(notRunning(pod));
  const name = nameOf(pod.dir);
  return {
    pod: pod.id,
    ...(name === undefined ? {} : { name }),
    state: pod.state,
    mode: modeOf(files.netPlan),
    attachments,
    calls,
    findings: merged(findings),
  };
}

/** What is wrong for several attachments alike is said once. */
function merged(findings: readonly (Finding & { on: string })[]): (Finding & { on: string })[] {
  const byText = new Map<string, Finding & { on: string }>();
  for (const finding of findings) {
    const known = byText.get(finding.what);
    byText.set(finding.what, known === undefined ? finding : { ...known, on: `${known.on}, ${finding.on}` });
  }
  return [...byText.values()];
}

const notRunning = ({ id, state }: PodEntry): Finding & { on: string } => ({
  on: 'the pod',
  what: `the pod is ${state}`,
  effect: 'nobody in it answers; its addresses and ports are free since its exit (with --net-release=gc, or killed: since it was removed)',
  cure: `rkt rm ${id.slice(0, 8)}, and run it again`,
});

function modeOf(path: string): NetMode {
  const text = readText(path);
  return text === undefined ? 'none' : (JSON.parse(text) as NetPlan).mode;
}
