/** ACIs: every compression, manifests first and last, what is kept of them, what is refused. */
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tarArchive, tarMember, type TarMember } from '../../../src/build/tar-writer.ts';
import type { SignedAci } from '../../../src/stage0/aci/fetch.ts';
import { imagePaths } from '../../../src/state/images/layout.ts';
import { defaultLimits } from '../../../src/stage0/render/limits.ts';
import { useHost } from '../../rig/host.ts';
import { aciOf, appcArch, manifestOf, rootfs, sha512, versioned, writeAci } from './aci-rig.ts';
import { ImageRig, richTree, run, treeOf } from './image-rig.ts';

useHost();
const rig = new ImageRig();
const fetch = (path: string) => rig.fetch(path, { signatures: 'ignore' });
const layerOf = async (path: string): Promise<string> => rig.store.layerPaths(await fetch(path))[0] ?? '';

/** An ACI by GNU tar: `rootfs` is a tree of everything. */
function richAci(...order: string[]): string {
  const layout = rig.directory('layout');
  richTree(rig.directory('layout/rootfs'));
  writeFileSync(join(layout, 'manifest'), JSON.stringify(manifestOf()));
  const path = rig.path('plain.aci');
  run('tar', '-C', layout, '--xattrs', '--xattrs-include=*', '--numeric-owner', '--format=posix', '-cf', path, ...order);
  return path;
}

describe('an archive of everything', () => {
  test.each([
    ['none', 'cat'],
    ['gzip', 'gzip'],
    ['bzip2', 'bzip2'],
    ['xz', 'xz'],
    ['zstd', 'zstd -q'],
    ['gzip in two parts', 'sh -c "head -c 100000 > a; cat > b; gzip < a; gzip < b"'],
  ])('%s: the tree that was packed, and the hash of what is inside', async (_, command) => {
    const plain = richAci('manifest', 'rootfs');
    run('sh', '-c', `cd ${rig.dir} && ${command} < plain.aci > app.aci`);
    const image = await fetch(rig.path('app.aci'));
    expect(image.id).toBe(`sha512:${run('sha512sum', plain).split(' ')[0] ?? ''}`);
    expect(treeOf(rig.store.layerPaths(image)[0] ?? '')).toEqual(treeOf(rig.path('layout/rootfs')));
  });
  test('the manifest last, names with "./", a name that is not .aci', async () => {
    const plain = richAci('./rootfs', './manifest');
    copyFileSync(plain, rig.path('image.tar'));
    const expected = treeOf(rig.path('layout/rootfs'));
    expect(treeOf(await layerOf(plain))).toEqual(expected);
    expect(treeOf(await layerOf(rig.path('image.tar')))).toEqual(expected);
  });
});

