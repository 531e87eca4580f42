/**
 * The image store under many processes at once and under SIGKILL: whoever asked for an image gets it, whatever image gc takes
 * meanwhile; after any kill the next command works, verification finds nothing, and gc leaves nothing behind.
 * RKT_SEED repeats the moments of the kills; RKT_SOAK=1 makes more of them.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { tarArchive } from '../../src/build/tar-writer.ts';
import { Random } from '../../src/lab/fuzz/random.ts';
import { gzipped, plain, run, writeLayout, type LayerBytes } from '../netns/images/image-rig.ts';
import { buildDriver } from '../rig/driver.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, dist, rktPath, type Outcome } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const soak = process.env['RKT_SOAK'] !== undefined;
const kills = soak ? 150 : 12;
const seed = Number(process.env['RKT_SEED'] ?? Date.now() % 1_000_000);

const random = new Random(seed);

/** Images whose layers overlap: a common one below, one of two or three in the middle, one of its own. */
let references: string[] = [];
let large = '';
const driverDirectory = `/tmp/rkt-gc-driver-${process.pid}`;
let driver = '';
beforeAll(() => {
  driver = buildDriver(join(import.meta.dirname, '../netns/images/gc-driver.ts'), driverDirectory, dist);
  return () => rmSync(driverDirectory, { recursive: true, force: true });
});
beforeAll(() => {
  const files = (name: string, count: number): LayerBytes =>
    gzipped(tarArchive(Array.from({ length: count }, (_, i) => ({ name: `${name}/d${i % 7}/f${i}`, data: `${name} ${i}`.repeat(20) }))));
  const base = gzipped(
    tarArchive([
      { name: 'bin/true', mode: 0o755, data: readFileSync('/bin/busybox') },
      { name: 'base', data: 'b' },
    ]),
  );
  const middle = [files('m0', 300), files('m1', 300)];
  references = Array.from({ length: 10 }, (_, i) => {
    const own = plain(tarArchive([{ name: `own${i}`, data: String(i) }, { name: 'm0/.wh.d1' }]));
    const layout = writeLayout(join(rkt.config, `image${i}`), [base, middle[i % 2] ?? base, own], { config: { Entrypoint: ['/bin/true'] } });
    if (i % 3 !== 0) return `oci:${layout}`;
    const archive = join(rkt.config, `image${i}.tar`);
    run('skopeo', 'copy', '-q', `oci:${layout}`, `docker-archive:${archive}:image${i}:latest`);
    return `docker-archive:${archive}`;
  });
  large = `oci:${writeLayout(join(rkt.config, 'large'), [base, files('a', 700), files('b', 700)])}`;
});

const cas = (...parts: string[]): string => join(rkt.dataDir, 'cas', ...parts);
const names = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);
/** Everything in the store that is no directory of its own. */
const files = (): string[] =>
  ['images', 'names', 'sources', 'layers', 'tmp', 'leases', 'blobs/sha256'].flatMap((part) => names(cas(part)).map((name) => `${part}/${name}`));

