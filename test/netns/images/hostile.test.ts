/** Images that lie, are damaged, or want out: each is refused with its own code, and nothing of it stays. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createGzip } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { tarArchive, tarHeader, tarMember, type TarMember } from '../../../src/build/tar-writer.ts';
import { defaultLimits } from '../../../src/stage0/render/limits.ts';
import { useHost } from '../../rig/host.ts';
import { ImageRig, gzipped, hostArchitecture, plain, run, sha256, treeOf, writeLayout, type LayerBytes, type LayoutInput } from './image-rig.ts';

useHost();
const rig = new ImageRig();

/** Fetches an image that must be refused; the store must be as empty as before, and the victim untouched. */
async function refused(
  layers: readonly LayerBytes[],
  code: string,
  options: LayoutInput = {},
  fetchOptions: Parameters<ImageRig['fetch']>[1] = {},
): Promise<string> {
  const victim = rig.directory('victim');
  writeFileSync(`${victim}/passwd`, 'root');
  const before = treeOf(victim);
  const layout = writeLayout(rig.path('web'), layers, options);
  const fds = readdirSync('/proc/self/fd').length;
  const error: { code?: string; message?: string } = await rig.fetch(`oci:${layout}`, fetchOptions).then(
    () => ({}),
    (thrown: unknown) => thrown as { code: string; message: string },
  );
  expect(error).toMatchObject({ code });
  expect(treeOf(victim)).toEqual(before);
  expect(rig.stored()).toEqual([]);
  expect(readdirSync('/proc/self/fd').length, 'descriptors').toBeLessThanOrEqual(fds);
  return error.message ?? '';
}
const hostile = (...members: TarMember[]): LayerBytes[] => [gzipped(tarArchive(members))];
/** A symbolic link to the directory that must not be touched. */
const linkOut = (name: string): TarMember => ({ name, type: '2', linkName: rig.path('victim') });
const file = (name: string, data = 'evil'): TarMember => ({ name, data });