describe('what is kept', () => {
  const manifest = manifestOf({
    labels: versioned('1.2.0'),
    app: {
      exec: ['/bin/app', '-v'],
      user: '/bin/app',
      group: 'web',
      workingDirectory: '/srv',
      environment: [{ name: 'A', value: 'b=c' }],
      ports: [
        { name: 'http', protocol: 'tcp', port: 80 },
        { name: 'many', protocol: 'udp', port: 5000, count: 3 },
      ],
      mountPoints: [{ name: 'data', path: '/data' }],
    },
    annotations: [{ name: 'authors', value: 'me' }],
  });
  test('the manifest byte by byte, and what the rest of rkt knows of it', async () => {
    const text = `${JSON.stringify(manifest, null, 3)}\n\n`;
    writeAci(rig.path('app.aci'), text);
    const image = await fetch(rig.path('app.aci'));
    expect(readFileSync(imagePaths(rig.store.dataDir).blob(image.appc?.manifest ?? image.id), 'utf8')).toBe(text);
    expect(image).toMatchObject({
      os: 'linux',
      architecture: appcArch === 'aarch64' ? 'arm64' : appcArch,
      config: {
        entrypoint: ['/bin/app', '-v'],
        cmd: [],
        env: ['A=b=c'],
        user: '/bin/app:web',
        workingDir: '/srv',
        exposedPorts: ['80/tcp', '5000/udp', '5001/udp', '5002/udp'],
        volumes: ['/data'],
        labels: { authors: 'me' },
      },
      appc: { name: 'example.com/app', app: { exec: ['/bin/app', '-v'] } },
    });
    expect(readdirSync(imagePaths(rig.store.dataDir).temporary)).toEqual([]);
  });
  test('it is known by its ID, its first digits, its name, its name with a version', async () => {
    const id = writeAci(rig.path('app.aci'), manifest);
    await fetch(rig.path('app.aci'));
    for (const text of [id, id.slice(0, 9), 'example.com/app', 'example.com/app:1.2.0', `example.com/app@${id}`])
      expect(rig.store.find(text)?.id, text).toBe(id.replace('-', ':'));
    expect(rig.store.find('example.com/app:2')).toBeUndefined();
    expect(() => rig.store.find('sha512-1')).toThrow('image ID too short');
    await expect(rig.fetch('sha512-0123')).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND', message: 'no image IDs found for sha512-0123' });
  });
  test('an archive does not get to say what busybox is', async () => {
    mkdirSync(rig.path('embedded/busybox'));
    writeAci(rig.path('app.aci'), manifestOf({ name: 'busybox' }));
    await fetch(rig.path('app.aci'));
    expect(rig.store.names()).toEqual([]);
  });
  test('a file that did not change is not unpacked again; one that did is another image', async () => {
    writeAci(rig.path('app.aci'), manifest);
    const first = await fetch(rig.path('app.aci'));
    const seen: number[] = [];
    const again = await rig.fetch(rig.path('app.aci'), { signatures: 'ignore', progress: () => seen.push(1) });
    expect([again.id, seen]).toEqual([first.id, []]);
    writeAci(rig.path('app.aci'), manifest, rootfs({ a: 'b' }));
    expect((await fetch(rig.path('app.aci'))).id).not.toBe(first.id);
    expect((await fetch(`file://${rig.path('app.aci')}`)).name).toBe(`file://${rig.path('app.aci')}`);
  });
  test('names that hide something in an OCI layer are names', async () => {
    const members = rootfs({ '.wh.a': 'x', 'd/.wh..wh..opq': 'y', '.wh..wh.plnk/f': 'z' });
    writeAci(rig.path('app.aci'), manifest, members);
    expect(readdirSync(await layerOf(rig.path('app.aci')), { recursive: true, encoding: 'utf8' }).sort()).toEqual([
      '.wh..wh.plnk',
      '.wh..wh.plnk/f',
      '.wh.a',
      'd',
      'd/.wh..wh..opq',
    ]);
  });
});

/** Fetches what must be refused; nothing of it stays. */
async function refused(
  bytes: Uint8Array,
  code: string,
  options: Parameters<ImageRig['fetch']>[1] = {},
): Promise<{ message: string; details: string[] }> {
  const victim = rig.directory('victim');
  writeFileSync(join(victim, 'passwd'), 'root');
  const before = treeOf(victim);
  writeFileSync(rig.path('app.aci'), bytes);
  const error: unknown = await rig.fetch(rig.path('app.aci'), { signatures: 'ignore', ...options }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code });
  expect(treeOf(victim)).toEqual(before);
  expect(rig.stored()).toEqual([]);
  return error as { message: string; details: string[] };
}
const hostile = (...members: TarMember[]): Buffer => aciOf(manifestOf(), [{ name: 'rootfs/', type: '5' }, ...members]);

