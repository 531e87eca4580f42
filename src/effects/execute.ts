/**
 * Does steps and undoes them: the one way up and the one way down. A failed run, gc, rm and recovery after a
 * crash all end in {@link undoAll}.
 */
import { RuntimeError, diskHint, isCode, messageOf } from '../model/errors.ts';
import type { ReleaseOp } from '../model/release.ts';
import type { Entry, Journal } from './journal.ts';
import type { Action, Actions, Step, StepKind, StepOf, StepOutputs } from './steps.ts';

/** What could not be undone, with the reason. */
export interface Kept {
  /** number of the step in its journal */
  readonly n: number;
  readonly step: Step;
  readonly error: string;
}

/** The two directions of a step, type by type. */
const actionOf = <K extends StepKind>(actions: Actions, kind: K): Action<K> => actions[kind];

/**
 * Applies steps in order: intent, run, done.
 * On a failure (or when `interrupted` reports a signal between two steps) everything the journal knows is
 * undone in reverse, the failing step included (CNI R4), and the error says what was kept.
 * @param interrupted - 0, or the signal that asked us to stop
 * @param from - steps before this one are not undone: those of a pod that goes on
 * @throws RuntimeError: the step's own, or ERR_EFFECT_FAILED around a foreign one; ERR_INTERRUPTED
 */
export function applySteps(steps: readonly Step[], actions: Actions, journal: Journal, interrupted: () => number, from = 0): void {
  const act = (): void => {
    for (const step of steps) {
      const signal = interrupted();
      if (signal !== 0) throw new RuntimeError('ERR_INTERRUPTED', `stopped by signal ${signal} before ${step.kind}`, { exitCode: 128 + signal });
      const n = journal.intent(step);
      journal.done(
        n,
        saying(step, () => runStep(step, actions, journal)),
      );
    }
  };
  orUndo(actions, journal, act, from);
}

/** Does what belongs between or around steps: a failure undoes everything the journal knows (or what begins at step `from`), as that of a step does. @throws as {@link applySteps} */
export function orUndo<T>(actions: Actions, journal: Journal, act: () => T, from = 0): T {
  try {
    return act();
  } catch (error) {
    throw withKept(
      asRuntimeError(error),
      undoAll(journal, actions, ({ n }) => n >= from),
    );
  }
}

/** A system call's own words do not tell what it was for. */
function saying<T>(step: Step, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    throw new RuntimeError('ERR_EFFECT_FAILED', `step ${step.kind} failed: ${messageOf(error)}`, { cause: error, ...diskHint(error) });
  }
}

function runStep<K extends StepKind>(step: StepOf<K>, actions: Actions, journal: Journal): StepOutputs[K] {
  const action = actionOf(actions, step.kind);
  if (action.durable) journal.sync();
  return action.run(step);
}

/**
 * Undoes every step of the journal that is not undone yet, last first, going on past errors. Idempotent: a
 * step whose undo was not recorded (crash, disk full) is undone again.
 * @param isMeant - which steps; without it all
 * @returns what could not be undone; it stays in the journal for the next time
 */
export function undoAll(journal: Journal, actions: Actions, isMeant: (entry: Entry) => boolean = () => true): Kept[] {
  const kept: Kept[] = [];
  for (const entry of [...journal.entries].reverse()) {
    if (entry.undone || !isMeant(entry)) continue;
    try {
      undoEntry(entry, actions, journal.boot);
    } catch (error) {
      kept.push({ n: entry.n, step: entry.step, error: messageOf(error) });
      record(() => journal.kept(entry.n, messageOf(error)));
      continue;
    }
    record(() => journal.undone(entry.n));
  }
  return kept;
}

/** Gives up what {@link undoAll} could not do, because somebody said so: nobody tries again. */
export function abandonAll(kept: readonly Kept[], journal: Journal, actions: Actions): void {
  const forget = <K extends StepKind>(step: StepOf<K>): void => actionOf(actions, step.kind).abandon?.(step);
  for (const { n, step, error } of kept) {
    // First: who is killed between the two has lost a file, not the way back to something that is there.
    record(() => journal.abandoned(n, error));
    forget(step);
  }
}

/** On a full disk the way down goes on without its records: undo is idempotent, only time is lost. */
function record(write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!isCode(error, 'ERR_POD_IO')) throw error;
  }
}

/** What nobody waits for, and takes its time: some 3 ms for control groups, 10 for a walk over all of conntrack. */
const isPatient = ({ op }: ReleaseOp): boolean => op === 'rmdir' || op === 'flows';

/** What is to be done when the pod ends, for the steps that are done by now: last first, as they are undone. */
export function releaseOf(journal: Journal, actions: Actions): ReleaseOp[] {
  const release = <K extends StepKind>(step: StepOf<K>, output: StepOutputs[K]): readonly ReleaseOp[] =>
    actionOf(actions, step.kind).release?.(step, output) ?? [];
  const done = [...journal.entries].reverse().filter((entry) => entry.finished && !entry.undone);
  const ops = done.flatMap((entry) => release(entry.step, entry.output as never));
  return [...ops.filter((op) => !isPatient(op)), ...ops.filter(isPatient)];
}

function undoEntry(entry: Entry, actions: Actions, boot: string): void {
  const undo = <K extends StepKind>(step: StepOf<K>): void =>
    actionOf(actions, step.kind).undo(step, entry.output as StepOutputs[K] | undefined, entry.boot === boot);
  undo(entry.step);
}

function asRuntimeError(error: unknown): RuntimeError {
  if (error instanceof RuntimeError) return error;
  return new RuntimeError('ERR_EFFECT_FAILED', messageOf(error), { cause: error, ...diskHint(error) });
}

function withKept(error: RuntimeError, kept: readonly Kept[]): RuntimeError {
  if (kept.length === 0) return error;
  return new RuntimeError(error.code, error.message, {
    cause: error.cause ?? error,
    exitCode: error.exitCode,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    details: [...error.details, ...kept.map((item) => `could not undo ${item.step.kind}: ${item.error} (kept for rkt gc)`)],
  });
}
