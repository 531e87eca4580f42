/** Images written out again: the same tree and the same configuration, whatever form they went through; skopeo, umoci and GNU tar are the oracles. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tarArchive } from '../../../src/build/tar-writer.ts';
import { appcManifest, parseTarget, renderImage, writeImage } from '../../../src/compose/image-output.ts';
import { checkImageManifest } from '../../../src/model/appc/image.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import { ociDocuments } from '../../../src/state/images/documents.ts';
import { useHost } from '../../rig/host.ts';
import { ImageRig, gzipped, plain, richTree, run, treeOf, writeLayout } from './image-rig.ts';

useHost();
const rig = new ImageRig();

const config = {
  User: '1000:50',
  Env: ['PATH=/bin', 'A=b=c'],
  Entrypoint: ['/bin/suid'],
  Cmd: ['-x', 'y'],
  WorkingDir: '/deep',
  ExposedPorts: { '80/tcp': {}, '53/udp': {} },
  Volumes: { '/var/lib/data': {} },
  Labels: { maintainer: 'me' },
  StopSignal: 'SIGQUIT',
  Healthcheck: { Test: ['NONE'] },
};

/** Two layers with everything in them: whiteouts, an opaque directory, directories that are not listed. */
async function richImage(): Promise<StoredImage> {
  const tree = richTree(rig.directory('tree'));
  run('tar', '-C', tree, '--xattrs', '--xattrs-include=*', '--numeric-owner', '--format=posix', '-cf', rig.path('layer.tar'), '.');
  const upper = tarArchive([
    { name: 'etc/.wh.shadow' },
    { name: 'deep/.wh..wh..opq' },
    { name: 'deep/only', data: 'this' },
    { name: 'tmp/inner/new', data: 'in directories that are not listed' },
    { name: 'bin/soft', data: 'a file now', mode: 0o4711, uid: 5 },
    { name: 'bin/softer', type: '1', linkName: 'bin/soft' },
  ]);
  return rig.fetch(`oci:${writeLayout(rig.path('web'), [gzipped(readFileSync(rig.path('layer.tar'))), plain(upper)], { tag: '1.0', config })}:1.0`);
}

/** As umoci unpacks it: what every other form must come to. */
function oracle(layout: string, tag: string): string[] {
  const bundle = rig.path(`bundle-${Math.random()}`);
  run('umoci', 'unpack', '--image', `${layout}:${tag}`, bundle);
  return treeOf(join(bundle, 'rootfs'));
}
const write = (image: StoredImage, to: string, overwrite = false): void => writeImage(rig.store, image, parseTarget(to), overwrite);
/** Directories that no layer lists have the time of their making. */
const withoutUnlisted = (lines: string[]): string[] =>
  lines.map((line) => (/^(deep|tmp|tmp\/inner):/.test(line) ? line.replace(/ \d{18,19}/, '') : line));
const sameTree = (actual: string[], expected: string[]): void => expect(withoutUnlisted(actual)).toEqual(withoutUnlisted(expected));

