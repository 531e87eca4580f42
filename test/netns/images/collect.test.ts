/** Removal from the store: what goes, what stays, what others that work in it at the same time may rely on. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tarArchive } from '../../../src/build/tar-writer.ts';
import { tryLock } from '../../../src/host/flock.ts';
import { newPodId } from '../../../src/host/uuid.ts';
import { collectImages, listImages, removeImages } from '../../../src/images.ts';
import type { Digest } from '../../../src/model/ids.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import type { Settings } from '../../../src/model/settings.ts';
import { imagePaths, layerId } from '../../../src/state/images/layout.ts';
import { lockStore, openLease } from '../../../src/state/images/locks.ts';
import { openStaging } from '../../../src/state/images/staging.ts';
import { imagesOfPods } from '../../../src/state/pod/images.ts';
import { ensurePhases } from '../../../src/state/pod/lifecycle.ts';
import { podFiles, podPath, type Phase } from '../../../src/state/pod/layout.ts';
import { useHost } from '../../rig/host.ts';
import { ImageRig, plain, writeLayout } from './image-rig.ts';

useHost();
const rig = new ImageRig();

const settings = (): Settings => ({
  dataDir: rig.store.dataDir,
  systemConfig: '/nonexistent',
  localConfig: '/nonexistent',
  userConfig: undefined,
  insecure: new Set(),
  trustKeysFromHttps: false,
});
const layer = (name: string) => plain(tarArchive([{ name, data: name }]));
const fetch = (name: string, ...layers: string[]): Promise<StoredImage> => rig.fetch(`oci:${writeLayout(rig.path(name), layers.map(layer))}`);
const gc = (graceMs = 0, dryRun = false) => collectImages(settings(), { graceMs, dryRun });
const paths = () => imagePaths(rig.store.dataDir);
const age = ({ id }: StoredImage, ms: number): void => {
  const then = new Date(Date.now() - ms);
  utimesSync(paths().image(id), then, then);
};
/** Layers that are there, by the first file in them. */
const layersThere = (): string[] => {
  const { layers } = paths();
  return existsSync(layers)
    ? readdirSync(layers)
        .filter((name) => !name.includes('.'))
        .map((name) => readdirSync(join(layers, name))[0] ?? '')
        .sort()
    : [];
};
/** A pod of the image, in a phase of its life. */
function podOf(phase: Phase, image: StoredImage): string {
  ensurePhases(rig.store.dataDir);
  const dir = podPath(rig.store.dataDir, phase, newPodId());
  const file = podFiles(dir).image('app');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(image));
  return dir;
}

