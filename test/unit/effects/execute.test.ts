import { mkdtempSync, readFileSync, rmSync, writeFileSync, appendFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { abandonAll, applySteps, releaseOf, undoAll } from '../../../src/effects/execute.ts';
import { Journal, parseJournal, readJournal } from '../../../src/effects/journal.ts';
import type { Action, Actions, Step } from '../../../src/effects/steps.ts';
import { RuntimeError, isCode } from '../../../src/model/errors.ts';
import type { ReleaseOp } from '../../../src/model/release.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'journal-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const journalPath = (): string => join(dir, 'journal');
const steps: Step[] = [
  { kind: 'netns.create', path: '/run/netns/a' },
  { kind: 'cgroup.create', path: 'rkt/a' },
  { kind: 'app.prepare', app: 'one' },
  { kind: 'app.prepare', app: 'two' },
];

/** A little world: what exists, and what was done to it. */
function world(options: { failRun?: number; failUndo?: Set<string>; onRun?: () => void } = {}) {
  const exists = new Set<string>();
  const log: string[] = [];
  const keyOf = (step: object): string => JSON.stringify(step);
  let runs = 0;
  const action = (): Action<never> => ({
    durable: false,
    run: (step: Step) => {
      options.onRun?.();
      exists.add(keyOf(step));
      log.push(`run ${step.kind}`);
      if (runs++ === options.failRun) throw new Error('no luck');
      return null as never;
    },
    undo: (step: Step, _output: unknown, sameBoot: boolean) => {
      if (options.failUndo?.has(step.kind) === true) throw new Error(`stuck ${step.kind}`);
      log.push(`undo ${step.kind}${sameBoot ? '' : ' after reboot'}`);
      exists.delete(keyOf(step));
    },
  });
  const actions: Actions = {
    'netns.create': action(),
    'network.attach': action(),
    'policy.attach': action(),
    'cgroup.create': action(),
    'app.prepare': action(),
    'rootfs.mount': action(),
    'pod.launch': action(),
  };
  return { exists, log, actions };
}

const quiet = (): number => 0;

describe('applySteps', () => {
  test.each([0, 1, 2, 3])('failing at step %i undoes that step and all before it, in reverse', (failRun) => {
    const { exists, log, actions } = world({ failRun });
    using journal = Journal.open(journalPath(), 'boot1');
    expect(() => applySteps(steps, actions, journal, quiet)).toThrow('no luck');
    expect(exists.size).toBe(0);
    const kinds = steps.slice(0, failRun + 1).map((step) => step.kind);
    expect(log).toEqual([...kinds.map((kind) => `run ${kind}`), ...[...kinds].reverse().map((kind) => `undo ${kind}`)]);
    expect(readJournal(journalPath()).every((entry) => entry.undone)).toBe(true);
  });

  test('writes intent before the effect and done after it', () => {
    const seen: number[] = [];
    const { actions } = world({ onRun: () => seen.push(readFileSync(journalPath(), 'utf8').split('\n').length - 1) });
    using journal = Journal.open(journalPath(), 'boot1');
    applySteps(steps, actions, journal, quiet);
    expect(seen).toEqual([1, 3, 5, 7]);
    expect(readJournal(journalPath()).map((entry) => entry.finished)).toEqual([true, true, true, true]);
  });

  test('a signal between two steps undoes what was done', () => {
    const { exists, actions } = world();
    let asked = 0;
    using journal = Journal.open(journalPath(), 'boot1');
    const attempt = (): unknown => applySteps(steps, actions, journal, () => (asked++ === 2 ? 15 : 0));
    expect(attempt).toThrow(expect.objectContaining({ code: 'ERR_INTERRUPTED', exitCode: 143 }));
    expect(exists.size).toBe(0);
  });

  test('an undo that fails is kept, named in the error, and tried again later', () => {
    const failUndo = new Set(['cgroup.create']);
    const { exists, actions } = world({ failRun: 3, failUndo });
    const journal = Journal.open(journalPath(), 'boot1');
    const attempt = (): unknown => applySteps(steps, actions, journal, quiet);
    expect(attempt).toThrow(expect.objectContaining({ details: ['could not undo cgroup.create: stuck cgroup.create (kept for rkt gc)'] }));
    journal[Symbol.dispose]();
    expect(exists.size).toBe(1);
    failUndo.clear();
    using again = Journal.open(journalPath(), 'boot1');
    expect(undoAll(again, actions)).toEqual([]);
    expect(exists.size).toBe(0);
    expect(undoAll(again, actions)).toEqual([]);
  });

  test('what is given up is in the journal, forgotten, and not tried again', () => {
    const { exists, log, actions } = world({ failUndo: new Set(['cgroup.create']) });
    const forgotten: string[] = [];
    const forgetting: Actions = { ...actions, 'cgroup.create': { ...actions['cgroup.create'], abandon: ({ path }) => void forgotten.push(path) } };
    const first = Journal.open(journalPath(), 'boot1');
    applySteps(steps, forgetting, first, quiet);
    const kept = undoAll(first, forgetting);
    abandonAll(kept, first, forgetting);
    first[Symbol.dispose]();
    expect([kept.map(({ n }) => n), forgotten, exists.size]).toEqual([[1], ['rkt/a'], 1]);
    expect(readFileSync(journalPath(), 'utf8').trim().split('\n').at(-1)).toBe('{"at":"abandoned","n":1,"error":"stuck cgroup.create"}');
    log.length = 0;
    using again = Journal.open(journalPath(), 'boot1');
    expect([undoAll(again, forgetting), log]).toEqual([[], []]);
  });

  test('after a reboot undo is told so', () => {
    const { actions } = world();
    const before = Journal.open(journalPath(), 'boot1');
    applySteps(steps.slice(0, 2), actions, before, quiet);
    before[Symbol.dispose]();
    const { log, actions: later } = world();
    using journal = Journal.open(journalPath(), 'boot2');
    undoAll(journal, later);
    expect(log).toEqual(['undo cgroup.create after reboot', 'undo netns.create after reboot']);
  });
});

describe('journal', () => {
  test('a torn last line is cut off and does not glue to the next record', () => {
    const { actions } = world();
    const first = Journal.open(journalPath(), 'boot1');
    applySteps(steps.slice(0, 1), actions, first, quiet);
    first[Symbol.dispose]();
    appendFileSync(journalPath(), '{"at":"intent","n":1,"bo');
    using journal = Journal.open(journalPath(), 'boot1');
    expect(journal.entries).toHaveLength(1);
    journal.intent(steps[1] ?? expect.fail());
    expect(readJournal(journalPath()).map((entry) => entry.step.kind)).toEqual(['netns.create', 'cgroup.create']);
  });

  test.each([
    ['{"at":"done","n":0,"output":null}\n', /never announced/],
    ['garbage\n{"at":"undone","n":0}\n', /line 1 is not JSON/],
    ['{"at":"intent","n":3,"boot":"b","step":{"kind":"cgroup.create","path":"x"}}\n', /announces step 3, expected 0/],
  ])('damage is an error, not silence: %j', (text, message) => {
    writeFileSync(journalPath(), text);
    expect(() => parseJournal(text, 'j')).toThrow(message);
    try {
      Journal.open(journalPath(), 'b');
      expect.fail('opened a damaged journal');
    } catch (error) {
      expect(isCode(error, 'ERR_JOURNAL_CORRUPT')).toBe(true);
      expect(error).toBeInstanceOf(RuntimeError);
    }
  });

  test('a damaged one gives way to what may have been done', () => {
    writeFileSync(journalPath(), 'garbage\n');
    Journal.replace(journalPath(), 'boot2', steps.slice(0, 2));
    expect(readJournal(journalPath())).toEqual(
      steps.slice(0, 2).map((step, n) => ({ n, boot: 'boot2', step, output: undefined, finished: false, undone: false, kept: false })),
    );
  });

  test('no journal is an empty journal', () => {
    expect(readJournal(journalPath())).toEqual([]);
  });
});

describe('releaseOf', () => {
  const named = (path: string): ReleaseOp => ({ op: 'unmount', path });
  test('of what is done: last first, what nobody waits for at the end', () => {
    const { actions } = world();
    const speaking: Actions = {
      ...actions,
      'netns.create': { ...actions['netns.create'], release: ({ path }) => [{ op: 'rmdir', paths: [path] }, named(`after ${path}`)] },
      'app.prepare': { ...actions['app.prepare'], release: ({ app }) => [named(app)] },
    };
    using journal = Journal.open(journalPath(), 'boot');
    applySteps(steps, speaking, journal, quiet);
    journal.undone(3);
    journal.intent({ kind: 'app.prepare', app: 'never done' });
    expect(releaseOf(journal, speaking)).toEqual([named('one'), named('after /run/netns/a'), { op: 'rmdir', paths: ['/run/netns/a'] }]);
  });
});
