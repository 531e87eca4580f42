/** rkt 2.3: whose exit code is the pod's, and what happens to the other apps. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { PodRig } from './pod-rig.ts';

useHost();
let rig: PodRig;
beforeAll(() => {
  rig = new PodRig();
});
afterEach(() => rig.cleanUp());
afterAll(() => rig.dispose());

describe('one app', () => {
  test('its output is ours, its success is ours', async () => {
    expect(await rig.run({ apps: [{ run: 'echo hello; echo oops >&2' }] })).toEqual({ code: 0, signal: null, stdout: 'hello\n', stderr: 'oops\n' });
  });
  test.each([
    ['exit 7', 7],
    ['exit 254', 254],
    ['kill -SEGV $$', 139],
    ['kill -KILL $$', 137],
  ])('%s is %i', async (run, code) => {
    const pod = rig.start({ apps: [{ run }] });
    expect((await pod.ended).code).toBe(code);
    expect(pod.read('stage1/rootfs/rkt/status/app')).toBe(String(code));
  });
  test('standard input is empty', async () => {
    expect(await rig.run({ apps: [{ run: 'cat; readlink /proc/self/fd/0' }], stdin: 'not for you' })).toMatchObject({
      code: 0,
      stdout: '/dev/null\n',
    });
  });
  test('an interactive app gets ours', async () => {
    expect(await rig.run({ apps: [{ run: 'cat; exit 3' }], interactive: true, stdin: 'for you' })).toMatchObject({ code: 3, stdout: 'for you' });
  });
  test('what it leaves in the background ends with it', async () => {
    const pod = rig.start({ apps: [{ run: 'setsid sleep 1000 & (setsid sleep 1001 &); exit 0' }] });
    expect((await pod.ended).code).toBe(0);
    expect(pod.processes()).toEqual([]);
  });
});

describe('several apps', () => {
  test('one that succeeds leaves the others running', async () => {
    const pod = rig.start({ apps: [{ run: 'exit 0' }, { run: 'sleep 0.3; echo still here; exit 0' }] });
    expect(await pod.ended).toMatchObject({ code: 0, stdout: 'still here\n' });
    expect([pod.read('stage1/rootfs/rkt/status/app'), pod.read('stage1/rootfs/rkt/status/app2')]).toEqual(['0', '0']);
  });
  test('one that fails stops the others, each by its own signal; its code is the pod’s', async () => {
    const waits = (signal: string, word: string): string => `trap 'echo ${word}; exit 0' ${signal}; echo up; while :; do sleep 0.05; done`;
    const pod = rig.start({
      apps: [
        { run: 'while [ ! -e /dev/shm/go ]; do sleep 0.02; done; exit 7' },
        { run: waits('TERM', 'by-term') },
        { run: waits('QUIT', 'by-quit'), stopSignal: 'SIGQUIT' },
        { run: 'trap "" TERM; sleep 0.1; touch /dev/shm/go; sleep 0.4; exit 9' },
      ],
    });
    const ended = await pod.ended;
    expect(ended.code).toBe(7);
    expect(ended.stdout.split('\n').sort()).toEqual(['', 'by-quit', 'by-term', 'up', 'up']);
    expect(['app', 'app2', 'app3', 'app4'].map((name) => pod.read(`stage1/rootfs/rkt/status/${name}`))).toEqual(['7', '0', '0', '9']);
  });
  test('one that does not listen is killed after its grace time', async () => {
    const pod = rig.start({ graceMs: 300, apps: [{ run: 'sleep 0.3; exit 5' }, { run: 'trap "" TERM; while :; do sleep 1; done' }] });
    expect((await pod.ended).code).toBe(5);
    expect(pod.read('stage1/rootfs/rkt/status/app2')).toBe('137');
  });
  test('forty apps that end at once are all accounted for', async () => {
    const pod = rig.start({ apps: Array.from({ length: 40 }, () => ({ run: ['/bin/true'] })) });
    expect(await pod.ended).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
    expect(
      Array.from({ length: 40 }, (_, i) => pod.read(`stage1/rootfs/rkt/status/${i === 0 ? 'app' : `app${i + 1}`}`)).every((code) => code === '0'),
    ).toBe(true);
    expect(pod.read('stage1/rootfs/rkt/supervisor-status') === undefined).toBe(true); // a dangling link: it names a state, not a file
  }, 60_000);
});

describe('an app that cannot be started', () => {
  test('crun says why, the pod fails as a set-up does, the others are stopped', async () => {
    const pod = rig.start({ apps: [{ run: 'trap "exit 0" TERM; while :; do sleep 0.05; done' }, { run: ['/no/such/program'] }] });
    const ended = await pod.ended;
    expect(ended.code).toBe(254);
    expect(ended.stderr).toContain('/no/such/program');
    expect(ended.stderr).toContain('app app2 could not be started');
    expect(pod.read('stage1/rootfs/rkt/status/app2')).toBe('254');
    expect(pod.processes()).toEqual([]);
  });
  test('a host name the kernel refuses', async () => {
    expect(await rig.run({ apps: [{ run: 'true' }], hostname: 'x'.repeat(65) })).toMatchObject({
      code: 254,
      stderr: expect.stringContaining('a host name has 1 to 64 bytes'),
    });
  });
  test('a network namespace that is not there', async () => {
    expect(await rig.run({ apps: [{ run: 'true' }], netns: '/run/netns/none' })).toMatchObject({
      code: 254,
      stderr: 'rkt: cannot open network namespace /run/netns/none: No such file or directory\n',
    });
  });
});
