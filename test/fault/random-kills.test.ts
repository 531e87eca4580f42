/**
 * SIGKILL at random moments of run (the running pod included), stop, gc and rm, each followed by one gc: nothing is left.
 * Counted are kills that ended a live process. Where they hit, by the last record of the pod's journal, is printed as a
 * histogram. RKT_SOAK=1: 100 of them, and then aimed ones until every kind of step was hit. RKT_SEED repeats the moments.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sleepMs } from '../../src/host/clock.ts';
import type { JournalRecord } from '../../src/effects/journal.ts';
import type { StepKind } from '../../src/effects/steps.ts';
import { Random } from '../../src/lab/fuzz/random.ts';
import { phases } from '../../src/state/pod/layout.ts';
import { leftSince, residue, useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const soak = process.env['RKT_SOAK'] !== undefined;
const wanted = soak ? 100 : 20;
const seed = Number(process.env['RKT_SEED'] ?? Date.now() % 1_000_000);
/** A kind that is missing here does not compile. */
const order: Readonly<Record<StepKind, number>> = {
  'netns.create': 0,
  'network.attach': 1,
  'policy.attach': 2,
  'cgroup.create': 3,
  'app.prepare': 4,
  'rootfs.mount': 5,
  'pod.launch': 6,
};
const stepKinds = Object.keys(order) as StepKind[];
const aimsPerKind = 40;

const random = new Random(seed);

const pod = ['run', '--label=app=web', '--net=bridge,default', '--port=8080:80', 'busybox', '--exec=/bin/sleep', '--', '0.05'];
/** One whose exit leaves all of its undoing to gc. */
const kept = ['run', '--net-release=gc', ...pod.slice(1)];
const start = (args: readonly string[]): ChildProcess => spawn(rktPath, rkt.arguments(args), { stdio: 'ignore' });
const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((done) => void child.on('close', done));

/** Kills `child` after `ms`. The signal counts when it is what the process died of: one that had ended does not notice it. */
async function killAfter(child: ChildProcess, ms: number): Promise<boolean> {
  sleepMs(ms);
  child.kill('SIGKILL');
  await ended(child);
  return child.signalCode === 'SIGKILL';
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // not there yet, or moved on
  }
}
const namesOf = (dir: string): string[] => (existsSync(dir) ? readdirSync(dir) : []);

/** Phase and directory of the only pod there is. */
function onlyPod(): { phase: string; dir: string } | undefined {
  for (const phase of phases) {
    const [id] = namesOf(join(rkt.dataDir, 'pods', phase));
    if (id !== undefined) return { phase, dir: join(rkt.dataDir, 'pods', phase, id) };
  }
  return undefined;
}
/** Whole records only: the killed write may have left a torn one. */
const recordsIn = (text: string): JournalRecord[] => text.split('\n').slice(0, -1).map((line) => JSON.parse(line) as JournalRecord); // prettier-ignore
const kindOf = (records: readonly JournalRecord[], n: number): StepKind | undefined =>
  records.flatMap((record) => (record.at === 'intent' && record.n === n ? [record.step.kind] : []))[0];

/** Where in its life the only pod was caught. */
function moment(): string {
  const found = onlyPod();
  if (found === undefined) return 'no pod';
  const records = recordsIn(textOf(join(found.dir, 'journal')));
  const last = records.at(-1);
  if (last === undefined) return `${found.phase}: no journal`;
  const running = last.at === 'intent' && existsSync(join(found.dir, 'pid')) ? ', supervisor' : '';
  return `${found.phase}: ${last.at} ${kindOf(records, last.n) ?? '?'}${running}`;
}

/** How long an operation takes when nobody kills it: the range that moments are chosen from. */
async function durationMs(child: ChildProcess): Promise<number> {
  const from = performance.now();
  await ended(child);
  expect(child.exitCode).toBe(0);
  return performance.now() - from;
}