describe('image gc', () => {
  test('what was not used for the grace period goes, with what only it has', async () => {
    const [old, young] = [await fetch('old', 'shared', 'o'), await fetch('young', 'shared', 'y')];
    age(old, 3_600_000);
    age(young, 60_000);
    expect(gc(7_200_000)).toEqual({ images: [], layers: [], strays: [] });
    const { images, layers, strays } = gc(3_500_000);
    expect(images.map(({ id }) => id)).toEqual([old.id]);
    expect(layers).toEqual([{ name: layerId(old.layers[1] as Digest), bytes: 2048 }]);
    expect(strays).toEqual([]);
    expect(layersThere()).toEqual(['shared', 'y']);
    expect(rig.store.find('old')).toBeUndefined();
    expect(rig.store.find('young')?.id).toBe(young.id);
    expect(rig.store.names()).toEqual(['young:latest']);
    expect(readdirSync(paths().sources)).toHaveLength(1);
    gc();
    expect(rig.stored()).toEqual([]);
  });

  test('using an image makes it young', async () => {
    const image = await fetch('web', 'w');
    age(image, 3_600_000);
    rig.store.use(image);
    expect(gc(60_000).images).toEqual([]);
    expect(Date.now() - (listImages(settings())[0]?.lastUsedMs ?? 0)).toBeLessThan(10_000);
  });

  test.each<[Phase, boolean]>([
    ['prepare', true],
    ['prepared', true],
    ['run', true],
    ['exited-garbage', true],
    ['garbage', false],
  ])('a pod in %s keeps its image: %s', async (phase, keeps) => {
    const image = await fetch('web', 'a', 'b');
    podOf(phase, image);
    age(image, 3_600_000);
    const { images } = gc();
    expect(images.map(({ id }) => id)).toEqual(keeps ? [] : [image.id]);
    expect(layersThere()).toEqual(keeps ? ['a', 'b'] : []);
  });

  test('a pod that moves on while it is looked at still counts', async () => {
    const image = await fetch('web', 'a');
    const dir = podOf('run', image);
    // Found in `run`, and in `exited-garbage` when it is read.
    let looked = 0;
    const { images } = imagesOfPods(rig.store.dataDir, () => {
      if (looked++ === 0) renameSync(dir, dir.replace('/run/', '/exited-garbage/'));
      return true;
    });
    expect(images).toEqual(new Set([image.id]));
    expect(looked).toBe(2);
  });

  test('dry run: says the same, touches nothing', async () => {
    const image = await fetch('web', 'a', 'b');
    mkdirSync(join(paths().temporary, 'left'), { recursive: true });
    const before = rig.stored();
    const said = gc(0, true);
    expect(said.images).toEqual([{ id: image.id, name: 'web:latest', lastUsedMs: expect.any(Number) as number }]);
    expect(said.strays).toEqual(['tmp/left']);
    expect(rig.stored()).toEqual(before);
    const done = gc();
    expect(done).toEqual(said);
  });

  test('strays: what belongs to no image, whatever it is', async () => {
    await fetch('web', 'a');
    const { cas, layers, blobs, names, sources, images, leases } = paths();
    const put = (path: string, content = 'x'): void => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
    };
    put(join(layers, 'aaaa/etc/passwd'));
    put(join(layers, 'aaaa.tree'));
    put(join(layers, 'bbbb.json'), '{');
    put(join(blobs, 'sha256', 'f'.repeat(64)));
    put(join(blobs, 'sha512', 'f'.repeat(128)));
    put(join(names, 'gone:latest.json'), JSON.stringify({ id: `sha256:${'0'.repeat(64)}` }));
    put(join(sources, 'damaged.json'), '{');
    put(join(images, 'damaged.json'), '{');
    put(join(leases, 'dead'), `sha256:${'1'.repeat(64)}\n`);
    put(join(cas, 'tmp/layer-dead/rootfs/x'));
    const { images: gone, layers: removed, strays } = gc(3_600_000);
    expect(gone).toEqual([]);
    expect(removed.map(({ name }) => name).sort()).toEqual(['aaaa', 'bbbb']);
    expect([...strays].sort()).toEqual([
      `blobs/sha256/${'f'.repeat(64)}`,
      `blobs/sha512/${'f'.repeat(128)}`,
      'images/damaged.json',
      'leases/dead',
      'names/gone:latest.json',
      'sources/damaged.json',
      'tmp/layer-dead',
    ]);
    expect(rig.store.find('web')).toBeDefined();
    expect(gc(3_600_000)).toEqual({ images: [], layers: [], strays: [] });
  });

  test('without grace it goes also when its file is of a moment that Date.now has not reached', async () => {
    age(await fetch('web', 'a'), -5_000);
    expect(gc().images).toHaveLength(1);
    expect(layersThere()).toEqual([]);
  });

  test('an image that is fetched for somebody stays until he has it', async () => {
    {
      using adding = rig.store.adding();
      void adding;
      await fetch('web', 'a');
      expect(gc().images).toEqual([]);
    }
    expect(gc().images).toHaveLength(1);
  });

  test('a layer under lease stays, and so does what somebody works in', async () => {
    const image = await fetch('web', 'a', 'b');
    using lease = openLease(rig.store.dataDir);
    lease.keep(image.layers[0] as Digest);
    using work = await openStaging(rig.store.dataDir, 'layer-busy');
    gc();
    expect(layersThere()).toEqual(['a']);
    expect(existsSync(work.dir)).toBe(true);
  });

  test('a fetch that adds layers is not disturbed: they stay until the image is there', async () => {
    const store = rig.store;
    const image = await fetch('web', 'a');
    removeImages(settings(), new Set([image.id]));
    const diffId = image.layers[0] as Digest;
    const facts = { tarBytes: 0, entries: 1, opaqueRoot: false, implicit: [], whitedOut: [] };
    const add = () => store.addLayer(diffId, ({ root }) => (writeFileSync(join(root, 'a'), 'a'), Promise.resolve(facts)));
    {
      using adding = store.adding();
      void adding;
      await add();
      gc();
      expect(layersThere()).toEqual(['a']);
      // Found, not made: it is kept all the same.
      await add();
      gc();
      expect(layersThere()).toEqual(['a']);
    }
    expect(readdirSync(paths().leases)).toEqual([]);
    gc();
    expect(layersThere()).toEqual([]);
  });

  test('who holds the store keeps it as it is', async () => {
    await fetch('web', 'a');
    using held = lockStore(rig.store.dataDir, 'shared');
    void held;
    expect(tryLock(paths().cas, 'exclusive')).toBeUndefined();
    expect(tryLock(paths().cas, 'shared')?.release()).toBeUndefined();
  });

  test('an empty store, and none at all', () => {
    expect(gc()).toEqual({ images: [], layers: [], strays: [] });
    rmSync(rig.store.dataDir, { recursive: true });
    expect(gc()).toEqual({ images: [], layers: [], strays: [] });
  });
});

