/** Who is told to end, how, and that nothing outlives the supervisor. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ociFlavor } from '../../../src/stage1/flavors/oci/flavor.ts';
import { startTimeOf } from '../../../src/host/process.ts';
import { podFiles } from '../../../src/state/pod/layout.ts';
import { useHost } from '../../rig/host.ts';
import { PodRig, until, type RunningPod } from './pod-rig.ts';

useHost();
let rig: PodRig;
beforeAll(() => {
  rig = new PodRig();
});
afterEach(() => rig.cleanUp());
afterAll(() => rig.dispose());

const loop = 'while :; do sleep 0.02; done';
const noneLeft = (pod: RunningPod): Promise<void> =>
  until(
    () => pod.processes().length === 0,
    () => `left: ${pod.processes().join(' ')}`,
  );

describe('stop', () => {
  test('TERM reaches the app as its stop signal; the code is the app’s', async () => {
    const pod = await rig.start({ apps: [{ run: `trap 'exit 5' TERM; echo trapped; ${loop}` }] }).ready();
    await pod.printed('trapped');
    pod.child.kill('SIGTERM');
    expect((await pod.ended).code).toBe(5);
  });
  test('an app with no handler dies of it: 143', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] }).ready();
    pod.child.kill('SIGTERM');
    expect((await pod.ended).code).toBe(143);
  });
  test.each(['SIGQUIT', '3', 'quit'])('the image’s stop signal %s', async (stopSignal) => {
    const pod = await rig.start({ apps: [{ run: `trap 'exit 6' QUIT; echo trapped; ${loop}`, stopSignal }] }).ready();
    await pod.printed('trapped');
    pod.child.kill('SIGINT');
    expect((await pod.ended).code).toBe(6);
  });
  test('after the grace time it is SIGKILL', async () => {
    const pod = await rig.start({ graceMs: 200, apps: [{ run: `trap '' TERM; echo deaf; ${loop}` }] }).ready();
    await pod.printed('deaf');
    const began = performance.now();
    pod.child.kill('SIGTERM');
    expect((await pod.ended).code).toBe(137);
    expect(performance.now() - began).toBeGreaterThan(190);
  });
  test('a second ^C does not wait; a second TERM does', async () => {
    const pod = await rig.start({ apps: [{ run: `trap '' TERM; echo deaf; ${loop}` }] }).ready();
    await pod.printed('deaf');
    for (const signal of ['SIGTERM', 'SIGTERM'] as const) pod.child.kill(signal);
    await new Promise((done) => void setTimeout(done, 150));
    expect(pod.child.exitCode).toBe(null);
    const began = performance.now();
    pod.child.kill('SIGINT');
    expect((await pod.ended).code).toBe(137);
    expect(performance.now() - began).toBeLessThan(5_000); // half the grace time
  });
  test('TERM while the apps are being started', async () => {
    const pod = rig.start({ apps: [{ run: `trap 'exit 4' TERM; ${loop}` }, { run: ['/bin/sleep', '1000'] }] });
    await until(
      () => pod.read('pid') !== undefined,
      () => 'no pid file',
    );
    pod.child.kill('SIGTERM');
    expect([143, 4]).toContain((await pod.ended).code);
    expect(pod.processes()).toEqual([]);
  });
  test.each([
    ['SIGHUP', 'HUP'],
    ['SIGUSR1', 'USR1'],
    ['SIGUSR2', 'USR2'],
    ['SIGQUIT', 'QUIT'],
  ] as const)('%s is passed on and ends nothing by itself', async (signal, name) => {
    const pod = await rig.start({ apps: [{ run: `trap 'echo got ${name}' ${name}; trap 'exit 0' TERM; echo up; ${loop}` }] }).ready();
    await pod.printed('up');
    pod.child.kill(signal);
    await pod.printed(`got ${name}`);
    pod.child.kill('SIGTERM');
    expect((await pod.ended).code).toBe(0);
  });
  test('a signal for the apps that comes while they are being started is kept for them', async () => {
    const pod = rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }, { run: ['/bin/sleep', '1000'] }] });
    await until(
      () => pod.read('pid') !== undefined,
      () => 'no pid file',
    );
    process.kill(pod.pid, 'SIGSTOP'); // neither is known to run before the signal is
    pod.child.kill('SIGUSR2');
    pod.child.kill('SIGCONT');
    expect((await pod.ended).code).toBe(140);
    expect([pod.read('stage1/rootfs/rkt/status/app'), pod.read('stage1/rootfs/rkt/status/app2')]).toEqual(['140', '140']);
  });
  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('%s between the last look and the execve of the supervisor', async (signal) => {
    const held = ['strace', '-D', '-qqq', '-o', '/dev/null', '-e', 'trace=execve', '-e', 'inject=execve:delay_enter=300000:when=1'];
    const pod = rig.start({ through: held, apps: [{ run: ['/bin/sleep', '1000'] }] });
    await until(
      () => isInExecve(pod.pid) && pod.read('bundles/app/config.json') !== undefined,
      () => 'the supervisor was never started',
    );
    pod.child.kill(signal);
    const { code } = await pod.ended;
    expect(code).toBe(signal === 'SIGHUP' ? 129 : 143);
    expect(pod.read('stage1/rootfs/rkt/status/app')).toBe(String(code));
  });
  // Node resets what it inherits, so the caller is played by a shell in front of the supervisor.
  test('what the caller ignored (nohup) stays ignored by us, not by the app', async () => {
    const nohup = new PodRig();
    nohup.wrapSupervisor('trap "" HUP');
    try {
      const pod = await nohup.start({ apps: [{ run: `trap 'exit 3' HUP; grep SigIgn /proc/self/status; echo trapped; ${loop}` }] }).ready();
      await pod.printed('trapped');
      await pod.printed('0000000000000000');
      pod.child.kill('SIGHUP');
      await new Promise((done) => void setTimeout(done, 150));
      expect(pod.child.exitCode).toBe(null);
      pod.child.kill('SIGTERM');
      expect((await pod.ended).code).toBe(143);
    } finally {
      nohup.dispose();
    }
  });
});

describe('rkt stop', () => {
  test('in order', async () => {
    const pod = await rig.start({ apps: [{ run: `trap 'exit 0' TERM; echo trapped; ${loop}` }] }).ready();
    await pod.printed('trapped');
    expect(ociFlavor.stop(pod.dir, { force: false, graceMs: 5_000 })).toBe('stopped');
    expect((await pod.ended).code).toBe(0);
    expect(ociFlavor.stop(pod.dir, { force: false, graceMs: 5_000 })).toBe('was not running');
  });
  test('by force', async () => {
    const pod = await rig.start({ apps: [{ run: `trap '' TERM; echo trapped; ${loop}` }, { run: ['/bin/sleep', '1000'] }] }).ready();
    await pod.printed('trapped');
    expect(ociFlavor.stop(pod.dir, { force: true, graceMs: 5_000 })).toBe('killed');
    expect((await pod.ended).code).toBe(137);
    await noneLeft(pod);
  });
  test('by force, while apps are still being started', async () => {
    const apps = Array.from({ length: 12 }, () => ({ run: `trap '' TERM; ${loop}` }));
    const pod = rig.start({ apps });
    await expect.poll(() => existsSync(podFiles(pod.dir).pid), { interval: 1 }).toBe(true);
    expect(ociFlavor.stop(pod.dir, { force: true, graceMs: 5_000 })).toBe('killed');
    expect((await pod.ended).code).not.toBe(0);
    await noneLeft(pod);
  });
  test('by force, when the supervisor does not answer', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] }).ready();
    process.kill(pod.pid, 'SIGSTOP');
    expect(ociFlavor.stop(pod.dir, { force: true, graceMs: 5_000 })).toBe('killed');
    expect((await pod.ended).signal).toBe('SIGKILL');
    await noneLeft(pod);
  });
  test('the undo of pod.launch spares a process that only has the pid', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] }).ready();
    ociFlavor.kill(pod.dir, pod.pid, '1');
    expect(startTimeOf(pod.pid)).toBeDefined();
    ociFlavor.kill(pod.dir, pod.pid, startTimeOf(pod.pid) ?? '');
    expect((await pod.ended).signal).toBe('SIGKILL');
    await noneLeft(pod);
  });
});

describe('sudden death', () => {
  test('of the supervisor takes everything along', async () => {
    const pod = await rig.start({ apps: [{ run: 'setsid sleep 1000 & sleep 1001' }, { run: ['/bin/sleep', '1000'] }] }).ready();
    await expect.poll(() => pod.processes().length).toBeGreaterThanOrEqual(5);
    process.kill(pod.pid, 'SIGKILL');
    await noneLeft(pod);
    await pod.ended;
  });
  test('of the init ends the pod: 137', async () => {
    const pod = await rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }, { run: ['/bin/sleep', '1000'] }] }).ready();
    process.kill(pod.pidOf('init'), 'SIGKILL');
    expect((await pod.ended).code).toBe(137);
    expect(pod.processes()).toEqual([]);
  });
  test('of the supervisor at any moment of the start', async () => {
    for (let afterMs = 0; afterMs < 48; afterMs += 4) {
      const pod = rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }, { run: ['/bin/sleep', '1000'] }] });
      await until(
        () => pod.read('pid') !== undefined,
        () => 'no pid file',
      );
      await new Promise((done) => void setTimeout(done, afterMs));
      process.kill(pod.pid, 'SIGKILL');
      await pod.ended;
      await noneLeft(pod);
    }
  });
  test('of the supervisor takes a crun along that is stuck', async () => {
    const pod = rig.start({ through: ['env', `PATH=${rig.stuckCrun()}:/usr/bin:/bin`], apps: [{ run: ['/bin/true'] }] });
    await until(
      () => childrenOf(pod.pid).some((pid) => commandOf(pid).includes('sleep')),
      () => 'the false crun was never seen',
    );
    process.kill(pod.pid, 'SIGKILL');
    await pod.ended;
    await noneLeft(pod);
  });
  test('of crun while it starts an app: 254, nothing left', async () => {
    const pod = rig.start({ apps: [{ run: ['/bin/sleep', '1000'] }] });
    let victim = 0;
    await until(
      () => {
        victim = childrenOf(pod.pid).find((pid) => commandOf(pid).startsWith('crun')) ?? 0;
        return victim !== 0;
      },
      () => 'crun was never seen',
    );
    process.kill(victim, 'SIGKILL');
    expect((await pod.ended).code).toBe(254);
    await noneLeft(pod);
  });
});

function childrenOf(pid: number): number[] {
  try {
    return readText(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
function commandOf(pid: number): string {
  try {
    return readText(`/proc/${pid}/cmdline`);
  } catch {
    return '';
  }
}
/** Stopped by strace on the way in: the call's number is in its registers. */
const isInExecve = (pid: number): boolean => readText(`/proc/${pid}/syscall`).startsWith(process.arch === 'arm64' ? '221 ' : '59 ');

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
