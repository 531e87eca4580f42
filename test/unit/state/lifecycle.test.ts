import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { tryLock } from '../../../src/host/flock.ts';
import { newPodId } from '../../../src/host/uuid.ts';
import type { PodId } from '../../../src/model/ids.ts';
import { createPod, findPod, holdPod, listPods, move, stateOf } from '../../../src/state/pod/lifecycle.ts';
import { phases, visiblePhases } from '../../../src/state/pod/layout.ts';

let dataDir = '';
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'pods-'));
});
afterEach(() => rmSync(dataDir, { recursive: true }));
const lockedNow = (dir: string): boolean => {
  using free = tryLock(dir, 'exclusive');
  return free === undefined;
};
const only = () => listPods(dataDir)[0] ?? expect.fail('no pod');

describe('the truth table', () => {
  test.each([
    ['embryo', 'embryo', 'embryo'],
    ['prepare', 'preparing', 'aborted prepare'],
    ['prepared', 'prepared', 'prepared'],
    ['run', 'running', 'exited'],
    ['exited-garbage', 'exited deleting', 'exited garbage'],
    ['garbage', 'deleting', 'garbage'],
  ] as const)('%s: locked %s, unlocked %s', (phase, locked, unlocked) => {
    const pod = createPod(dataDir, newPodId());
    if (phase !== 'prepare') move(pod, dataDir, phase);
    expect(only()).toMatchObject({ phase, state: locked });
    pod.lock.release();
    expect(only()).toMatchObject({ phase, state: unlocked });
    expect([stateOf(phase, true), stateOf(phase, false)]).toEqual([locked, unlocked]);
  });
  test('what people see is in the order of life, so that a pod that moves meanwhile is not missed', () =>
    expect(visiblePhases).toEqual(phases.filter((phase) => visiblePhases.some((one) => one === phase))));
  test('covers every phase', () => expect(phases).toHaveLength(6));
});

describe('holding', () => {
  test('one holder at a time, and the lock moves with the directory', () => {
    const pod = createPod(dataDir, newPodId());
    expect(holdPod(only())).toBeUndefined();
    move(pod, dataDir, 'run');
    expect(holdPod(only())).toBeUndefined();
    pod.lock.release();
    const held = holdPod(only()) ?? expect.fail('could not hold');
    held.lock.release();
  });
  test('somebody who only looks is no reason to leave a pod', () => {
    const pod = createPod(dataDir, newPodId());
    pod.lock.release();
    spawn('flock', ['-s', pod.dir, 'sleep', '0.005'], { stdio: 'ignore' });
    while (!lockedNow(pod.dir));
    const held = holdPod(only()) ?? expect.fail('could not hold');
    held.lock.release();
  });
  test('a pod that moved away between finding and holding is not held', () => {
    const pod = createPod(dataDir, newPodId());
    pod.lock.release();
    const stale = only();
    const held = holdPod(stale) ?? expect.fail();
    move(held, dataDir, 'garbage');
    held.lock.release();
    expect(holdPod(stale)).toBeUndefined();
  });
});

describe('finding', () => {
  const first = '11111111-1111-4111-8111-111111111111' as PodId;
  const second = '11112222-1111-4111-8111-111111111111' as PodId;
  test('by unique prefix, any case', () => {
    for (const id of [first, second]) createPod(dataDir, id).lock.release();
    expect(findPod(dataDir, '11111').id).toBe(first);
    expect(findPod(dataDir, '11112222').id).toBe(second);
    expect(() => findPod(dataDir, '1111')).toThrow(
      expect.objectContaining({ code: 'ERR_POD_AMBIGUOUS', message: 'ambiguous uuid "1111", 2 matches' }),
    );
    expect(() => findPod(dataDir, 'f')).toThrow('no matches found for "f"');
    expect(() => findPod(dataDir, '')).toThrow('UUID cannot be empty');
  });
});
