/** The way back: from the private mount namespace, of control groups, of an app's directories; and the pod's lock. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { tryLock } from '../../../src/host/flock.ts';
import { createPodCgroup, currentCgroupLayout, removePodCgroup } from '../../../src/stage1/flavors/oci/cgroup.ts';
import { enterPrivateMounts, leavePrivateMounts, mountOverlay, mountShm } from '../../../src/stage1/flavors/oci/mounts.ts';
import { useHost } from '../../rig/host.ts';
import { PodRig, until } from './pod-rig.ts';

useHost();
let rig: PodRig;
beforeAll(() => {
  rig = new PodRig();
});
afterEach(() => rig.cleanUp());
afterAll(() => rig.dispose());

const namespace = (): string => readlinkSync('/proc/thread-self/ns/mnt');

test('mounts: there and back, with the working directory', () => {
  const [before, cwd] = [namespace(), process.cwd()];
  const target = join(rig.root, 'target');
  for (const path of [target, join(rig.root, 'up'), join(rig.root, 'work')]) mkdirSync(path);
  enterPrivateMounts();
  enterPrivateMounts(); // a second step of the same run changes nothing
  expect(namespace()).not.toBe(before);
  mountShm(target);
  writeFileSync(join(target, 'inside'), '');
  mountOverlay(rig.layers, join(rig.root, 'up'), join(rig.root, 'work'), target);
  expect([existsSync(join(target, 'bin/busybox')), process.cwd()]).toEqual([true, cwd]);
  leavePrivateMounts();
  leavePrivateMounts();
  expect([namespace(), process.cwd(), readdirSync(target)]).toEqual([before, cwd, []]);
});

test('an overlay that cannot be: the error names --no-overlay, the working directory is as it was', () => {
  const cwd = process.cwd();
  expect(() => mountOverlay(rig.layers, '/proc', '/proc', rig.root)).toThrow(
    expect.objectContaining({ code: 'ERR_STAGE1_LAUNCH', hint: expect.stringContaining('--no-overlay') }),
  );
  expect(process.cwd()).toBe(cwd);
});

test('a run that fails after mounting leaves no process and no mount', async () => {
  const pod = rig.start({ apps: [{ run: 'true' }, { run: 'true', spec: { group: 'nobody-knows' } }] });
  expect(await pod.ended).toMatchObject({ code: 254, stdout: '', stderr: expect.stringContaining('"nobody-knows" group not found in app app2') });
  expect(pod.processes()).toEqual([]);
});

test('control groups: made in every hierarchy, removed with what is in them, again and again', () => {
  const { hierarchies } = currentCgroupLayout();
  expect(createPodCgroup('rkt/undo-test')).toEqual(hierarchies);
  expect(createPodCgroup('rkt/undo-test')).toEqual(hierarchies);
  for (const hierarchy of hierarchies) mkdirSync(join(hierarchy, 'rkt/undo-test/app/inner'), { recursive: true });
  removePodCgroup('rkt/undo-test', hierarchies);
  removePodCgroup('rkt/undo-test', undefined);
  expect(hierarchies.filter((hierarchy) => existsSync(join(hierarchy, 'rkt/undo-test')))).toEqual([]);
});

test('a control group with a living process is reported, and can be removed later', () => {
  const [hierarchy = ''] = createPodCgroup('rkt/busy-test');
  const child = spawn('sleep', ['1000']);
  writeFileSync(join(hierarchy, 'rkt/busy-test/cgroup.procs'), String(child.pid));
  expect(() => removePodCgroup('rkt/busy-test', undefined)).toThrow(
    expect.objectContaining({ code: 'ERR_EFFECT_FAILED', details: [expect.stringContaining(`${hierarchy}/rkt/busy-test`)] }),
  );
  child.kill('SIGKILL');
  removePodCgroup('rkt/busy-test', undefined);
});

test('the control groups of a pod can go the moment it has ended', async () => {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const pod = rig.start({ apps: [{ run: 'sleep 1000 & exit 0' }, { run: 'true' }] });
    expect((await pod.ended).code).toBe(0);
    const began = performance.now();
    removePodCgroup(`rkt/${pod.id}`, undefined);
    times.push(performance.now() - began);
  }
  console.log(`cgroup removal after exit: ${times.map((ms) => ms.toFixed(1)).join(' ')} ms`);
  expect(Math.min(...times)).toBeLessThan(100);
});

test('the lock: held by the supervisor alone, free when it is gone', async () => {
  const pod = await rig.start({ apps: [{ run: 'trap "" TERM; sleep 1000' }] }).ready();
  expect(tryLock(pod.dir, 'shared')).toBeUndefined();
  for (const pid of pod.processes().filter((pid) => pid !== pod.pid)) {
    expect(readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))).not.toContain(pod.dir);
  }
  pod.child.kill('SIGKILL');
  await pod.ended;
  using lock = tryLock(pod.dir, 'exclusive');
  expect(lock).toBeDefined();
  await until(
    () => pod.processes().length === 0,
    () => 'processes left',
  );
});
