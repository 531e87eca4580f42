/** The store between processes: concurrent fetches, killed ones, sources that change, names that move. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { tarArchive } from '../../../src/build/tar-writer.ts';
import { tryLock } from '../../../src/host/flock.ts';
import type { Digest } from '../../../src/model/ids.ts';
import { imagePaths } from '../../../src/state/images/layout.ts';
import { sweepTemporary } from '../../../src/state/images/staging.ts';
import { openStore } from '../../../src/state/images/store.ts';
import { cpuMs } from '../../rig/cpu.ts';
import { buildDriver } from '../../rig/driver.ts';
import { useHost } from '../../rig/host.ts';
import { ImageRig, gzipped, plain, run, treeOf, writeLayout } from './image-rig.ts';

declare const __DIST__: string;

useHost();
const rig = new ImageRig();
let driver = '';
beforeAll(() => {
  const directory = `/tmp/rkt-fetch-driver-${process.pid}`;
  driver = buildDriver(join(import.meta.dirname, 'fetch-driver.ts'), directory, __DIST__);
  return () => rmSync(directory, { recursive: true, force: true });
});

/** Many small files: long enough to be interrupted. */
const manyFiles = (count: number) =>
  gzipped(tarArchive(Array.from({ length: count }, (_, i) => ({ name: `d${i % 50}/f${i}`, data: `content ${i}` }))));
const start = (reference: string): ChildProcess =>
  spawn(process.execPath, [driver, rig.store.dataDir, rig.path('embedded'), reference], { stdio: ['ignore', 'pipe', 'inherit'] });
async function outcome(child: ChildProcess): Promise<string> {
  let out = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()));
  await once(child, 'close');
  return out.trim().split('\n').at(-1) ?? '';
}
const temporary = (): string[] => rig.stored().filter((path) => path.startsWith('tmp/') && path.split('/').length === 2);
async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not happen');
    await new Promise((done) => setTimeout(done, 2));
  }
}

describe('several processes', () => {
  test('four fetch the same image at once: one image, each layer unpacked once', async () => {
    const layout = writeLayout(rig.path('web'), [manyFiles(2000), plain(tarArchive([{ name: 'top' }]))]);
    const ids = await Promise.all(Array.from({ length: 4 }, () => outcome(start(`oci:${layout}`))));
    expect(new Set(ids)).toEqual(new Set([expect.stringMatching(/^sha256:[0-9a-f]{64}$/)]));
    expect(temporary()).toEqual([]);
    expect(readdirSync(rig.path('data/cas/layers')).filter((name) => !name.includes('.'))).toHaveLength(2);
    const image = rig.store.find(ids[0] ?? '');
    const [, bottom = ''] = rig.store.layerPaths(image ?? expect.fail('no image'));
    expect(treeOf(bottom)).toHaveLength(2000 + 50 + 1);
  });

  test('the same layer twice in one process: the second waits for the first', async () => {
    const layers = [manyFiles(500)];
    const [one, two] = [
      writeLayout(rig.path('one'), layers, { config: { User: '1' } }),
      writeLayout(rig.path('two'), layers, { config: { User: '2' } }),
    ];
    const images = await Promise.all([rig.fetch(`oci:${one}`), rig.fetch(`oci:${two}`)]);
    expect(new Set(images.map(({ id }) => id)).size).toBe(2);
    expect(rig.store.layerPaths(images[0])).toEqual(rig.store.layerPaths(images[1]));
  });

  test('killed while it unpacks: nothing is taken for a layer, the next fetch succeeds, gc removes the rest', async () => {
    const layout = writeLayout(rig.path('web'), [manyFiles(20_000)]);
    const child = start(`oci:${layout}`);
    await until(() => temporary().length > 0 && existsSync(rig.path('data/cas', temporary()[0] ?? '', 'rootfs/d7')));
    // Somebody works there: it is not swept.
    expect(sweepTemporary(rig.store.dataDir)).toEqual([]);
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(temporary()).toHaveLength(1);
    expect(existsSync(rig.path('data/cas/layers')) ? readdirSync(rig.path('data/cas/layers')) : []).toEqual([]);
    expect(rig.store.list()).toEqual([]);

    const image = await rig.fetch(`oci:${layout}`);
    expect(treeOf(rig.store.layerPaths(image)[0] ?? '')).toHaveLength(20_051);
    expect(temporary()).toEqual([]);

    mkdirSync(rig.path('data/cas/tmp/layer-of-somebody-dead/rootfs'), { recursive: true });
    writeFileSync(rig.path('data/cas/tmp/a-file'), '');
    expect(sweepTemporary(rig.store.dataDir).sort()).toEqual(['a-file', 'layer-of-somebody-dead']);
    expect(temporary()).toEqual([]);
  });

  test('one waits for another that unpacks the same layer, and takes over when it is killed', async () => {
    const layout = writeLayout(rig.path('web'), [manyFiles(20_000)]);
    const first = start(`oci:${layout}`);
    await until(() => temporary().length > 0 && existsSync(rig.path('data/cas', temporary()[0] ?? '', 'rootfs/d7')));
    const second = start(`oci:${layout}`);
    const result = outcome(second);
    first.kill('SIGKILL');
    expect(await result).toMatch(/^sha256:/);
    expect(temporary()).toEqual([]);
  });
});