describe('refused', () => {
  test.each<[string, string, string, () => Uint8Array]>([
    ['beside rootfs', 'ERR_IMAGE_INVALID', '"evil" is beside rootfs', () => hostile({ name: 'evil' })],
    ['a directory beside rootfs', 'ERR_IMAGE_INVALID', '"rootfs2/" is beside rootfs', () => hostile({ name: 'rootfs2/', type: '5' })],
    ['an absolute name', 'ERR_IMAGE_INVALID', '"/etc/passwd" is beside rootfs', () => hostile({ name: '/etc/passwd' })],
    ['a manifest in a directory', 'ERR_IMAGE_INVALID', '"manifest/x" is beside', () => hostile({ name: 'manifest/x' })],
    ['two manifests', 'ERR_IMAGE_INVALID', 'for the second time', () => hostile({ name: './manifest', data: '{}' })],
    ['a link as manifest', 'ERR_IMAGE_INVALID', 'is a symlink', () => tarArchive([{ name: 'manifest', type: '2', linkName: '/etc/passwd' }])],
    ['a hard link as manifest', 'ERR_IMAGE_INVALID', 'is a hardlink', () => tarArchive([{ name: 'manifest', type: '1', linkName: 'rootfs/m' }])],
    ['no manifest', 'ERR_IMAGE_INVALID', 'has no manifest', () => tarArchive(rootfs({ a: 'b' }))],
    ['no rootfs', 'ERR_IMAGE_INVALID', 'has no rootfs', () => aciOf(manifestOf(), [])],
    ['nothing', 'ERR_IMAGE_INVALID', 'has no manifest', () => Buffer.alloc(0)],
    ['no archive', 'ERR_IMAGE_INVALID', 'is no ACI', () => Buffer.from('#!/bin/sh\n'.repeat(200))],
    ['an encrypted one', 'ERR_IMAGE_INVALID', 'is no ACI', () => Buffer.from(`8c0d0409${'55'.repeat(2000)}`, 'hex')],
    ['a manifest that is not JSON', 'ERR_IMAGE_INVALID', 'is not JSON', () => aciOf('{', rootfs({}))],
    ['.. in rootfs', 'ERR_LAYER_ESCAPE', 'leads out', () => hostile({ name: 'rootfs/../../evil' })],
    ['.. to the manifest', 'ERR_LAYER_ESCAPE', 'leads out', () => hostile({ name: 'rootfs/../manifest', data: '{}' })],
    ['..', 'ERR_LAYER_ESCAPE', 'leads out', () => hostile({ name: '../evil' })],
    [
      'a hard link to the manifest',
      'ERR_LAYER_ESCAPE',
      'which is not in rootfs',
      () => hostile({ name: 'rootfs/h', type: '1', linkName: 'manifest' }),
    ],
    ['a hard link out', 'ERR_LAYER_ESCAPE', 'leads out', () => hostile({ name: 'rootfs/h', type: '1', linkName: 'rootfs/../../../etc/passwd' })],
    ['a hard link to an absolute path', 'ERR_LAYER_ESCAPE', 'not in rootfs', () => hostile({ name: 'rootfs/h', type: '1', linkName: '/etc/passwd' })],
    ['a hard link to nothing', 'ERR_LAYER_CORRUPT', 'does not have', () => hostile({ name: 'rootfs/h', type: '1', linkName: 'rootfs/x' })],
    [
      'a file through a link out',
      'ERR_LAYER_ESCAPE',
      'leads to nothing',
      () => hostile({ name: 'rootfs/out', type: '2', linkName: rig.path('victim') }, { name: 'rootfs/out/passwd', data: 'evil' }),
    ],
    ['rootfs as a link', 'ERR_LAYER_CORRUPT', 'makes the root a symlink', () => aciOf(manifestOf(), [{ name: 'rootfs', type: '2', linkName: '/' }])],
    ['rootfs as a file', 'ERR_LAYER_CORRUPT', 'makes the root a file', () => aciOf(manifestOf(), [{ name: 'rootfs', data: 'x' }])],
    ['cut short', 'ERR_LAYER_CORRUPT', 'cut short', () => hostile({ name: 'rootfs/a', data: 'x'.repeat(5000) }).subarray(0, 4000)],
    ['a file that was a directory', 'ERR_LAYER_CORRUPT', 'was a directory', () => hostile({ name: 'rootfs/a/', type: '5' }, { name: 'rootfs/a' })],
    ['a NUL', 'ERR_LAYER_CORRUPT', 'NUL', () => hostile({ name: 'p', type: 'x', data: '22 path=rootfs/a\0evil\n' }, { name: 'rootfs/x' })],
  ])('%s', async (_, code, message, bytes) => expect((await refused(bytes(), code)).message).toContain(message));

  test('every fault of the manifest, before anything is unpacked', async () => {
    const { message, details } = await refused(
      aciOf({ acKind: 'ImageManifest', name: 'A', labels: [{ name: 'os', value: 'plan9' }] }, [{ name: 'evil' }]),
      'ERR_IMAGE_INVALID',
    );
    expect(message).toContain('the manifest of');
    expect(details).toHaveLength(3);
  });
  test('more dependencies than layers can be mounted, before one of them is looked for', async () => {
    const dependencies = Array.from({ length: 20_000 }, (_, i) => ({ imageName: `d${i}` }));
    const { message } = await refused(aciOf(manifestOf({ dependencies }), rootfs({})), 'ERR_LAYER_LIMIT');
    expect(message).toContain('has 20000 dependencies');
  });
  test('a manifest that is too large', async () => {
    const limits = { ...defaultLimits, maxDocumentBytes: 100 };
    expect((await refused(hostile(), 'ERR_LAYER_LIMIT', { limits })).message).toContain('the manifest of');
  });
  test.each([
    ['gzip', 'gzip'],
    ['bzip2', 'bzip2'],
    ['xz', 'xz'],
    ['zstd', 'zstd -q'],
  ])('damaged %s', async (kind, command) => {
    writeFileSync(rig.path('a'), hostile({ name: 'rootfs/a', data: 'abc'.repeat(3000) }));
    run('sh', '-c', `cd ${rig.dir} && ${command} < a > b`);
    const bytes = readFileSync(rig.path('b'));
    expect((await refused(bytes.subarray(0, -9), 'ERR_LAYER_CORRUPT')).message).toContain(`not whole ${kind} data`);
  });
  test('a bomb', async () => {
    run('sh', '-c', `cd ${rig.dir} && head -c 200M /dev/zero | bzip2 > bomb`);
    const bytes = Buffer.concat([tarMember({ name: 'manifest', data: JSON.stringify(manifestOf()) }), tarMember({ name: 'rootfs/z', size: 2e8 })]);
    writeFileSync(rig.path('head'), bytes.subarray(0, -512));
    run('sh', '-c', `cd ${rig.dir} && { bzip2 < head; cat bomb; } > all`);
    const limits = { ...defaultLimits, maxLayerBytes: 1e8 };
    await refused(readFileSync(rig.path('all')), 'ERR_LAYER_LIMIT', { limits });
  });
  test.each([
    [[{ name: 'os', value: 'freebsd' }], 'is for freebsd, this machine is linux/'],
    [
      [
        { name: 'os', value: 'linux' },
        { name: 'arch', value: 's390x' },
      ],
      'is for linux/s390x, this machine is linux/',
    ],
  ])('an image for another machine: %j', async (labels, message) => {
    const error = await refused(aciOf(manifestOf({ labels }), rootfs({})), 'ERR_IMAGE_PLATFORM');
    expect(error.message).toContain(message);
    expect(error).toMatchObject({ hint: expect.stringContaining('labels os and arch') as unknown });
  });
  test('one without a signature, and one with a signature by nobody', async () => {
    const bytes = aciOf(manifestOf(), rootfs({}));
    const { message } = await refused(bytes, 'ERR_SIGNATURE_MISSING', { signatures: undefined });
    expect(message).toContain('app.aci.asc');
    writeFileSync(rig.path('app.aci.asc'), 'x');
    await refused(bytes, 'ERR_SIGNATURE_REFUSED', { signatures: undefined });
  });
});

