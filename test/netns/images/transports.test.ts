/** The same tree, however an image comes: three transports, every compression, every tar format; skopeo, umoci and GNU tar are the oracles. */
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { gzipSync } from 'node:zlib';
import { useHost } from '../../rig/host.ts';
import { ImageRig, gzipped, hostArchitecture, plain, richTree, run, sha256, treeOf, writeLayout } from './image-rig.ts';

useHost();
const rig = new ImageRig();

/** The tree as one layer of GNU tar. */
function tarOf(tree: string, ...flags: string[]): Buffer {
  run('tar', '-C', tree, '--xattrs', '--xattrs-include=*', '--numeric-owner', ...flags, '-cf', rig.path('layer.tar'), '.');
  return readFileSync(rig.path('layer.tar'));
}
const unpackedTree = async (reference: string): Promise<string[]> => treeOf(rig.store.layerPaths(await rig.fetch(reference))[0] ?? '');
const withoutXattrs = (lines: string[]): string[] => lines.map((line) => line.replace(/ (?:(?:user|trusted|security)\.\S+ ?)+$/, ''));

describe('a layer of everything', () => {
  test.each([
    ['pax', ['--format=posix']],
    ['pax with sparse 1.0', ['--format=posix', '--sparse']],
    ['pax with sparse 0.1', ['--format=posix', '--sparse', '--sparse-version=0.1']],
    ['pax with sparse 0.0', ['--format=posix', '--sparse', '--sparse-version=0.0']],
  ])('%s: the tree that was packed', async (_, flags) => {
    const tree = richTree(rig.directory('tree'));
    writeLayout(rig.path('web'), [gzipped(tarOf(tree, ...flags))]);
    const expected = treeOf(tree);
    expect(expected.length).toBeGreaterThan(35);
    expect(await unpackedTree('oci:' + rig.path('web'))).toEqual(expected);
  });
  test.each([[[]], [['--sparse']]])('GNU format %j: all but attributes and nanoseconds', async (flags) => {
    const tree = richTree(rig.directory('tree'));

    const tar = tarOf(tree, '--format=gnu', '--no-xattrs', ...flags);
    writeLayout(rig.path('web'), [plain(tar)]);
    expect(await unpackedTree(rig.path('web'))).toEqual(wholeSecondsDown(withoutXattrs(treeOf(tree))));
  });
  test('holes stay holes', async () => {
    const tree = richTree(rig.directory('tree'));
    writeLayout(rig.path('web'), [gzipped(tarOf(tree, '--format=posix', '--sparse'))]);
    const [layer = ''] = rig.store.layerPaths(await rig.fetch('oci:' + rig.path('web')));
    expect(Number(run('stat', '-c', '%b', `${layer}/hole`))).toBe(0);
    expect(Number(run('stat', '-c', '%b', `${layer}/sparse`))).toBeLessThan(64);
  });
});

/** Times rounded down to whole seconds, as GNU's format stores them. */
const wholeSecondsDown = (lines: string[]): string[] =>
  lines.map((line) =>
    line.replace(/ (-?\d+)( = \S.*)?$/, (whole, ns: string, link = '') => {
      if (ns.length < 5) return whole;
      const time = BigInt(ns);
      return ` ${time - (((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)}${link as string}`;
    }),
  );

