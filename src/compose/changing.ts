/** A running pod, held for a change of its networks, with what an interrupted change left undone first. */
import { attachedNetworks, liveAttachments } from '../effects/attachments.ts';
import { Journal } from '../effects/journal.ts';
import type { Actions } from '../effects/steps.ts';
import { undoInterruptedChanges } from '../gc/changes.ts';
import { bootId } from '../host/clock.ts';
import { readText } from '../host/files.ts';
import { RuntimeError } from '../model/errors.ts';
import type { PodManifest } from '../model/pod.ts';
import type { NetPlan } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import type { ConnectedPod } from '../net/connect.ts';
import { changedResolvConf, generated } from '../stage0/prepare/etc-files.ts';
import { writeNetInfo } from '../stage0/prepare/pod-directory.ts';
import { netnsPath, podNames } from '../stage0/prepare/steps.ts';
import { manifestText } from '../state/pod/info.ts';
import { holdRunningPod } from '../state/pod/changes.ts';
import { podFiles } from '../state/pod/layout.ts';
import { findPod, nameOf, type PodEntry } from '../state/pod/lifecycle.ts';
import { actionsFor } from './actions.ts';
import { cniServices } from './cni.ts';
import { flavorOf } from './flavors.ts';

export interface ChangingPod {
  readonly pod: PodEntry;
  readonly journal: Journal;
  readonly actions: Actions;
  /** as the journal has it now */
  readonly connected: () => ConnectedPod;
  /** what the pod's directory and its apps are told of its networks, from the journal: net-info.json, /etc/resolv.conf. @returns warnings */
  readonly tell: () => readonly string[];
}

const planOf = (path: string): NetPlan => JSON.parse(readText(path) ?? '{"mode":"none","networks":[],"warnings":[]}') as NetPlan;

/** Another change is waited for: an ADD may take its whole deadline. */
const patienceMs = 60_000;

/** Runs `act` on a running pod that nobody else changes meanwhile. @throws ERR_POD_STATE, ERR_UNDO_INCOMPLETE */
export function changePod<T>({ dataDir }: Settings, uuid: string, act: (changing: ChangingPod) => T): T {
  const pod = findPod(dataDir, uuid);
  const files = podFiles(pod.dir);
  using held = holdRunningPod(pod, patienceMs);
  void held;
  using journal = Journal.open(files.journal, bootId());
  const flavor = flavorOf(pod.dir);
  const actions = actionsFor({ dataDir, podDir: pod.dir, cni: cniServices(files.netCalls), flavor, podStays: true });
  const kept = undoInterruptedChanges(pod, journal, actions);
  if (kept.length > 0)
    throw new RuntimeError('ERR_UNDO_INCOMPLETE', `an interrupted change of pod ${pod.id} cannot be undone`, {
      details: kept.map(({ error }) => error),
    });
  return act({
    pod,
    journal,
    actions,
    connected: () => ({
      id: pod.id,
      mode: planOf(files.netPlan).mode,
      netns: netnsPath(pod.id),
      names: podNames(JSON.parse(manifestText(pod)) as PodManifest, nameOf(pod.dir)),
      attachments: liveAttachments(journal.entries),
    }),
    tell: () => {
      const networks = attachedNetworks(journal.entries);
      writeNetInfo(files.netInfo, networks);
      const { text, warnings } = changedResolvConf(planOf(files.netPlan), networks);
      flavor.replaceResolvConf?.(pod.dir, text, generated);
      return warnings;
    },
  });
}