describe('image rm', () => {
  test('removes an image with all its names; layers of others and of pods stay', async () => {
    const [one, two] = [await fetch('one', 'shared', '1'), await fetch('two', 'shared', '2')];
    rig.store.find('one');
    podOf('run', two);
    const { images, layers } = removeImages(settings(), new Set([one.id]));
    expect(images.map(({ id }) => id)).toEqual([one.id]);
    expect(layers).toHaveLength(1);
    expect(layersThere()).toEqual(['2', 'shared']);
    removeImages(settings(), new Set([two.id]));
    // The pod runs on; gc waits for it.
    expect(layersThere()).toEqual(['2', 'shared']);
    expect(rig.store.list()).toEqual([]);
    gc();
    expect(layersThere()).toEqual(['2', 'shared']);
  });

  test('leaves what does not belong to it', async () => {
    const image = await fetch('one', '1');
    mkdirSync(join(paths().temporary, 'left'), { recursive: true });
    mkdirSync(join(paths().layers, 'aaaa'));
    removeImages(settings(), new Set([image.id]));
    expect(existsSync(join(paths().temporary, 'left'))).toBe(true);
    expect(existsSync(join(paths().layers, 'aaaa'))).toBe(true);
  });
});

test('what is listed: sizes, what is shared, names, times', async () => {
  const before = Date.now();
  const one = await fetch('one', 'shared', '1');
  await fetch('two', 'shared', '2');
  await rig.fetch(`oci:${rig.path('one')}`);
  const facts = listImages(settings()).find(({ image }) => image.id === one.id);
  expect(facts?.names).toEqual(['one:latest']);
  expect(facts?.bytes).toBe(4096);
  expect(facts?.ownBytes).toBe(2048);
  expect(facts?.layers.map(({ sharedWith }) => sharedWith.length)).toEqual([1, 0]);
  expect(facts?.importedMs).toBeGreaterThanOrEqual(before);
  expect(statSync(paths().image(one.id)).mtimeMs).toBe(facts?.lastUsedMs);
  expect(JSON.parse(readFileSync(paths().image(one.id), 'utf8'))).toMatchObject({ origin: `oci:${rig.path('one')}` });
});