describe('transports', () => {
  /** What umoci makes of the image; it knows no names that are not UTF-8 nor attributes it may not set. */
  const oracle = (layout: string, tag: string): string[] => {
    run('umoci', 'unpack', '--image', `${layout}:${tag}`, rig.path('bundle'));
    return treeOf(rig.path('bundle/rootfs'));
  };

  test('oci, oci-archive, docker-archive and zstd give the same tree as umoci', async () => {
    const tree = richTree(rig.directory('tree'));
    const layout = writeLayout(rig.path('web'), [gzipped(tarOf(tree, '--format=posix'))], {
      tag: '1.0',
      config: { Cmd: ['/bin/sh'], ExposedPorts: { '80/tcp': {} } },
    });
    const from = `oci:${layout}:1.0`;
    run('skopeo', 'copy', '-q', from, `oci-archive:${rig.path('a.tar')}:1.0`);
    run('skopeo', 'copy', '-q', from, `docker-archive:${rig.path('d.tar')}:web:1.0`);
    const expected = oracle(layout, '1.0');
    expect(expected.length).toBeGreaterThan(35);

    const references = [
      from,
      `oci-archive:${rig.path('a.tar')}:1.0`,
      `docker-archive:${rig.path('d.tar')}`,
      `docker-archive:${rig.path('d.tar')}:web:1.0`,
      rig.path('web:1.0'),
      rig.path('a.tar'),
      rig.path('d.tar'),
    ];
    for (const reference of references) {
      rmSync(rig.store.dataDir, { recursive: true, force: true });
      const image = await rig.fetch(reference);
      expect(image, reference).toMatchObject({
        name: reference,
        config: { cmd: ['/bin/sh'], exposedPorts: ['80/tcp'] },
        os: 'linux',
        architecture: hostArchitecture,
      });
      const [layer = ''] = rig.store.layerPaths(image);
      expect(treeOf(layer), reference).toEqual(expected);
    }
    // Two of the transports know the digests: one image.
    expect((await rig.fetch(from)).id).toBe((await rig.fetch(rig.path('a.tar'))).id);
  });

  test('zstd layers made by skopeo', async () => {
    const tree = richTree(rig.directory('tree'));
    const layout = writeLayout(rig.path('web'), [plain(tarOf(tree, '--format=posix'))]);
    run('skopeo', 'copy', '-q', '--dest-compress', '--dest-compress-format', 'zstd', `oci:${layout}:latest`, `oci:${rig.path('zstd')}:latest`);
    const blobs = readdirSync(rig.path('zstd/blobs/sha256')).map((name) => readFileSync(rig.path('zstd/blobs/sha256', name)).toString('hex', 0, 4));
    expect(blobs).toContain('28b52ffd');
    expect(await unpackedTree('oci:' + rig.path('zstd'))).toEqual(treeOf(tree));
  });

  test.each(['gzip', 'zstd'])('a whole archive compressed with %s', async (program) => {
    const layout = writeLayout(rig.path('web'), [gzipped(tarOf(richTree(rig.directory('tree')), '--format=posix'))]);
    run('skopeo', 'copy', '-q', `oci:${layout}:latest`, `docker-archive:${rig.path('d.tar')}:web:latest`);
    const straight = await rig.fetch(rig.path('d.tar'));
    run(program, '-q', rig.path('d.tar'));
    const file = readdirSync(rig.dir).find((name) => name.startsWith('d.tar.')) ?? '';
    expect((await rig.fetch(rig.path(file))).id).toBe(straight.id);
    expect(rig.stored().filter((path) => path.startsWith('tmp/'))).toEqual([]);
  });

  test('an image of podman save and docker save: layers behind links, layers that are compressed', async () => {
    const tar = tarOf(richTree(rig.directory('tree')), '--format=posix');
    const config = JSON.stringify({
      os: 'linux',
      architecture: hostArchitecture,
      config: {},
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(tar)}`, `sha256:${sha256(tar)}`] },
    });
    const box = rig.directory('box');
    run('mkdir', `${box}/one`, `${box}/two`);
    writeFileSync(`${box}/one/layer.tar`, gzipSync(tar));
    run('ln', '-s', '../one/layer.tar', `${box}/two/layer.tar`);
    writeFileSync(`${box}/${sha256(config)}.json`, config);
    writeFileSync(
      `${box}/manifest.json`,
      JSON.stringify([{ Config: `${sha256(config)}.json`, RepoTags: ['quay.io/ann/web:2'], Layers: ['one/layer.tar', 'two/layer.tar'] }]),
    );
    run('tar', '-C', box, '-cf', rig.path('d.tar'), '.');
    const image = await rig.fetch(rig.path('d.tar'));
    expect(image.layers).toHaveLength(2);
    // An overlay mount refuses a layer twice (ELOOP).
    expect(rig.store.layerPaths(image)).toHaveLength(1);
    expect(rig.mounted(image, (root) => readFileSync(`${root}/etc/passwd`, 'utf8'))).toContain('root');
    expect(rig.store.find('quay.io/ann/web:2')?.id).toBe(image.id);
  });

  test('zstd is missing', async () => {
    const layout = writeLayout(rig.path('web'), [plain(tarOf(richTree(rig.directory('tree')), '--format=posix'))]);
    run('skopeo', 'copy', '-q', '--dest-compress', '--dest-compress-format', 'zstd', `oci:${layout}:latest`, `oci:${rig.path('zstd')}:latest`);
    const path = process.env['PATH'];
    process.env['PATH'] = rig.directory('nothing');
    try {
      await expect(rig.fetch('oci:' + rig.path('zstd'))).rejects.toMatchObject({ code: 'ERR_HOST_PROGRAM_MISSING', hint: 'apt install zstd' });
    } finally {
      process.env['PATH'] = path;
    }
    expect(rig.stored()).toEqual([]);
  });
});

describe('which image of several', () => {
  const layer = () => gzipped(tarOf(rig.directory('tree'), '--format=posix'));
  test('tags, platforms, and indexes in indexes', async () => {
    const box = rig.path('box');
    const mine = writeLayout(rig.path('mine'), [layer()], { config: { User: 'mine' } });
    const other = writeLayout(rig.path('other'), [layer()], { config: { User: 'other' }, platform: { os: 'linux', architecture: 's390x' } });
    const entryOf = (layout: string): { digest: string; annotations?: Record<string, string> } =>
      (JSON.parse(readFileSync(`${layout}/index.json`, 'utf8')) as { manifests: [{ digest: string }] }).manifests[0];
    run('cp', '-r', mine, box);
    run('cp', '-r', `${other}/blobs`, box);
    const index = (manifests: unknown[]): string =>
      JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests });
    const inner = index([
      { ...entryOf(other), annotations: undefined },
      { ...entryOf(mine), annotations: undefined },
    ]);
    writeFileSync(`${box}/blobs/sha256/${sha256(inner)}`, inner);
    const nested = { mediaType: 'application/vnd.oci.image.index.v1+json', digest: `sha256:${sha256(inner)}`, size: inner.length };
    const tagged = (entry: object, tag: string): object => ({ ...entry, annotations: { 'org.opencontainers.image.ref.name': tag } });
    writeFileSync(`${box}/index.json`, index([tagged(nested, 'multi'), tagged(entryOf(other), 'other'), tagged(entryOf(mine), 'quay.io/x/mine:3')]));
    expect((await rig.fetch(`oci:${box}:multi`)).config.user).toBe('mine');
    expect((await rig.fetch(`oci:${box}:quay.io/x/mine:3`)).config.user).toBe('mine');
    expect(rig.store.find('quay.io/x/mine:3')?.config.user).toBe('mine');
    expect(rig.store.find('box:multi')?.config.user).toBe('mine');
    await expect(rig.fetch(`oci:${box}:other`)).rejects.toMatchObject({ code: 'ERR_IMAGE_PLATFORM' });
    await expect(rig.fetch(`oci:${box}`)).rejects.toMatchObject({ code: 'ERR_IMAGE_REFERENCE', details: ['multi', 'other', 'quay.io/x/mine:3'] });
    await expect(rig.fetch(`oci:${box}:mutli`)).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' });
  });

  test('the wrong transport, a file that is no image', async () => {
    const layout = writeLayout(rig.path('web'), [layer()]);
    run('skopeo', 'copy', '-q', `oci:${layout}:latest`, `oci-archive:${rig.path('a.tar')}:latest`);
    await expect(rig.fetch(`oci:${rig.path('a.tar')}`)).rejects.toMatchObject({
      code: 'ERR_IMAGE_REFERENCE',
      hint: `oci-archive:${rig.path('a.tar')}`,
    });
    await expect(rig.fetch(`docker-archive:${layout}`)).rejects.toMatchObject({ code: 'ERR_IMAGE_REFERENCE', hint: `oci:${layout}` });
    await expect(rig.fetch(`docker-archive:${rig.path('a.tar')}`)).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    await expect(rig.fetch(rig.path('none.tar'))).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' });
    await expect(rig.fetch(rig.directory('empty'))).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    copyFileSync('/bin/busybox', rig.path('busybox.tar'));
    await expect(rig.fetch(rig.path('busybox.tar'))).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    run('mkfifo', rig.path('fifo.tar'));
    await expect(rig.fetch(rig.path('fifo.tar'))).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    expect(rig.stored()).toEqual([]);
  });
});
