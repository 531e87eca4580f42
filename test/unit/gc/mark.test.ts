import { expect, test } from 'vitest';
import { markPods, type GcPolicy } from '../../../src/gc/mark.ts';
import type { PodState } from '../../../src/model/pod.ts';

const policy: GcPolicy = { graceMs: 1_000, expirePreparedMs: 5_000, markOnly: false };
const verdict = (state: PodState, sinceMs: number, overrides: Partial<GcPolicy> = {}): string => {
  const [found] = markPods([{ id: 'p', state, sinceMs }], { ...policy, ...overrides });
  return found === undefined ? '-' : found.kind === 'wait' ? 'wait' : `${found.kind} ${found.to}`;
};

test.each<[PodState, number, Partial<GcPolicy>, string]>([
  ['running', 1e9, { graceMs: 0 }, '-'],
  ['preparing', 1e9, { graceMs: 0 }, '-'],
  ['deleting', 1e9, { graceMs: 0 }, '-'],
  ['exited deleting', 1e9, { graceMs: 0 }, '-'],
  // marking starts the grace period, however long ago the pod exited
  ['exited', 1e9, {}, 'mark exited-garbage'],
  ['exited', 0, { graceMs: 0 }, 'delete exited-garbage'],
  ['exited', 0, { graceMs: 0, markOnly: true }, 'mark exited-garbage'],
  ['exited garbage', 999, {}, 'wait'],
  ['exited garbage', 1_000, {}, 'delete exited-garbage'],
  ['exited garbage', 1e9, { markOnly: true }, '-'],
  ['prepared', 4_999, {}, '-'],
  ['prepared', 5_000, {}, 'delete garbage'],
  ['prepared', 5_000, { markOnly: true }, '-'],
  ['aborted prepare', 0, {}, 'delete garbage'],
  ['aborted prepare', 0, { markOnly: true }, 'mark garbage'],
  ['embryo', 0, {}, 'delete garbage'],
  ['garbage', 0, {}, 'delete garbage'],
  ['garbage', 0, { markOnly: true }, '-'],
])('%s for %i ms with %j: %s', (state, sinceMs, overrides, expected) => {
  expect(verdict(state, sinceMs, overrides)).toBe(expected);
});