describe('the tree', () => {
  test('rendered: that of umoci, files with several names included', async () => {
    const image = await richImage();
    renderImage(rig.store, image, rig.path('out'), { rootfsOnly: true, overwrite: false, ownOnly: false });
    const expected = oracle(rig.path('web'), '1.0');
    expect(expected.length).toBeGreaterThan(25);
    expect(expected.some((line) => line.includes(' = '))).toBe(true);
    sameTree(treeOf(rig.path('out')), expected);
  });

  test('as an ACI, unpacked by GNU tar', async () => {
    const image = await richImage();
    write(image, rig.path('web.aci'));
    mkdirSync(rig.path('aci'));
    run('tar', '-C', rig.path('aci'), '--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpf', rig.path('web.aci'));
    expect(readdirSync(rig.path('aci')).sort()).toEqual(['manifest', 'rootfs']);
    sameTree(treeOf(rig.path('aci/rootfs')), oracle(rig.path('web'), '1.0'));
    expect(run('tar', '-tf', rig.path('web.aci')).split('\n').slice(0, 2)).toEqual(['manifest', 'rootfs/']);
    expect(checkImageManifest(readFileSync(rig.path('aci/manifest')), 'it').name).toBe('web');
  });

  test.each([
    ['a layout', (): string => `oci:${rig.path('out')}:2`, (): string => `oci:${rig.path('out')}:2`],
    ['an archive', (): string => rig.path('out.oci.tar'), (): string => `oci-archive:${rig.path('out.oci.tar')}`],
  ])('as %s: skopeo takes it, umoci and rkt see the same tree, layer by layer', async (_, to, from) => {
    const image = await richImage();
    write(image, to());
    run('skopeo', 'copy', '-q', from(), `oci:${rig.path('copy')}:c`);
    sameTree(oracle(rig.path('copy'), 'c'), oracle(rig.path('web'), '1.0'));
    const again = await rig.fetch(from());
    expect(ociDocuments(rig.store.dataDir, again).diffIds).toHaveLength(2);
    sameTree(
      rig.mounted(again, (root) => treeOf(root)),
      rig.mounted(image, (root) => treeOf(root)),
    );
    expect(again.config).toEqual(image.config);
    const { rootfs: _before, ...before } = ociDocuments(rig.store.dataDir, image).config;
    const { rootfs: _after, ...after } = ociDocuments(rig.store.dataDir, again).config;
    expect(after).toEqual(before);
  });

  test('written twice, the bytes are the same', async () => {
    const image = await richImage();
    write(image, rig.path('one.aci'));
    write(image, rig.path('two.aci'));
    expect(readFileSync(rig.path('one.aci')).equals(readFileSync(rig.path('two.aci')))).toBe(true);
  });

  test('names and times that a plain header cannot hold', async () => {
    const tree = rig.directory('tree');
    const long = 'l'.repeat(120);
    execFileSync(
      '/bin/sh',
      [
        '-ec',
        `mkdir -p ${long}/${long}; echo x > ${long}/${long}/f; ln ${long}/${long}/f hard; ln -s ${long}/${long}/f soft; chown 3000000:2097152 hard; touch -d '1901-01-01 00:00:00.5 UTC' ${long}; touch -d '1970-01-01 00:00:00 UTC' .`,
      ],
      { cwd: tree },
    );
    run('tar', '-C', tree, '--numeric-owner', '--format=posix', '-cf', rig.path('layer.tar'), '.');
    const image = await rig.fetch(writeLayout(rig.path('web'), [plain(readFileSync(rig.path('layer.tar')))]));
    write(image, rig.path('web.aci'));
    mkdirSync(rig.path('aci'));
    run('tar', '-C', rig.path('aci'), '--numeric-owner', '-xpf', rig.path('web.aci'));
    expect(treeOf(rig.path('aci/rootfs'))).toEqual(treeOf(tree));
  });
});

