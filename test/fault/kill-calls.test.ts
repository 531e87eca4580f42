/**
 * SIGKILL before every system call of a kind, in a run and in a gc, each followed by one gc: what was half-way there (a file
 * written aside to appear whole, a lease without its owner, a netlink message that was not sent any more) is not left.
 * In the suite before every rename and link; RKT_SOAK=1 adds the other calls that change something.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { leftSince, residue, useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const pod = ['run', '--net=bridge,default', '--port=8080:80', 'busybox', '--exec=/bin/true'];
/** One whose exit leaves all of its undoing to gc. */
const kept = ['run', '--net-release=gc', ...pod.slice(1)];
const gc = ['gc', '--grace-period=0'];
const soak = process.env['RKT_SOAK'] !== undefined;

/** Runs rkt; the n-th call of `calls` on its main thread does not happen any more. @returns whether there were so many */
function killBefore(calls: string, n: number, args: readonly string[]): boolean {
  const { signal, status, stderr } = spawnSync(
    'strace',
    ['-qqq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', `inject=${calls}:error=EIO:signal=SIGKILL:when=${n}`, rktPath, ...rkt.arguments(args)],
    { encoding: 'utf8', timeout: 30_000 },
  );
  if (signal === null && status === 0) return false;
  expect([signal, status], stderr).toEqual(['SIGKILL', null]);
  return true;
}

function expectNothing(before: readonly string[], where: string): void {
  rkt.gc();
  expect(rkt.podDirectories(), where).toEqual([]);
  const networks = join(rkt.dataDir, 'networks');
  expect(existsSync(networks) ? readdirSync(networks).filter((name) => name.endsWith('.tmp')) : [], where).toEqual([]);
  expect(leftSince(before), where).toEqual([]);
  rkt.gc(); // the networks are forgotten: each run writes their records again
}

/** One at a time: strace counts each call of a set by itself, so that the n-th of one would hide the n-th of another. */
const always = ['rename', 'link'];
const more = ['write', 'mkdir', 'unlink', 'rmdir', 'sendto', 'mount', 'umount2', 'unshare', 'setns', 'flock'];

describe.each(soak ? [...always, ...more] : always)('SIGKILL before every %s', (calls) => {
  const timeout = soak ? 900_000 : 120_000;
  test('of a run', { timeout }, () => {
    rkt.ok(...pod);
    rkt.gc();
    rkt.gc();
    const before = residue();
    let killed = 0;
    for (; killBefore(calls, killed + 1, pod); killed++) expectNothing(before, `${calls} ${killed + 1} of a run`);
    console.log(`${killed} × ${calls} in a run`);
    if (always.includes(calls)) expect(killed).toBeGreaterThan(0);
    expectNothing(before, 'the run that was spared');
  });

  test('of a gc', { timeout }, () => {
    rkt.ok(...kept);
    rkt.gc();
    rkt.gc();
    const before = residue();
    let killed = 0;
    for (let goesOn = true; goesOn;) {
      rkt.ok(...kept);
      goesOn = killBefore(calls, killed + 1, gc);
      expectNothing(before, `${calls} ${killed + 1} of a gc`);
      if (goesOn) killed++;
    }
    console.log(`${killed} × ${calls} in a gc`);
  });
});