interface Attempt {
  readonly what: string;
  readonly hit: boolean;
}
/** Starts each operation in its setting and kills it within `ms` of its start. */
const operations = {
  run: async (ms: number): Promise<Attempt> => ({ what: 'run', hit: await killAfter(start(pod), ms) }),
  stop: async (ms: number): Promise<Attempt> => {
    const running = rkt.start(['--net=bridge,default', '--port=8080:80', 'busybox', '--exec=/bin/sleep', '--', '600']);
    const stopper = start(['stop', running.uuid]);
    const target = random.next() < 0.5 ? { what: 'stop', child: stopper } : { what: 'supervisor during stop', child: running.child };
    const hit = await killAfter(target.child, ms);
    await ended(stopper);
    await running.stop('SIGKILL'); // a stop that was killed may not have sent anything yet
    return { what: target.what, hit };
  },
  gc: async (ms: number): Promise<Attempt> => {
    rkt.ok(...(random.next() < 0.5 ? pod : kept));
    return { what: 'gc', hit: await killAfter(start(['gc', '--grace-period=0']), ms) };
  },
  rm: async (ms: number): Promise<Attempt> => {
    rkt.ok(...(random.next() < 0.5 ? pod : kept));
    return { what: 'rm', hit: await killAfter(start(['rm', ...namesOf(join(rkt.dataDir, 'pods/run'))]), ms) };
  },
} as const;
type Operation = keyof typeof operations;

async function measure(): Promise<Record<Operation, number>> {
  rkt.ok(...pod); // fetches the image
  rkt.gc();
  const run = await durationMs(start(pod));
  const gc = await durationMs(start(['gc', '--grace-period=0']));
  rkt.ok(...pod);
  const rm = await durationMs(start(['rm', ...namesOf(join(rkt.dataDir, 'pods/run'))]));
  const running = rkt.start(['--net=none', 'busybox', '--exec=/bin/sleep', '--', '600']);
  const stop = await durationMs(start(['stop', running.uuid]));
  await running.exited;
  rkt.gc();
  return { run, stop, gc, rm };
}

/**
 * Kills a run as soon as its journal has `count` records, or when it ends. Polled in a busy loop: a step may take less
 * than a timer's tick.
 */
async function killAtRecord(count: number): Promise<boolean> {
  const child = start(pod);
  const deadline = performance.now() + 5_000;
  for (let records = 0; records < count && performance.now() < deadline;) {
    const found = onlyPod();
    if (found !== undefined) records = textOf(join(found.dir, 'journal')).split('\n').length - 1;
  }
  return killAfter(child, 0);
}

/** Every `intent` and `done` of a whole run, in order. */
function recordsOfRun(): JournalRecord[] {
  rkt.ok(...pod);
  const records = recordsIn(textOf(join(onlyPod()?.dir ?? expect.fail('no pod'), 'journal')));
  rkt.gc();
  return records;
}

test(`${wanted} kills at random moments (RKT_SEED=${seed}): one gc leaves nothing`, { timeout: soak ? 900_000 : 120_000 }, async () => {
  console.log(`RKT_SEED=${seed}`);
  const before = residue();
  const durations = await measure();
  const histogram = new Map<string, number>();
  let hits = 0;
  /** Classifies, then cleans up by one gc and looks. */
  const conclude = ({ what, hit }: Attempt): void => {
    const where = `${what}, ${moment()}`;
    if (hit) {
      hits++;
      histogram.set(where, (histogram.get(where) ?? 0) + 1);
    }
    rkt.gc();
    expect(rkt.podDirectories(), where).toEqual([]);
    expect(leftSince(before), where).toEqual([]);
  };
  const missing = (): StepKind[] =>
    stepKinds.filter((kind) => ![...histogram.keys()].some((where) => new RegExp(`run: (intent|done) ${kind}`).test(where)));
  try {
    // Runs have the most places to be hit in: every other kill.
    const turns: readonly Operation[] = ['run', 'stop', 'run', 'gc', 'run', 'rm'];
    for (let tries = 0; hits < wanted && tries < wanted * 6; tries++) {
      const operation = turns[tries % turns.length] ?? 'run';
      conclude(await operations[operation](random.next() * durations[operation]));
    }
    expect(hits).toBeGreaterThanOrEqual(wanted);
    if (soak) {
      const whole = recordsOfRun();
      for (let tries = 0; missing().length > 0 && tries < aimsPerKind * stepKinds.length; tries++) {
        const kind = missing()[tries % missing().length];
        const place = whole.findIndex((record) => record.at === 'intent' && record.step.kind === kind) + 1;
        // The process goes on between the look and the signal: each miss aims at another record, up to two before the step.
        conclude({ what: 'aimed run', hit: await killAtRecord(Math.max(1, place - (tries % 3))) });
      }
      expect(missing(), 'kinds of steps that were never hit').toEqual([]);
    }
  } finally {
    const sorted = [...histogram].sort(([a], [b]) => (a < b ? -1 : 1));
    console.log(sorted.map(([where, count]) => `${String(count).padStart(4)}  ${where}`).join('\n'));
  }
  await expect.poll(() => existsSync(join(rkt.dataDir, 'pods-trash')), { timeout: 5_000 }).toBe(false);
});