describe('ways out', () => {
  test.each<[string, (victim: string) => TarMember[]]>([
    ['..', () => [file('../evil')]],
    ['.. behind an absolute name', () => [file('/../evil')]],
    ['.. in the middle', () => [file('a/../../evil')]],
    ['.. that would stay inside', () => [file('a/b/../c')]],
    ['a directory', () => [{ name: '../d/', type: '5' }]],
    ['a whiteout of ..', () => [file('.wh...', '')]],
    ['a whiteout through ..', () => [file('../.wh.passwd', '')]],
    ['a file through an absolute link', () => [linkOut('out'), file('out/passwd')]],
    [
      'a file through a relative link',
      (victim) => [{ name: 'out', type: '2', linkName: `../../../../../../../../../..${victim}` }, file('out/passwd')],
    ],
    ['a file through two links', () => [linkOut('one'), { name: 'two', type: '2', linkName: 'one' }, file('two/new')]],
    ['a directory through a link', () => [linkOut('out'), { name: 'out/new/', type: '5' }]],
    ['a device through a link', () => [linkOut('out'), { name: 'out/null', type: '3', major: 1, minor: 3 }]],
    ['a link through a link', () => [linkOut('out'), { name: 'out/l', type: '2', linkName: 'x' }]],
    ['a link to /proc/self/root', () => [{ name: 'out', type: '2', linkName: '/proc/self/root/etc' }, file('out/evil')]],
    ['a hard link to ..', (victim) => [{ name: 'h', type: '1', linkName: `../../../../../../../../${victim}/passwd` }]],
  ])('%s', async (_, members) => void (await refused(hostile(...members(rig.path('victim'))), 'ERR_LAYER_ESCAPE')));

  test.each<[string, (victim: string) => TarMember[]]>([
    ['a hard link to an absolute path', (victim) => [{ name: 'h', type: '1', linkName: `${victim}/passwd` }]],
    ['a hard link through a link', () => [linkOut('out'), { name: 'h', type: '1', linkName: 'out/passwd' }]],
    [
      'a hard link to a link that leads out, then written to',
      () => [{ ...linkOut('out'), linkName: `${rig.path('victim')}/passwd` }, { name: 'h', type: '1', linkName: 'out' }, file('h', 'evil')],
    ],
    ['a hard link to a file of a lower layer', () => [{ name: 'h', type: '1', linkName: 'etc/passwd' }]],
    [
      'a hard link to a directory',
      () => [
        { name: 'd/', type: '5' },
        { name: 'h', type: '1', linkName: 'd' },
      ],
    ],
    ['a hard link to the root', () => [{ name: 'h', type: '1', linkName: '/' }]],
    ['a hard link to what is hidden', () => [file('.wh.a', ''), { name: 'h', type: '1', linkName: 'a' }]],
    ['a hard link to itself', () => [{ name: 'h', type: '1', linkName: 'h' }]],
    ['a loop of links', () => [{ name: 'a', type: '2', linkName: 'b' }, { name: 'b', type: '2', linkName: 'a' }, file('a/x')]],
    ['through a file', () => [file('f'), file('f/x')]],
    ['through a device', () => [{ name: 'n', type: '3', major: 1, minor: 3 }, file('n/x')]],
    ['a link that was a directory', () => [{ name: 'd/', type: '5' }, file('d/a'), linkOut('d'), file('d/passwd')]],
    ['a directory that was a link', () => [linkOut('d'), { name: 'd/', type: '5' }, file('d/passwd')]],
    ['a file that was a link', () => [{ name: 'l', type: '2', linkName: `${rig.path('victim')}/passwd` }, file('l')]],
    ['a fifo that was a file', () => [file('f'), { name: 'f', type: '6' }]],
    ['a directory that was a file', () => [file('f'), { name: 'f/', type: '5' }]],
    ['a file that was an unlisted directory', () => [file('d/a'), file('d')]],
    ['a root that is a file', () => [{ name: './', type: '2', linkName: rig.path('victim') }, file('passwd')]],
    ['a link to nothing', () => [{ name: 'l', type: '2' }]],
    ['a name of nothing', () => [{ name: '', data: 'x' }]],
    ['a NUL in a long name', () => [{ name: 'p', type: 'x', data: '13 path=a\0b.\n' }, file('x')]],
    ['a hidden file without a name', () => [file('.wh.', '')]],
    ['a device that cannot be', () => [{ name: 'd', type: '3', major: 0o7777777, minor: 0 }]],
    ['an unknown type', () => [{ name: 'd', type: 'Z' }]],
  ])('%s', async (_, members) => void (await refused(hostile(...members(rig.path('victim'))), 'ERR_LAYER_CORRUPT')));
});