test('where overlay cannot be mounted the layers are copied', async () => {
  const [data, upper, work, lower] = [rig.directory('data'), rig.directory('upper'), rig.directory('work'), rig.directory('lower')];
  run('mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`, data);
  try {
    const layers = [
      plain(
        tarArchive([
          { name: '.', type: '5', mode: 0o711, mtime: 5 },
          { name: 'd/a', data: 'a' },
          { name: 'd/h', type: '1', linkName: 'd/a' },
        ]),
      ),
      plain(
        tarArchive([
          { name: 'd', type: '5', mode: 0o700, mtime: 7 },
          { name: 'd/b', data: 'b' },
        ]),
      ),
    ];
    const image = await rig.fetch(writeLayout(rig.path('web'), layers));
    renderImage(rig.store, image, rig.path('out'), { rootfsOnly: true, overwrite: false, ownOnly: false });
    sameTree(treeOf(rig.path('out')), oracle(rig.path('web'), 'latest'));
    expect(readdirSync(rig.path('data/cas/tmp'))).toEqual([]);
  } finally {
    run('umount', data);
  }
});

describe('layers and history', () => {
  test('history goes along when all layers do; layers that are hidden too', async () => {
    const layers = [plain(tarArchive([{ name: 'old', data: '1' }])), plain(tarArchive([{ name: '.wh..wh..opq' }, { name: 'new', data: '2' }]))];
    const history = [{ created_by: 'one' }, { created_by: 'nothing', empty_layer: true }, { created_by: 'two' }];
    const layout = writeLayout(rig.path('web'), layers, { change: ({ config }) => Object.assign(config, { history }) });
    const image = await rig.fetch(`oci:${layout}`);
    expect(image.layers).toHaveLength(1);
    write(image, `oci:${rig.path('out')}`);
    const again = await rig.fetch(`oci:${rig.path('out')}`);
    expect(ociDocuments(rig.store.dataDir, again).config['history']).toEqual(history);
    expect(ociDocuments(rig.store.dataDir, again).diffIds).toHaveLength(2);
    expect(rig.mounted(again, (root) => readdirSync(root))).toEqual(['new']);
    // The hidden one is gone: what can be seen is enough, and no history speaks of other layers.
    rmSync(rig.store.layerPaths({ layers: ociDocuments(rig.store.dataDir, image).diffIds })[1] ?? '', { recursive: true });
    write(image, `oci:${rig.path('less')}`);
    const less = await rig.fetch(`oci:${rig.path('less')}`);
    expect(ociDocuments(rig.store.dataDir, less).config['history']).toBeUndefined();
    expect(rig.mounted(less, (root) => readdirSync(root))).toEqual(['new']);
  });

  test('a layout gets one image more, and a tag that was there moves', async () => {
    const one = await rig.fetch(writeLayout(rig.path('one'), [plain(tarArchive([{ name: '1' }]))]));
    const two = await rig.fetch(writeLayout(rig.path('two'), [plain(tarArchive([{ name: '2' }]))]));
    const out = rig.path('out');
    write(one, `oci:${out}:a`);
    write(two, `oci:${out}:b`);
    write(two, `oci:${out}:a`);
    write(one, `oci:${out}:c`);
    const files = async (tag: string): Promise<string[]> => rig.mounted(await rig.fetch(`oci:${out}:${tag}`), (root) => readdirSync(root));
    expect([await files('a'), await files('b'), await files('c')]).toEqual([['2'], ['2'], ['1']]);
    mkdirSync(rig.path('other'));
    writeFileSync(rig.path('other/file'), '');
    expect(() => write(one, `oci:${rig.path('other')}`)).toThrow(expect.objectContaining({ code: 'ERR_IMAGE_OUTPUT' }));
    writeFileSync(join(out, 'index.json'), '{');
    expect(() => write(one, `oci:${out}:d`)).toThrow(expect.objectContaining({ code: 'ERR_IMAGE_INVALID' }));
  });
});

describe('where it goes', () => {
  test('what is there is not replaced unless asked, and not lost when something fails', async () => {
    const image = await rig.fetch(writeLayout(rig.path('web'), [plain(tarArchive([{ name: 'a', data: 'x' }]))]));
    const [file, directory] = [rig.path('web.aci'), rig.path('dir')];
    writeFileSync(file, 'mine');
    mkdirSync(directory);
    writeFileSync(join(directory, 'mine'), '');
    const options = { rootfsOnly: false, overwrite: false, ownOnly: false };
    expect(() => write(image, file)).toThrow(expect.objectContaining({ code: 'ERR_IMAGE_OUTPUT', hint: '--overwrite replaces it' }));
    expect(() => renderImage(rig.store, image, directory, options)).toThrow(
      expect.objectContaining({ code: 'ERR_IMAGE_OUTPUT', hint: 'try --overwrite' }),
    );
    expect(() => renderImage(rig.store, image, '/', { ...options, overwrite: true })).toThrow('this would delete your root filesystem');

    rmSync(rig.store.layerPaths(image)[0] ?? '', { recursive: true });
    for (const attempt of [() => write(image, file, true), () => renderImage(rig.store, image, directory, { ...options, overwrite: true })])
      expect(attempt).toThrow(expect.objectContaining({ code: 'ERR_IMAGE_NOT_FOUND' }));
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect(readdirSync(directory)).toEqual(['mine']);

    await rig.fetch(rig.path('web'));
    write(image, file, true);
    renderImage(rig.store, image, directory, { ...options, overwrite: true });
    expect(run('tar', '-tf', file)).toContain('rootfs/a');
    expect(readdirSync(directory).sort()).toEqual(['manifest', 'rootfs']);
    expect(readdirSync(rig.dir).filter((name) => name.includes('.rkt-'))).toEqual([]);
    expect(readdirSync(rig.path('data/cas/tmp'))).toEqual([]);
    expect(readdirSync(rig.path('data/cas/leases'))).toEqual([]);
  });

  test('a disk that is too full for it leaves nothing', async () => {
    const image = await rig.fetch(writeLayout(rig.path('web'), [gzipped(tarArchive([{ name: 'big', data: Buffer.alloc(3_000_000, 'x') }]))]));
    const small = rig.directory('small');
    run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'small', small);
    try {
      for (const to of [join(small, 'web.aci'), join(small, 'web.oci.tar'), `oci:${join(small, 'layout')}`]) {
        expect(() => write(image, to), to).toThrow(expect.objectContaining({ hint: expect.stringContaining('disk is full') as string }));
        rmSync(join(small, 'layout'), { recursive: true, force: true });
        expect(readdirSync(small), to).toEqual([]);
      }
      expect(() => renderImage(rig.store, image, join(small, 'dir'), { rootfsOnly: false, overwrite: false, ownOnly: false })).toThrow();
      expect(readdirSync(small)).toEqual([]);
    } finally {
      run('umount', small);
    }
    expect(existsSync(rig.path('data/cas/tmp')) ? readdirSync(rig.path('data/cas/tmp')) : []).toEqual([]);
  });
});

test('the manifest of an OCI image is one that appc allows', async () => {
  const image = await richImage();
  const manifest = appcManifest(rig.store.dataDir, image, true);
  expect(checkImageManifest(Buffer.from(JSON.stringify(manifest)), 'it')).toEqual(manifest);
});
