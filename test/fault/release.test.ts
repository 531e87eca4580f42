/**
 * A release that does not get to its end, and gc that meets it: whatever it had done, one gc leaves nothing. The supervisor is
 * stopped by strace, which is attached when the pod runs; of the calls below it makes few itself, its child the rest.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sleepMs } from '../../src/host/clock.ts';
import { leftSince, residue, useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const flags = ['--net=bridge,default', '--port=8080:80', '--port=5353:53/udp', 'busybox'];

function isTraced(pid: number): boolean {
  return !/TracerPid:\s+0/.test(spawnSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8' }).stdout);
}

/** Ends a pod whose supervisor's (and its child's) n-th call of that name is its last. @returns whether there were so many */
async function killedBefore(call: string, n: number): Promise<boolean> {
  const pod = rkt.start([...flags, '--exec=/bin/sleep', '--', '100']);
  const pid = pod.child.pid ?? 0;
  const out = join(rkt.config, 'trace');
  const tracer = spawn(
    'strace',
    ['-f', '-p', String(pid), '-o', out, '-e', `trace=${call}`, '-e', `inject=${call}:error=EIO:signal=SIGKILL:when=${n}`],
    {
      stdio: 'ignore',
    },
  );
  const gone = new Promise((done) => void tracer.on('close', done));
  while (!isTraced(pid)) sleepMs(2);
  await pod.stop();
  await gone;
  return spawnSync('grep', ['-q', 'killed by SIGKILL', out]).status === 0;
}

/** What the child does, and the two calls of the supervisor that decide whether there is one. */
const calls = ['flock', 'clone', 'setns', 'sendto', 'unlink', 'utimensat', 'umount2', 'rmdir'];

test.each(calls)('SIGKILL before every %s of a release, then one gc: nothing is left', { timeout: 120_000 }, async (call) => {
  // With a pod that stays nobody clears the networks as a whole: the address store has to be right lease by lease.
  const other = rkt.start(['--net=bridge,default', 'busybox', '--exec=/bin/sleep', '--', '600']);
  rkt.ok('run', ...flags, '--exec=/bin/true');
  rkt.gc();
  const before = residue();
  let killed = 0;
  // A hierarchy's groups are as the next one's.
  for (const most = call === 'rmdir' ? 4 : 30; killed < most && (await killedBefore(call, killed + 1)); killed++) {
    rkt.gc();
    expect(rkt.podDirectories(), `${call} ${killed + 1}`).toEqual([`run/${other.uuid}`]);
    expect(leftSince(before), `${call} ${killed + 1}`).toEqual([]);
  }
  await other.stop('SIGKILL');
  console.log(`${killed} × ${call}`);
  expect(killed).toBeGreaterThan(0);
});

test('gc right after the exit, and while pods exit, many times', { timeout: 120_000 }, async () => {
  const before = residue();
  for (let round = 0; round < 12; round++) {
    rkt.ok('run', ...flags, '--exec=/bin/true');
    if (round % 2 === 0) sleepMs(round);
    rkt.gc();
    expect(rkt.podDirectories(), `round ${round}`).toEqual([]);
  }
  let more = true;
  const collector = (async () => {
    while (more) {
      const gc = spawn(rktPath, rkt.arguments(['gc', '--grace-period=0']), { stdio: ['ignore', 'ignore', 'pipe'] });
      let stderr = '';
      gc.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
      const status = await new Promise((done) => void gc.on('close', done));
      expect(status, stderr).toBe(0);
    }
  })();
  const run = (): Promise<unknown> =>
    new Promise(
      (done) => void spawn(rktPath, rkt.arguments(['run', '--net=bridge', 'busybox', '--exec=/bin/true']), { stdio: 'ignore' }).on('close', done),
    );
  for (let round = 0; round < 12; round++) expect(await Promise.all([run(), run()]), `round ${round}`).toEqual([0, 0]);
  more = false;
  await collector;
  rkt.gc();
  rkt.gc();
  expect(rkt.podDirectories()).toEqual([]);
  expect(leftSince(before)).toEqual([]);
  const store = '/var/lib/cni/networks/.rkt-index/bridge';
  expect(existsSync(store) ? readdirSync(store) : []).toEqual([]);
});
