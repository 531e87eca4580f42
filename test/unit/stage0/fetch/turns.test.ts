import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Turns } from '../../../../src/stage0/fetch/turns.ts';

let root = '';
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), 'turns-'))));
afterEach(() => rmSync(root, { recursive: true }));

/** Work that ends when it is told to. */
function work(): {
  readonly done: () => void;
  readonly fail: (error: Error) => void;
  readonly begun: () => boolean;
  readonly run: () => Promise<void>;
} {
  let isBegun = false;
  let done = (): void => undefined;
  let fail: (error: Error) => void = () => undefined;
  const ended = new Promise<void>((resolve, reject) => ([done, fail] = [resolve, reject]));
  return { done, fail, begun: () => isBegun, run: () => ((isBegun = true), ended) };
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('no more than so many at once, in order', async () => {
  const turns = new Turns(2);
  const works = [work(), work(), work()];
  const all = works.map((one) => turns.take(one.run));
  await settle();
  expect(works.map((one) => one.begun())).toEqual([true, true, false]);
  works[1]?.done();
  await settle();
  expect(works.map((one) => one.begun())).toEqual([true, true, true]);
  for (const one of works) one.done();
  await Promise.all(all);
});

test('who is ready waits for those that will be soon, and not for those that failed', async () => {
  const turns = new Turns(2);
  const [a, b] = [work(), work()];
  const flushed: string[] = [];
  const first = turns
    .take(a.run)
    .then(() => turns.flush(root))
    .then(() => flushed.push('a'));
  const second = turns.take(b.run).then(() => turns.flush(root));
  a.done();
  await settle();
  expect(flushed).toEqual([]);
  b.fail(new Error('no'));
  await expect(second).rejects.toThrow('no');
  await first;
  expect(flushed).toEqual(['a']);
});

test('nobody waits for long', async () => {
  const turns = new Turns(2);
  const [a, b] = [work(), work()];
  const slow = turns.take(b.run);
  a.done();
  await turns.take(a.run).then(() => turns.flush(root));
  b.done();
  await slow;
});

test('a barrier that fails fails for all that wait', async () => {
  const turns = new Turns(2);
  const outcomes = await Promise.allSettled([0, 1].map(() => turns.take(() => Promise.resolve()).then(() => turns.flush('/nowhere'))));
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