test('what is asked about the signature before anything is unpacked, also of an archive that is known', async () => {
  const bytes = aciOf(manifestOf(), rootfs({ a: 'b' }));
  writeFileSync(rig.path('app.aci'), bytes);
  writeFileSync(rig.path('app.aci.asc'), 'signed by me');
  const asked: string[] = [];
  const signatures = ({ name, signature, path }: SignedAci): void => {
    expect(readFileSync(path)).toEqual(bytes);
    asked.push(`${name}, ${Buffer.from(signature).toString()}, ${rig.store.list().length}`);
  };
  const fail = (): never => {
    throw new Error('no');
  };
  const image = await rig.fetch(rig.path('app.aci'), { signatures });
  await rig.fetch(rig.path('app.aci'), { signatures });
  expect(image.id).toBe(`sha512:${sha512(bytes)}`);
  expect(asked).toEqual(['example.com/app, signed by me, 0', 'example.com/app, signed by me, 1']);
  await expect(rig.fetch(rig.path('app.aci'), { signatures: fail })).rejects.toThrow('no');
});

test.each([
  ['another owner', () => chownSync(rig.path('app.aci'), 1000, 1000)],
  ['a mode that lets others write', () => chmodSync(rig.path('app.aci'), 0o666)],
])('%s: what was signed is what is unpacked, whatever becomes of the file meanwhile', async (_, expose) => {
  const [signed, other] = ['signed', 'forged'].map((word) => aciOf(manifestOf(), rootfs({ a: word })));
  writeFileSync(rig.path('app.aci'), signed ?? '');
  writeFileSync(rig.path('app.aci.asc'), 'signed by me');
  expose();
  const signatures = (): void => writeFileSync(rig.path('app.aci'), other ?? '');
  const image = await rig.fetch(rig.path('app.aci'), { signatures });
  expect(readFileSync(join(rig.store.layerPaths(image)[0] ?? '', 'a'), 'utf8')).toBe('signed');
  expect(readdirSync(imagePaths(rig.store.dataDir).temporary)).toEqual([]);
});