describe('what is found', () => {
  const layer = plain(tarArchive([{ name: 'a' }]));

  test('by name, by id, by the first digits of the id', async () => {
    const layout = writeLayout(rig.path('web'), [layer], { tag: '1' });
    const image = await rig.fetch(`oci:${layout}:1`);
    const hex = image.id.slice('sha256:'.length);
    for (const text of ['web:1', image.id, `sha256-${hex}`, `sha256-${hex.slice(0, 6)}`, `sha256:${hex.slice(0, 2)}`, `web@${image.id}`])
      expect(rig.store.find(text)?.id, text).toBe(image.id);
    for (const text of ['web', 'web:2', `sha256-${hex.slice(0, 5)}${hex[5] === '0' ? '1' : '0'}`, './web', `oci:${layout}`])
      expect(rig.store.find(text), text).toBeUndefined();
    expect(() => rig.store.find('sha256-a')).toThrow(expect.objectContaining({ code: 'ERR_IMAGE_REFERENCE', message: 'image ID too short' }));
    expect(rig.store.find('web:1')?.name).toBe('web:1');
    expect(rig.store.list().map(({ id, name }) => [id, name])).toEqual([[image.id, 'web:1']]);
    expect(rig.store.names()).toEqual(['web:1']);
  });
  test('an ambiguous id', async () => {
    const seen = new Map<string, string>();
    for (let i = 0; ; i++) {
      const image = await rig.fetch(`oci:${writeLayout(rig.path(`web${i}`), [layer], { config: { User: String(i) } })}`);
      const short = image.id.slice('sha256:'.length, 'sha256:'.length + 2);
      if (seen.has(short)) {
        expect(() => rig.store.find(`sha256-${short}`)).toThrow(
          expect.objectContaining({ code: 'ERR_IMAGE_REFERENCE', message: expect.stringContaining('ambiguous image ID') as string }),
        );
        return;
      }
      seen.set(short, image.id);
    }
  });
  test('a name moves to what was fetched last; a source is read again only when it changed', async () => {
    const layout = writeLayout(rig.path('web'), [layer], { config: { User: 'one' } });
    const one = await rig.fetch(`oci:${layout}`);
    const blob = join(layout, 'blobs/sha256', one.id.slice('sha256:'.length));
    const aside = rig.path('aside');
    renameSync(blob, aside);
    expect((await rig.fetch(`oci:${layout}`)).id).toBe(one.id);
    utimesSync(join(layout, 'index.json'), 1, 1);
    await expect(rig.fetch(`oci:${layout}`)).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    renameSync(aside, blob);
    writeLayout(layout, [layer], { config: { User: 'two' } });
    expect((await rig.fetch(`oci:${layout}`)).config.user).toBe('two');
    expect(rig.store.find('web')?.config.user).toBe('two');
    expect(rig.store.find(one.id)?.config.user).toBe('one');
  });
  test('the embedded image: fetched when it is first asked for, and again when rkt brings another', async () => {
    const make = (user: string): void => void writeLayout(rig.path('embedded/busybox'), [layer], { config: { User: user } });
    make('one');
    expect(rig.store.find('busybox')).toBeUndefined();
    expect((await rig.fetch('busybox:latest')).name).toBe('busybox:latest');
    expect(rig.store.find('busybox')?.config.user).toBe('one');
    make('two');
    expect(rig.store.find('busybox')).toBeUndefined();
    expect((await rig.fetch('busybox')).config.user).toBe('two');
    await expect(rig.fetch('busibox')).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND', hint: 'did you mean busybox?' });
    await expect(rig.fetch('busybox:1')).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' });
    await expect(rig.fetch('sha256-0123')).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' });
  });
  test('what is damaged in the store is fetched anew', async () => {
    const layout = writeLayout(rig.path('web'), [layer]);
    const image = await rig.fetch(`oci:${layout}`);
    const [tree = ''] = rig.store.layerPaths(image);
    const record = rig.path('data/cas/images', `${image.id.slice('sha256:'.length)}.json`);
    for (const damage of [
      () => rmSync(tree, { recursive: true }),
      () => rmSync(`${tree}.json`),
      () => writeFileSync(record, '{"id":'),
      () => writeFileSync(record, '[]'),
      () => rmSync(record),
    ]) {
      damage();
      expect((await rig.fetch(`oci:${layout}`)).id).toBe(image.id);
      expect(rig.store.find('web')?.id).toBe(image.id);
      expect(readFileSync(join(tree, 'a'), 'utf8')).toBe('');
    }
  });
  test('a tree of unknown content never stands beside a record, wherever the work is interrupted', async () => {
    const diffId = `sha256:${'ab'.repeat(32)}` as Digest;
    const { layer: tree, layerRecord } = imagePaths(rig.store.dataDir);
    mkdirSync(join(tree(diffId), 'unknown'), { recursive: true });
    const filled = rig.store.addLayer(diffId, async () => {
      // In the way of the record: it is there, in effect, when the rest fails.
      mkdirSync(layerRecord(diffId));
      return { tarBytes: 0, entries: 0, opaqueRoot: false, implicit: [], whitedOut: [] };
    });
    await expect(filled).rejects.toMatchObject({ code: 'EISDIR' });
    expect(existsSync(tree(diffId))).toBe(false);
    expect(readdirSync(rig.path('data/cas/tmp'))).toEqual([]);
  });
  test('two layers with one short name', async () => {
    const layout = writeLayout(rig.path('web'), [layer]);
    const [tree = ''] = rig.store.layerPaths(await rig.fetch(`oci:${layout}`));
    const record = JSON.parse(readFileSync(`${tree}.json`, 'utf8')) as { diffId: string };
    writeFileSync(`${tree}.json`, JSON.stringify({ ...record, diffId: record.diffId.slice(0, -1) + (record.diffId.endsWith('0') ? '1' : '0') }));
    utimesSync(join(layout, 'index.json'), 1, 1);
    await expect(rig.fetch(`oci:${layout}`)).rejects.toMatchObject({ code: 'ERR_STORE_IO' });
  });
});

