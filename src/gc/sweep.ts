/** Does what mark decided: moves pods, undoes their journals, deletes their directories. */
import { existsSync, rmSync, statSync } from 'node:fs';
import { abandonAll, undoAll, type Kept } from '../effects/execute.ts';
import { Journal, journalDamage } from '../effects/journal.ts';
import type { Actions, Step } from '../effects/steps.ts';
import { tryLock } from '../host/flock.ts';
import { removeTree } from '../host/remove-tree.ts';
import { discardTree, emptyTrash } from '../host/trash.ts';
import { RuntimeError, isCode, isErrno, messageOf } from '../model/errors.ts';
import { holdPod, listPods, move, type HeldPod, type PodEntry } from '../state/pod/lifecycle.ts';
import { phasePath, podFiles, trashPath } from '../state/pod/layout.ts';
import { sweepChanges } from './changes.ts';
import { markPods, type GcPolicy } from './mark.ts';

/** What happened to one pod; failures also of a network. */
export type SweepEvent =
  | { readonly kind: 'marked'; readonly id: string }
  | { readonly kind: 'deleted'; readonly id: string }
  | { readonly kind: 'waiting'; readonly id: string; readonly graceMs: number }
  /** removed by force: what could not be undone, and what of it can be seen */
  | { readonly kind: 'abandoned'; readonly id: string; readonly reasons: readonly string[]; readonly left: readonly string[] }
  /** `pod`: its UUID, when it is kept for another try */
  | { readonly kind: 'failed'; readonly what: string; readonly reasons: readonly string[]; readonly pod?: string };

export interface SweepServices {
  readonly dataDir: string;
  /** how the steps of the pod in `podDir` are undone; `podStays`: it runs, and goes on */
  actionsOf(podDir: string, podStays?: boolean): Actions;
  /** what the run of the pod in `podDir` may have done, when its journal cannot be read; `unknown`: what it may have done besides */
  stepsOf(podDir: string, id: string): { readonly steps: readonly Step[]; readonly unknown: readonly string[] };
  /** what there is of a step that could not be undone, for people */
  leftOf(step: Step): readonly string[];
  readonly boot: string;
  readonly nowMs: number;
  /** 0, or the signal that asked us to stop: no other pod is begun */
  interrupted(): number;
  report(event: SweepEvent): void;
}

/** One gc over every pod. Pods somebody holds are skipped in silence: they are alive, or another gc has them. */
export function sweepPods(services: SweepServices, policy: GcPolicy): void {
  const entries = new Map(listPods(services.dataDir).map((entry) => [entry.id as string, entry]));
  const facts = [...entries.values()].flatMap((entry) => {
    const since = ctimeMs(entry.dir);
    return since === undefined ? [] : [{ id: entry.id, state: entry.state, sinceMs: Math.max(0, services.nowMs - since) }];
  });
  // A pod in embryo/ is being born as long as somebody holds the nursery.
  const nursery = facts.some((fact) => fact.state === 'embryo') ? tryLock(phasePath(services.dataDir, 'embryo'), 'exclusive') : undefined;
  try {
    for (const verdict of markPods(facts, policy)) {
      if (services.interrupted() !== 0) break;
      const entry = entries.get(verdict.id);
      if (entry === undefined || (entry.state === 'embryo' && nursery === undefined)) continue;
      if (verdict.kind === 'wait') services.report({ kind: 'waiting', id: verdict.id, graceMs: verdict.graceMs });
      else sweepOne(entry, verdict.to, verdict.kind === 'delete', services);
    }
  } finally {
    nursery?.release();
  }
  for (const entry of policy.markOnly || services.interrupted() !== 0 ? [] : entries.values()) sweepRunning(entry, services);
  if (existsSync(trashPath(services.dataDir))) emptyTrash(trashPath(services.dataDir));
}

function sweepRunning(entry: PodEntry, services: SweepServices): void {
  const failed = (reasons: readonly string[]): void => services.report({ kind: 'failed', what: `change of pod "${entry.id}"`, reasons });
  try {
    const kept = sweepChanges(entry, services.boot, services.actionsOf(entry.dir, true));
    if (kept.length > 0) failed(kept.map(explain));
  } catch (error) {
    failed([messageOf(error)]);
  }
}

function sweepOne(entry: PodEntry, to: 'exited-garbage' | 'garbage', remove: boolean, services: SweepServices): void {
  const pod = holdPod(entry);
  if (pod === undefined) return;
  try {
    if (pod.phase !== to) {
      move(pod, services.dataDir, to);
      services.report({ kind: 'marked', id: pod.id });
    }
    if (remove) deletePod(pod, services, false);
  } catch (error) {
    const hint = error instanceof RuntimeError ? error.hint : undefined;
    services.report({ kind: 'failed', what: `pod "${pod.id}"`, reasons: [messageOf(error), ...(hint === undefined ? [] : [hint])], pod: pod.id });
  } finally {
    pod.lock.release();
  }
}

