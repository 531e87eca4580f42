/** Layers large enough to be unpacked on threads of their own: the tree, and every error, is what it is without them. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tarArchive } from '../../../src/build/tar-writer.ts';
import { LayerThreads } from '../../../src/stage0/fetch/layer-threads.ts';
import { useHost } from '../../rig/host.ts';
import { noise } from '../registry/registry-rig.ts';
import { ImageRig, gzipped, sha256, treeOf, writeLayout, type LayerBytes } from './image-rig.ts';

useHost();
const rig = new ImageRig();

const layer = (name: string, seed: number): LayerBytes =>
  gzipped(
    tarArchive([
      { name: `${name}/`, type: '5', mtime: 1_600_000_000 + seed },
      { name: `${name}/noise`, data: noise(700_000, seed), uid: 1000 + seed, gid: 5, mode: 0o4750, mtime: 1_500_000_000 },
      { name: `${name}/empty`, data: '' },
      { name: `${name}/link`, type: '2', linkName: 'noise', mode: 0o777 },
    ]),
  );
const small = gzipped(tarArchive([{ name: 'small', data: 'small' }]));
const layers = [layer('a', 1), small, layer('b', 2), layer('c', 3), layer('d', 4)];

const threadsNow = (): number => readdirSync('/proc/self/task').length;
const blobOf = (layout: string, { blob }: LayerBytes): string => join(layout, 'blobs/sha256', sha256(blob));

test('an image of large layers has the trees of its layers, each flushed and recorded', async () => {
  const before = threadsNow();
  let most = 0;
  const image = await rig.fetch(writeLayout(rig.path('image'), layers), { progress: () => (most = Math.max(most, threadsNow())) });
  expect(most).toBeGreaterThanOrEqual(before + LayerThreads.most);
  const trees = rig.store.layerPaths(image).reverse();
  expect(trees.map((tree) => readdirSync(tree).filter((name) => !name.startsWith('.')))).toEqual([['a'], ['small'], ['b'], ['c'], ['d']]);
  for (const [i, seed] of [1, 2, 3, 4].entries()) {
    const name = 'abcd'[i] ?? '';
    const tree = trees[i === 0 ? 0 : i + 1] ?? '';
    expect(readFileSync(join(tree, name, 'noise')).equals(noise(700_000, seed))).toBe(true);
    expect(treeOf(tree).find((line) => line.startsWith(`${name}/noise:`))).toMatch(new RegExp(`4750.*${1000 + seed}`));
  }
});

test('a blob that was changed in the middle is told as what it is, and no image is left', async () => {
  const layout = writeLayout(rig.path('image'), layers);
  const path = blobOf(layout, layers[2] as LayerBytes);
  writeFileSync(path, readFileSync(path).fill(0, 300_000, 300_100));
  await expect(rig.fetch(layout)).rejects.toMatchObject({
    code: 'ERR_IMAGE_DIGEST',
    message: expect.stringMatching(/its blob has the digest/) as string,
    exitCode: 254,
  });
  expect(rig.stored().filter((file) => /^(images|names)\//.test(file))).toEqual([]);
  expect(readdirSync(join(rig.store.dataDir, 'cas/tmp'))).toEqual([]);
});

test('an archive that is packed wrongly is its packer’s fault, with code and words as without a thread', async () => {
  const bad = gzipped(Buffer.concat([noise(600_000, 9), Buffer.from('no header')]));
  const layout = writeLayout(rig.path('image'), [layers[0] as LayerBytes, bad]);
  await expect(rig.fetch(layout)).rejects.toMatchObject({ code: 'ERR_LAYER_CORRUPT', message: expect.stringMatching(/header at byte 0/) as string });
});