test('nobody but root gets through to set-user-id programs in the store', async () => {
  const before = process.umask(0);
  try {
    const image = await rig.fetch(writeLayout(rig.path('web'), [plain(tarArchive([{ name: 'suid', mode: 0o4755 }]))]));
    const [tree = ''] = rig.store.layerPaths(image);
    expect(statSync(join(tree, 'suid')).mode & 0o7777).toBe(0o4755);
    for (const path of ['data/cas', 'data/cas/layers', 'data/cas/tmp']) expect(statSync(rig.path(path)).mode & 0o007, path).toBe(0);
  } finally {
    process.umask(before);
  }
});

test('a stored image is found in a few small reads, far below two milliseconds', async () => {
  const layers = Array.from({ length: 10 }, (_, i) => plain(tarArchive([{ name: `f${i}` }])));
  await rig.fetch(`oci:${writeLayout(rig.path('web'), layers)}`);
  const times = Array.from({ length: 20 }, () =>
    cpuMs(() => {
      const store = openStore(rig.store.dataDir);
      store.layerPaths(store.find('web') ?? expect.fail('not found'));
    }),
  );
  expect(times.sort((a, b) => a - b)[10]).toBeLessThan(2);
});

test('a full disk leaves nothing, and says what to do', async () => {
  const data = rig.directory('data');
  run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'small', data);
  try {
    await expect(
      rig.fetch(writeLayout(rig.path('web'), [gzipped(tarArchive([{ name: 'big', data: Buffer.alloc(3_000_000, 'x') }]))])),
    ).rejects.toMatchObject({
      code: 'ERR_STORE_IO',
      hint: expect.stringContaining('disk is full') as string,
      details: [expect.stringMatching(/^the layers that are missing need 2\.9 MiB in 1 files; (0\.9|1\.0) MiB and \d+ files are free in /) as string],
    });
    expect(rig.stored()).toEqual([]);
    expect(tryLock(data, 'exclusive')?.release()).toBeUndefined();
  } finally {
    run('umount', data);
  }
});