/**
 * Deletes one pod now, whatever its age.
 * @param force - what cannot be undone is reported, recorded as given up, and forgotten
 * @throws ERR_POD_STATE while it is in use; without `force` ERR_UNDO_INCOMPLETE, ERR_JOURNAL_CORRUPT
 */
export function removePod(entry: PodEntry, services: SweepServices, force = false): void {
  const pod = entry.state === 'running' || entry.state === 'preparing' ? undefined : holdPod(entry);
  if (pod === undefined) {
    throw new RuntimeError('ERR_POD_STATE', `pod ${entry.id} is ${entry.state}`, {
      hint: entry.state === 'running' ? `rkt stop ${entry.id.slice(0, 8)} first` : 'somebody else is working on it',
    });
  }
  try {
    const to = pod.phase === 'run' || pod.phase === 'exited-garbage' ? 'exited-garbage' : 'garbage';
    if (pod.phase !== to) move(pod, services.dataDir, to);
    const kept = deletePod(pod, services, force);
    if (kept.length === 0) emptyTrash(trashPath(services.dataDir));
    else
      throw new RuntimeError('ERR_UNDO_INCOMPLETE', `pod ${pod.id} could not be removed whole`, {
        details: kept.map(explain),
        hint: `cure the cause, then rkt gc tries again; rkt rm --force ${pod.id.slice(0, 8)} gives up what cannot be undone`,
      });
  } finally {
    pod.lock.release();
  }
}

const explain = (kept: Kept): string => `${kept.step.kind}: ${kept.error}`;

/** Undoes the journal; the directory goes only when nothing is kept, for it holds what the next try needs. */
function deletePod(pod: HeldPod, services: SweepServices, force: boolean): readonly Kept[] {
  const kept = undoJournal(pod, services, force);
  if (kept.length > 0) {
    services.report({ kind: 'failed', what: `pod "${pod.id}"`, reasons: kept.map(explain), pod: pod.id });
    return kept;
  }
  discardPod(pod.dir, trashPath(services.dataDir));
  services.report({ kind: 'deleted', id: pod.id });
  return [];
}

/** For a pod that is undone. On a disk that is too full for a trash directory it is deleted here and now: gc is what makes room. */
function discardPod(dir: string, trash: string): void {
  try {
    discardTree(dir, trash);
  } catch (error) {
    if (!isErrno(error, 'ENOSPC', 'EDQUOT')) throw error;
    // First, because networks without a journal are damage to the next gc, and this one may be killed half-way.
    rmSync(podFiles(dir).netInfo, { force: true });
    removeTree(dir);
  }
}

/** @returns what keeps the pod: nothing when it goes by force */
function undoJournal(pod: HeldPod, services: SweepServices, force: boolean): Kept[] {
  const unknown = force ? replaceDamaged(pod, services) : [];
  using journal = openJournal(pod, services);
  const actions = services.actionsOf(pod.dir);
  const kept = undoAll(journal, actions);
  if (!force) return kept;
  const left = kept.flatMap(({ step }) => services.leftOf(step));
  abandonAll(kept, journal, actions);
  const reasons = [...kept.map(explain), ...unknown];
  if (reasons.length > 0) services.report({ kind: 'abandoned', id: pod.id, reasons, left });
  return [];
}

/** @throws ERR_JOURNAL_CORRUPT */
function openJournal(pod: HeldPod, services: SweepServices): Journal {
  const files = podFiles(pod.dir);
  const journal = Journal.open(files.journal, services.boot);
  if (journal.entries.length > 0 || !existsSync(files.netInfo)) return journal;
  journal[Symbol.dispose]();
  throw journalDamage(`journal ${files.journal} is empty, but the pod had networks`);
}

/** A journal nobody can read gives way to one of what the pod was planned to do. @returns what is known of neither */
function replaceDamaged(pod: HeldPod, services: SweepServices): readonly string[] {
  try {
    openJournal(pod, services)[Symbol.dispose]();
    return [];
  } catch (error) {
    if (!isCode(error, 'ERR_JOURNAL_CORRUPT')) throw error;
    const { steps, unknown } = services.stepsOf(pod.dir, pod.id);
    Journal.replace(podFiles(pod.dir).journal, services.boot, steps);
    return unknown;
  }
}

function ctimeMs(path: string): number | undefined {
  try {
    return statSync(path).ctimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined; // somebody else removed it
    throw error;
  }
}
