/** Running pods: a change of their networks that was killed half-way is undone, the rest of the pod is left alone. */
import { existsSync } from 'node:fs';
import { attachedNetworks, isInterruptedChange } from '../effects/attachments.ts';
import { undoAll, type Kept } from '../effects/execute.ts';
import { Journal } from '../effects/journal.ts';
import type { Actions } from '../effects/steps.ts';
import { readText, writeAtomic } from '../host/files.ts';
import { isCode } from '../model/errors.ts';
import { holdRunningPod } from '../state/pod/changes.ts';
import { podFiles } from '../state/pod/layout.ts';
import type { PodEntry } from '../state/pod/lifecycle.ts';

/** Call with the pod held for changes. Also brings net-info.json up to date, which is written last. @returns what could not be undone */
export function undoInterruptedChanges(pod: PodEntry, journal: Journal, actions: Actions): Kept[] {
  const kept = undoAll(journal, actions, isInterruptedChange);
  const { netInfo } = podFiles(pod.dir);
  const text = JSON.stringify(attachedNetworks(journal.entries));
  if (readText(netInfo) !== text) writeAtomic(netInfo, text);
  return kept;
}

/** The same for gc: a pod that somebody is changing, or that has just ended, is none of its business. @throws ERR_JOURNAL_CORRUPT */
export function sweepChanges(pod: PodEntry, boot: string, actions: Actions): Kept[] {
  const files = podFiles(pod.dir);
  if (pod.state !== 'running' || !existsSync(files.changes)) return [];
  try {
    using held = holdRunningPod(pod, 0);
    void held;
    using journal = Journal.open(files.journal, boot);
    return undoInterruptedChanges(pod, journal, actions);
  } catch (error) {
    if (isCode(error, 'ERR_POD_STATE')) return [];
    throw error;
  }
}
