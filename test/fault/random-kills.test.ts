/**
 * SIGKILL at random moments of run, stop and gc, each followed by one gc: nothing is left. Counted are kills that hit a
 * live process. Which record the journal ended with is a histogram at the end; RKT_SOAK=1 makes 100 of them, and goes on
 * until every kind of step was hit.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sleepMs } from '../../src/host/clock.ts';
import { leftSince, residue, useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const soak = process.env['RKT_SOAK'] !== undefined;
const wanted = soak ? 100 : 20;
const seed = Number(process.env['RKT_SEED'] ?? Date.now() % 1_000_000);
const stepKinds = ['netns.create', 'network.attach', 'cgroup.create', 'app.prepare', 'rootfs.mount', 'pod.launch'];

/** Mulberry32: the same seed, the same moments. */
function randomOf(state: number): () => number {
  let a = state;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
const random = randomOf(seed);

const start = (...args: string[]): ChildProcess => spawn(rktPath, rkt.arguments(args), { stdio: 'ignore' });
const pod = ['run', '--net=bridge,default', '--port=8080:80', 'busybox', '--exec=/bin/sleep', '--', '0.05'];

/** Where in its life the only pod was caught, by its journal's last record. */
function moment(): string {
  for (const phase of ['run', 'exited-garbage', 'garbage', 'prepare', 'embryo']) {
    const dir = join(rkt.dataDir, 'pods', phase);
    const [id] = names(dir);
    if (id === undefined) continue;
    const lines = text(join(dir, id, 'journal'))
      .split('\n')
      .slice(0, -1);
    const last = lines.at(-1);
    if (last === undefined) return `${phase}: no journal`;
    const { at, n } = JSON.parse(last) as { at: string; n: number };
    const kind = lines
      .map((line) => JSON.parse(line) as { at: string; n: number; step?: { kind: string } })
      .find((record) => record.at === 'intent' && record.n === n)?.step?.kind;
    return `${phase}: ${at} ${kind ?? '?'}`;
  }
  return 'no pod';
}
const names = (dir: string): string[] => readdirSync(dir, { withFileTypes: true }).map((entry) => entry.name);
function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // not written yet
  }
}
const isLive = (pid: number): boolean => !/^\d+ \(.*\) Z/s.test(text(`/proc/${pid}/stat`) || '0 () Z');

/** Kills `child` after `delayMs`; false when it had ended by then. Synchronous, so that nothing happens in between. */
function killAfter(child: ChildProcess, delayMs: number): boolean {
  sleepMs(delayMs);
  const pid = child.pid ?? 0;
  if (!isLive(pid)) return false;
  process.kill(pid, 'SIGKILL');
  return true;
}
const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((done) => void child.on('close', done));

/** One attempt: starts an operation and kills it somewhere. @returns what was hit, undefined when nothing was */
async function attempt(kind: number): Promise<string | undefined> {
  if (kind < 2) {
    const child = start(...pod);
    const hit = killAfter(child, random() * 160);
    await ended(child);
    return hit ? `run, ${moment()}` : undefined;
  }
  if (kind === 2) {
    const running = rkt.start(['--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '600']);
    const stopper = start('stop', running.uuid);
    const hit = killAfter(random() < 0.5 ? running.child : stopper, random() * 40);
    await ended(stopper);
    await running.stop('SIGKILL');
    return hit ? `stop, ${moment()}` : undefined;
  }
  rkt.ok(...pod);
  const child = start('gc', '--grace-period=0');
  const hit = killAfter(child, 20 + random() * 60);
  await ended(child);
  return hit ? `gc, ${moment()}` : undefined;
}

test(`${wanted} kills at random moments (RKT_SEED=${seed}): one gc leaves nothing`, { timeout: soak ? 900_000 : 120_000 }, async () => {
  const histogram = new Map<string, number>();
  const before = residue();
  const missing = (): string[] => (soak ? stepKinds.filter((kind) => ![...histogram.keys()].some((key) => key.includes(kind))) : []);
  let hits = 0;
  for (let tries = 0; (hits < wanted || missing().length > 0) && tries < wanted * 6; tries++) {
    const what = await attempt(tries % 4);
    if (what !== undefined) {
      hits++;
      histogram.set(what, (histogram.get(what) ?? 0) + 1);
    }
    rkt.gc();
    expect(rkt.podDirectories(), what).toEqual([]);
    expect(leftSince(before), what).toEqual([]);
  }
  console.log(
    [...histogram]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, count]) => `${String(count).padStart(4)}  ${what}`)
      .join('\n'),
  );
  expect(hits).toBeGreaterThanOrEqual(wanted);
  expect(missing()).toEqual([]);
});