/** Runs image gc again and again until `work` is done: as commands, and without a pause by one process. */
async function besideGc<T>(work: Promise<T>): Promise<{ result: T; collections: number }> {
  let collections = 0;
  let working = true;
  const looping = spawn(process.execPath, [driver, rkt.dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  let counted = '';
  looping.stdout.on('data', (chunk: Buffer) => (counted += chunk.toString()));
  const collecting = (async () => {
    while (working) {
      const { status, stderr } = await rkt.launch(['image', 'gc', '--grace-period=0']);
      expect(status, stderr).toBe(0);
      collections++;
    }
  })();
  const result = await work.finally(() => {
    working = false;
    looping.kill('SIGTERM');
  });
  await collecting;
  await ended(looping);
  expect(looping.exitCode).toBe(0);
  return { result, collections: collections + Number(counted) };
}
const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode !== null || child.signalCode !== null ? Promise.resolve() : new Promise((done) => void child.on('close', done));
const failures = (outcomes: readonly Outcome[]): string[] => outcomes.filter(({ status }) => status !== 0).map(({ stderr }) => stderr);

test('20 fetches of overlapping images beside an image gc loop: all succeed, and nothing is left', async () => {
  const fetchers = Array.from({ length: 20 }, async (_, i) => {
    const outcomes: Outcome[] = [];
    for (let round = 0; round < 3; round++) outcomes.push(await rkt.launch(['fetch', references[(i + round * 3) % references.length] ?? '']));
    return outcomes;
  });
  const { result, collections } = await besideGc(Promise.all(fetchers));
  expect(failures(result.flat())).toEqual([]);
  expect(collections).toBeGreaterThan(20);
  rkt.ok('image', 'verify', '--no-repair');
  rkt.ok('image', 'gc', '--grace-period=0');
  expect(files()).toEqual([]);
});

test('runs beside an image gc loop: every pod finds its files', async () => {
  const runners = Array.from({ length: 3 }, async (_, i) => {
    const outcomes: Outcome[] = [];
    for (let round = 0; round < 4; round++) outcomes.push(await rkt.launch(['run', '--net=none', references[i + 1] ?? '', '--exec=/bin/true']));
    return outcomes;
  });
  const { result } = await besideGc(Promise.all(runners));
  expect(failures(result.flat())).toEqual([]);
  // Exited, and their images are still there for who wants to look into them.
  expect(rkt.pods().length).toBe(12);
  expect(names(cas('images'))).toHaveLength(3);
  rkt.ok('image', 'verify', '--no-repair');
  rkt.gc();
  rkt.ok('image', 'gc', '--grace-period=0');
  expect(files()).toEqual([]);
});

test('each layer is unpacked once, however many want it', async () => {
  const outcomes = await Promise.all(Array.from({ length: 6 }, () => rkt.launch(['fetch', large])));
  expect(failures(outcomes)).toEqual([]);
  expect(new Set(outcomes.map(({ stdout }) => stdout)).size).toBe(1);
  expect(names(cas('layers')).filter((name) => !name.includes('.'))).toHaveLength(3);
  expect(names(cas('tmp'))).toEqual([]);
  rkt.ok('image', 'gc', '--grace-period=0');
});

/** Changes a file of a layer. */
function damageSomething(): void {
  const layer = names(cas('layers')).find((name) => existsSync(cas('layers', name, 'a/d0/f0')));
  if (layer !== undefined) appendFileSync(cas('layers', layer, 'a/d0/f0'), 'x');
}

test(
  `${kills} kills of fetch, image rm, image gc, image verify and run: the next one goes on, nothing is damaged, nothing stays`,
  { timeout: soak ? 1_800_000 : 300_000 },
  async () => {
    console.log(`RKT_SEED=${seed}`);
    const commands: readonly (readonly string[])[] = [
      ['fetch', large],
      ['fetch', references[1] ?? '', references[2] ?? '', references[3] ?? ''],
      ['image', 'rm', 'large'],
      ['image', 'gc', '--grace-period=0'],
      ['image', 'verify'],
      ['run', '--net=none', references[2] ?? '', '--exec=/bin/true'],
    ];
    let landed = 0;
    for (let tries = 0; landed < kills && tries < kills * 4; tries++) {
      const command = commands[tries % commands.length] ?? [];
      if (command[0] === 'image') rkt.run(['fetch', large, references[4] ?? '']);
      if (command[1] === 'verify') damageSomething();
      const child = spawn(rktPath, rkt.arguments(command), { stdio: 'ignore' });
      await new Promise((done) => setTimeout(done, 30 + random.next() * 170));
      child.kill('SIGKILL');
      await ended(child);
      if (child.signalCode === 'SIGKILL') landed++;
      if (tries % commands.length !== commands.length - 1) continue;
      // The same again, to its end.
      const what = `seed ${seed}, try ${tries}: ${command.join(' ')}`;
      expect(rkt.run(['fetch', large, ...references.slice(0, 4)]).stderr, what).toBe('');
      // What verification was killed over may still be damaged, and is repaired now.
      expect(rkt.run(['image', 'verify']).status, what).toBe(0);
      const verified = rkt.run(['image', 'verify', '--no-repair']);
      expect(verified.status, `${what}\n${verified.stdout}${verified.stderr}`).toBe(0);
      rkt.gc();
      rkt.ok('image', 'gc', '--grace-period=0');
      expect(files(), what).toEqual([]);
    }
    expect(landed).toBe(kills);
  },
);