describe('damage', () => {
  const tar = tarArchive([
    { name: 'a', data: 'x'.repeat(3000) },
    { name: 'b', data: 'y' },
  ]);
  const wrongSum = Buffer.from(tar);
  wrongSum[3] = 0x41;

  test('truncated gzip', async () => {
    const whole = gzipped(tar);
    expect(await refused([{ ...whole, blob: whole.blob.subarray(0, -20) }], 'ERR_LAYER_CORRUPT')).toContain('not whole gzip data');
  });
  test('damaged gzip', async () => {
    const blob = Buffer.from(gzipped(tar).blob);
    blob.fill(0xff, 20, 40);
    await refused([{ tar, blob, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' }], 'ERR_LAYER_CORRUPT');
  });
  test('truncated and damaged zstd', async () => {
    writeFileSync(rig.path('t'), tar);
    run('zstd', '-q', rig.path('t'), '-o', rig.path('t.zst'));
    const blob = readFileSync(rig.path('t.zst'));
    expect(await refused([{ tar, blob: blob.subarray(0, -6) }], 'ERR_LAYER_CORRUPT')).toContain('not whole zstd data');
    run('rm', '-r', rig.path('web'));
    blob.fill(0xff, 12, 30);
    await refused([{ tar, blob }], 'ERR_LAYER_CORRUPT');
  });
  test('a compression that images may not have', async () => {
    expect(await refused([{ tar, blob: Buffer.from('fd377a585a000004', 'hex') }], 'ERR_LAYER_CORRUPT')).toContain('compressed with xz');
  });
  test('truncated tar', async () => {
    expect(await refused([plain(tar.subarray(0, 2048))], 'ERR_LAYER_CORRUPT')).toContain('cut short');
  });
  test('a wrong checksum', async () => void (await refused([gzipped(wrongSum)], 'ERR_LAYER_CORRUPT')));
  test('something behind a zero block', async () => void (await refused([plain(Buffer.concat([Buffer.alloc(512), tar]))], 'ERR_LAYER_CORRUPT')));
});

describe('digests', () => {
  const layer = (): LayerBytes => gzipped(tarArchive([{ name: 'a', data: 'good' }]));
  const overwrite = (digest: string, change: (bytes: Buffer) => Buffer): void => {
    const path = rig.path('web/blobs', digest.replace(':', '/'));
    writeFileSync(path, change(readFileSync(path)));
  };
  const flip =
    (at: number) =>
    (bytes: Buffer): Buffer => {
      const changed = Buffer.from(bytes);
      changed[changed.length + at] = (changed[changed.length + at] ?? 0) ^ 1;
      return changed;
    };

  test('the uncompressed content is another', async () => {
    const { blob, mediaType } = layer();
    await refused([{ blob, tar: Buffer.from('other'), mediaType: mediaType ?? '' }], 'ERR_IMAGE_DIGEST');
  });
  test('a layer blob was changed, where gzip notices and where it does not', async () => {
    for (const at of [-1, -10, -8 - 1]) {
      run('rm', '-rf', rig.path('web'));
      await refused([layer()], 'ERR_IMAGE_DIGEST', { change: ({ manifest }) => overwrite(manifest.layers[0]?.digest ?? '', flip(at)) });
    }
  });
  test('a plain layer blob was changed', async () => {
    await refused([plain(layer().tar)], 'ERR_IMAGE_DIGEST', {
      change: ({ manifest }) =>
        overwrite(manifest.layers[0]?.digest ?? '', (bytes) => Buffer.from(bytes.toString('latin1').replace('good', 'evil'), 'latin1')),
    });
  });
  test('sizes that lie', async () => {
    await refused([layer()], 'ERR_IMAGE_DIGEST', { change: ({ manifest }) => void (manifest.layers[0] !== undefined && manifest.layers[0].size++) });
  });
  test('another manifest, another configuration under the name of a digest', async () => {
    await refused([layer()], 'ERR_IMAGE_DIGEST', {
      change: ({ config, manifest }) => {
        const honest = JSON.stringify(config);
        writeFileSync(rig.path('web/blobs/sha256', sha256(honest)), honest.replace('linux', 'minix'));
        Object.assign(manifest.config, { digest: `sha256:${sha256(honest)}`, size: honest.length });
      },
    });
  });
  test('a configuration of docker save that is not what it is called', async () => {
    const config = JSON.stringify({ os: 'linux', architecture: hostArchitecture, rootfs: { type: 'layers', diff_ids: [] } });
    writeFileSync(
      rig.path('d.tar'),
      tarArchive([
        { name: `${'0'.repeat(64)}.json`, data: config },
        { name: 'manifest.json', data: JSON.stringify([{ Config: `${'0'.repeat(64)}.json`, RepoTags: [], Layers: [] }]) },
      ]),
    );
    await expect(rig.fetch(rig.path('d.tar'))).rejects.toMatchObject({ code: 'ERR_IMAGE_DIGEST' });
    expect(rig.stored()).toEqual([]);
  });
});

describe('too much', () => {
  const binarySize = (bytes: bigint, offset: number, member: TarMember): Buffer => {
    const archive = tarMember(member);
    archive.fill(0, offset, offset + 12);
    archive.writeBigUInt64BE(bytes, offset + 4);
    archive[offset] = 0x80;
    archive.fill(0x20, 148, 156);
    let sum = 0;
    for (const byte of archive.subarray(0, 512)) sum += byte;
    archive.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return archive;
  };
  const tenGB = 10n * 1000n ** 3n;

  test('a sparse file that claims 10 GB', async () => {
    expect(await refused([gzipped(binarySize(tenGB, 483, { name: 'sparse', type: 'S' }))], 'ERR_LAYER_LIMIT')).toContain('claims 10000000000 bytes');
  });
  test('a plain file that claims 10 GB', async () => {
    await refused([gzipped(binarySize(tenGB, 124, { name: 'large' }))], 'ERR_LAYER_LIMIT');
  });
  test('a bomb: 300 MB of zeros in 300 kB, refused when it is written', async () => {
    const zeros = Buffer.alloc(1024 ** 2);
    const gzip = createGzip();
    const parts: Buffer[] = [];
    gzip.on('data', (part: Buffer) => parts.push(part));
    gzip.write(tarHeader({ name: 'zeros', size: 300 * zeros.length }));
    for (let i = 0; i < 300; i++) gzip.write(zeros);
    gzip.end();
    await new Promise((done) => gzip.once('end', done));
    await refused(
      [{ tar: Buffer.from('never reached'), blob: Buffer.concat(parts) }],
      'ERR_LAYER_LIMIT',
      {},
      { limits: { ...defaultLimits, maxLayerBytes: 100 * 1024 ** 2, maxFileBytes: 50 * 1024 ** 2 } },
    );
    run('rm', '-r', rig.path('web'));
    await refused(
      [{ tar: Buffer.from('never reached'), blob: Buffer.concat(parts) }],
      'ERR_LAYER_LIMIT',
      {},
      { limits: { ...defaultLimits, maxLayerBytes: 100 * 1024 ** 2 } },
    );
  });
  test('zeros without end behind the end', async () => {
    await refused(
      [gzipped(Buffer.concat([tarArchive([{ name: 'a' }]), Buffer.alloc(2 * 1024 ** 2)]))],
      'ERR_LAYER_LIMIT',
      {},
      { limits: { ...defaultLimits, maxLayerBytes: 1024 ** 2 } },
    );
  });
  test('entries, directories nobody lists, long paths and names', async () => {
    const limits = { ...defaultLimits, maxEntries: 10 };
    const fresh = (): void => void run('rm', '-rf', rig.path('web'));
    await refused(hostile(...Array.from({ length: 11 }, (_, i) => file(`f${i}`))), 'ERR_LAYER_LIMIT', {}, { limits });
    fresh();
    await refused(hostile(file('d/'.repeat(11) + 'f')), 'ERR_LAYER_LIMIT', {}, { limits });
    fresh();
    await refused(hostile({ name: 'l', type: 'L', data: `${'d/'.repeat(2500)}f` }, file('x')), 'ERR_LAYER_LIMIT');
    fresh();
    await refused(hostile({ name: 'l', type: 'L', data: 'n'.repeat(300) }, file('x')), 'ERR_LAYER_LIMIT');
    fresh();
    await refused(hostile({ name: 'l', type: 'K', data: 't'.repeat(5000) }, { name: 'x', type: '2' }), 'ERR_LAYER_LIMIT');
  });
  test('more attributes than ext4 keeps of a file: its ENOSPC is not taken for a full disk', async ({ skip }) => {
    const type = run('stat', '-f', '-c', '%T', rig.dir).trim();
    skip(type !== 'ext2/ext3', `the store is on ${type}`);
    const record = (name: string): string => `${29 + name.length + 500} SCHILY.xattr.user.${name}=`.padEnd(28 + name.length + 500, 'v') + '\n';
    const records = Array.from({ length: 20 }, (_, i) => record(`a${String(i).padStart(2, '0')}`)).join('');
    expect(await refused(hostile({ name: 'p', type: 'x', data: records }, file('f')), 'ERR_LAYER_LIMIT')).toContain(
      'more than the file system keeps',
    );
  });
  test('documents and layers', async () => {
    await refused(hostile(file('a')), 'ERR_LAYER_LIMIT', { config: { Env: ['x'.repeat(5_000_000)] } });
    run('rm', '-r', rig.path('web'));
    await refused(
      Array.from({ length: 500 }, () => hostile(file('a'))[0] ?? plain(Buffer.alloc(0))),
      'ERR_LAYER_LIMIT',
    );
  });
});

describe('images that break their specification', () => {
  test.each<[string, NonNullable<LayoutInput['change']>, string, string?]>([
    ['fewer diff IDs than layers', ({ config }) => Object.assign(config, { rootfs: { type: 'layers', diff_ids: [] } }), 'ERR_IMAGE_INVALID'],
    [
      'a blob that is not there',
      ({ manifest }) => Object.assign(manifest.layers[0] ?? {}, { digest: `sha256:${'0'.repeat(64)}` }),
      'ERR_IMAGE_INVALID',
    ],
    [
      'a digest that is a path',
      ({ manifest }) => Object.assign(manifest.layers[0] ?? {}, { digest: 'sha256:../../../etc/passwd' }),
      'ERR_IMAGE_INVALID',
    ],
    [
      'an encrypted layer',
      ({ manifest }) => Object.assign(manifest.layers[0] ?? {}, { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip+encrypted' }),
      'ERR_IMAGE_INVALID',
    ],
    ['no os', ({ config }) => Object.assign(config, { os: undefined }), 'ERR_IMAGE_INVALID'],
    ['another os', ({ config }) => Object.assign(config, { os: 'freebsd' }), 'ERR_IMAGE_PLATFORM'],
    ['no image at all', ({ index }) => void (index.manifests.length = 0), 'ERR_IMAGE_INVALID'],
    [
      'indexes in indexes in indexes',
      ({ index }) => {
        const inner = (digest: string, size: number): string =>
          JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.index.v1+json', digest, size }] });
        let [digest, size] = [`sha256:${'0'.repeat(64)}`, 0];
        for (let depth = 0; depth < 6; depth++) {
          const text = inner(digest, size);
          writeFileSync(rig.path('web/blobs/sha256', sha256(text)), text);
          [digest, size] = [`sha256:${sha256(text)}`, text.length];
        }
        Object.assign(index.manifests[0] ?? {}, { mediaType: 'application/vnd.oci.image.index.v1+json', digest, size });
      },
      'ERR_IMAGE_INVALID',
      'indexes inside indexes',
    ],
  ])('%s', async (_, change, code, message = '') => expect(await refused(hostile(file('a')), code, { change })).toContain(message));

  test('a fifo as a blob does not block', async () => {
    await refused(hostile(file('a')), 'ERR_IMAGE_INVALID', {
      change: ({ manifest }) => {
        const path = rig.path('web/blobs', (manifest.layers[0]?.digest ?? '').replace(':', '/'));
        run('rm', path);
        run('mkfifo', path);
      },
    });
  });
  test('an archive that is cut short, one whose links are a loop', async () => {
    const layout = writeLayout(rig.path('web'), hostile(file('a', 'x'.repeat(10_000))));
    run('skopeo', 'copy', '-q', `oci:${layout}:latest`, `oci-archive:${rig.path('a.tar')}:latest`);
    const whole = readFileSync(rig.path('a.tar'));
    writeFileSync(rig.path('cut.tar'), whole.subarray(0, 700));
    await expect(rig.fetch(rig.path('cut.tar'))).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    writeFileSync(
      rig.path('loop.tar'),
      tarArchive([
        { name: 'manifest.json', type: '2', linkName: 'b' },
        { name: 'b', type: '2', linkName: 'manifest.json' },
      ]),
    );
    await expect(rig.fetch(rig.path('loop.tar'))).rejects.toMatchObject({
      code: 'ERR_IMAGE_INVALID',
      message: expect.stringContaining('loop of links') as string,
    });
    writeFileSync(rig.path('cut.tar.gz'), gzipped(whole).blob.subarray(0, 300));
    await expect(rig.fetch(rig.path('cut.tar.gz'))).rejects.toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    expect(rig.stored()).toEqual([]);
  });
  test('an archive cannot take the name of an image that comes with rkt', async () => {
    writeLayout(rig.path('embedded/busybox'), [plain(tarArchive([{ name: 'real' }]))]);
    const real = await rig.fetch('busybox');
    writeLayout(rig.path('evil/busybox'), [plain(tarArchive([{ name: 'evil' }]))]);
    const evil = await rig.fetch(`oci:${rig.path('evil/busybox')}`);
    expect(evil.id).not.toBe(real.id);
    expect(rig.store.find('busybox')?.id).toBe(real.id);
  });
});
