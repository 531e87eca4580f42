/** C4, R22-R24, R28: CHECK and STATUS of a list. @see cni.md 1.1, 1.4 */
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { checkPod } from '../../src/compose/pod-network.ts';
import { lock } from '../../src/host/flock.ts';
import { removeNetns } from '../../src/host/netns.ts';
import { addList, checkList, delList, statusList } from '../../src/net/cni/list.ts';
import { useHost } from '../rig/host.ts';
import { PodNetwork, podId, podNetns } from './pod.ts';
import { Bench, pod } from './recorder.ts';

useHost();
const bench = new Bench();
const network = new PodNetwork(bench);
afterEach(() => {
  network.leave();
  removeNetns(podNetns);
});
const two = (more: object = {}) => bench.network([{ type: 'a' }, { type: 'b' }], more);
const failing = { code: 100, msg: 'no luck today' };

test('C4: a list with disableCheck is not checked, and that is success', () => {
  for (const flag of [true, 'True']) {
    const planned = two({ disableCheck: flag });
    checkList(planned, pod, bench.services, { cniVersion: '1.1.0' });
  }
  expect(bench.story()).toBe('');
  checkList(two({ disableCheck: false }), pod, bench.services, { cniVersion: '1.1.0' });
  expect(bench.story()).toBe('CHECK a, CHECK b');
});
test('R22: CHECK has the parameters of ADD, and the final result for every plugin', () => {
  const planned = two();
  addList(planned, pod, bench.services);
  checkList(planned, pod, bench.services, undefined);
  const [add, , ...checks] = bench.heard();
  expect(checks.map(({ type }) => type)).toEqual(['a', 'b']);
  for (const check of checks) {
    expect({ ...check.env, CNI_COMMAND: 'ADD' }).toEqual(add?.env);
    expect(check.conf['prevResult']).toMatchObject({ cniVersion: '1.1.0', interfaces: [{ name: 'b0' }] });
  }
});
test('R23: what is not attached any more is not checked, nor is a pod that has ended', () => {
  const settings = {
    dataDir: bench.dataDir,
    systemConfig: join(bench.dir, 'none'),
    localConfig: join(bench.dir, 'etc'),
    userConfig: undefined,
    insecure: new Set<never>(),
    trustKeysFromHttps: false,
  };
  network.join(two());
  expect(() => checkPod(settings, podId)).toThrow('not running');
  // The lock on its directory is what makes a pod a running one.
  using held = lock(network.dir, 'exclusive');
  void held;
  expect(checkPod(settings, podId).attachments.map(({ check }) => check)).toEqual(['passed']);
  network.leave();
  expect(checkPod(settings, podId).attachments).toEqual([]);
  expect(bench.story()).toBe('ADD a, ADD b, CHECK a, CHECK b, DEL b, DEL a');
});
test('R24: the first CHECK that fails is the last', () => {
  const planned = two();
  addList(planned, pod, bench.services);
  bench.answer('a', 'CHECK', failing, 'fail');
  expect(() => checkList(planned, pod, bench.services, undefined)).toThrow('no luck today');
  expect(bench.story()).toBe('ADD a, ADD b, CHECK a');
});
test('R28: ADD and DEL do not ask for STATUS, and work when it fails', () => {
  bench.answer('a', 'STATUS', { code: 50, msg: 'no room' }, 'fail');
  const planned = two();
  expect(statusList(planned, bench.services).map(({ type, failure }) => [type, failure?.message])).toEqual([
    ['a', expect.stringContaining('no room')],
    ['b', undefined],
  ]);
  const result = addList(planned, pod, bench.services);
  delList(planned, pod, bench.services, result);
  expect(bench.story()).toBe('STATUS a, STATUS b, ADD a, ADD b, DEL b, DEL a');
});
