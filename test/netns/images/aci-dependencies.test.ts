/** ACIs upon ACIs: exact trees of three levels, diamonds and whitelists, and what is refused. */
import { existsSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lsetxattr } from '../../../src/host/linux.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import type { FetchDependency } from '../../../src/stage0/aci/dependencies.ts';
import { fetchAci, type AciServices } from '../../../src/stage0/aci/fetch.ts';
import { platformOf } from '../../../src/stage0/fetch/platform.ts';
import { defaultLimits } from '../../../src/stage0/render/limits.ts';
import { useHost } from '../../rig/host.ts';
import { manifestOf, rootfs, versioned, writeAci, type AciInput } from './aci-rig.ts';
import { ImageRig, run, treeOf } from './image-rig.ts';

useHost();
const rig = new ImageRig();

type Files = Readonly<Record<string, string>>;
/** Writes the ACI `NAME.aci`, called example.com/NAME. @returns its image ID */
const write = (name: string, files: Files, input: AciInput = {}): string =>
  writeAci(rig.path(`${name}.aci`), manifestOf({ name: `example.com/${name}`, ...input }), rootfs(files));
const fetch = (name: string, fetchDependency: FetchDependency = () => Promise.resolve(undefined)): Promise<StoredImage> => {
  const path = rig.path(`${name}.aci`);
  return fetchAci({ path, written: path, origin: path, chain: [] }, services(fetchDependency));
};
const services = (fetchDependency: FetchDependency): AciServices => ({
  store: rig.store,
  limits: defaultLimits,
  platform: platformOf(process.arch),
  progress: () => undefined,
  reserved: [],
  signatures: 'ignore',
  fetchDependency,
});
/** Writes and fetches. */
async function put(name: string, files: Files, input: AciInput = {}): Promise<StoredImage> {
  write(name, files, input);
  return fetch(name);
}
const on = (...names: string[]) => names.map((name) => ({ imageName: `example.com/${name}` }));

/** What one sees: directories end with a slash, links say where to. */
function look(root: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (directory: string): void => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        found[`${path}/`] = '';
        visit(path);
      } else found[path] = entry.isSymbolicLink() ? `-> ${readlinkSync(join(root, path))}` : readFileSync(join(root, path), 'utf8');
    }
  };
  visit('');
  return found;
}
const seen = (image: StoredImage): Record<string, string> => rig.mounted(image, look);

describe('what one sees', () => {
  test('three levels: each upon its own, the last word has who depends', async () => {
    await put('base', { 'etc/os': 'base', 'etc/all': 'base', 'bin/sh': 'base', 'gone/x': 'base', 'was-link': '-> etc', 'was-file': 'base' });
    await put('middle', { 'etc/all': 'middle', 'lib/m': 'middle', gone: 'a file now', 'was-link/inside': 'middle' }, { dependencies: on('base') });
    await put('top', { 'etc/all': 'top', 'was-file/in': 'top' }, { dependencies: on('middle') });
    const image = await put('app', { 'bin/app': 'app' }, { dependencies: on('top') });
    expect(seen(image)).toEqual({
      'bin/': '',
      'bin/app': 'app',
      'bin/sh': 'base',
      'etc/': '',
      'etc/all': 'top',
      'etc/os': 'base',
      gone: 'a file now',
      'lib/': '',
      'lib/m': 'middle',
      'was-file/': '',
      'was-file/in': 'top',
      'was-link/': '',
      'was-link/inside': 'middle',
    });
    expect(image.layers).toHaveLength(4);
  });
  test('order: files of C and what it is put upon are over those of B', async () => {
    await put('b', { f: 'b', b: 'b', shared: 'b' });
    await put('d', { f: 'd', shared: 'd' });
    await put('c', { c: 'c', shared: 'c' }, { dependencies: on('d') });
    expect(seen(await put('a', { a: 'a' }, { dependencies: on('b', 'c') }))).toEqual({ a: 'a', b: 'b', c: 'c', f: 'd', shared: 'c' });
    expect(seen(await put('a', { a: 'a' }, { dependencies: on('c', 'b') }))).toEqual({ a: 'a', b: 'b', c: 'c', f: 'b', shared: 'b' });
  });
  test('a diamond: D comes twice, and the second time over B', async () => {
    await put('d', { 'd/d': 'd', f: 'd', dir: 'a file' });
    await put('b', { f: 'b', 'd/d': 'b', 'd/b': 'b', 'dir/x': 'b' }, { dependencies: on('d') });
    await put('c', { c: 'c' }, { dependencies: on('d') });
    const image = await put('a', {}, { dependencies: on('b', 'c') });
    expect(seen(image)).toEqual({ c: 'c', 'd/': '', 'd/b': 'b', 'd/d': 'd', dir: 'a file', f: 'd' });
    expect(new Set(image.layers).size).toBe(image.layers.length);
  });
  test('directories nobody lists keep the owner and mode that an image below gave them', async () => {
    writeAci(rig.path('base.aci'), manifestOf({ name: 'example.com/base' }), [
      { name: 'rootfs/', type: '5' },
      { name: 'rootfs/srv/', type: '5', mode: 0o2750, uid: 7, gid: 8, mtime: 1e9 },
    ]);
    await fetch('base');
    writeAci(rig.path('app.aci'), manifestOf({ dependencies: on('base') }), [{ name: 'rootfs/srv/app', data: 'x' }]);
    const image = await fetch('app');
    rig.mounted(image, (root) => {
      const { mode, uid, gid, mtimeMs } = statSync(join(root, 'srv'));
      expect([mode & 0o7777, uid, gid, mtimeMs]).toEqual([0o2750, 7, 8, 1e12]);
    });
    // What corrects the directories of one is nothing that others are put upon.
    expect(image.appc?.rootfs).toEqual(image.layers.slice(0, 2));
    expect(image.layers).toHaveLength(3);
  });
});

describe('whitelists', () => {
  test('exactly what is listed, and the directories that lead there', async () => {
    await put('base', {
      'etc/passwd': 'base',
      'etc/shadow': 'base',
      'usr/lib/a.so': 'base',
      'usr/lib/b.so': 'base',
      'empty/': '',
      'var/log/x': 'base',
    });
    const pathWhitelist = ['/etc/passwd', '/usr/lib/a.so', '/bin/app', '/var/', '/missing', '//link/', '/link/passwd', '/bin/app/below', '/'];
    const image = await put('app', { 'bin/app': 'app', 'bin/tool': 'app', link: '-> etc' }, { dependencies: on('base'), pathWhitelist });
    expect(seen(image)).toEqual({
      'bin/': '',
      'bin/app': 'app',
      'etc/': '',
      'etc/passwd': 'base',
      link: '-> etc',
      'usr/': '',
      'usr/lib/': '',
      'usr/lib/a.so': 'base',
      'var/': '',
    });
    expect(image.layers).toHaveLength(1);
  });
  test('metadata, attributes, hard links and special files are as they were', async () => {
    const layout = rig.directory('layout');
    run(
      'sh',
      '-ec',
      `cd ${layout}; mkdir -p rootfs/d/e rootfs/other; echo x > rootfs/d/e/a; ln rootfs/d/e/a rootfs/b; mkfifo rootfs/d/fifo; mknod rootfs/d/null c 1 3
       printf y > "$(printf 'rootfs/d/caf\\303\\251')"; chmod 4751 rootfs/d/e/a; chown 5:6 rootfs/d/e/a rootfs/d; chmod 2770 rootfs/d; chmod 711 rootfs; chown 3:4 rootfs`,
    );
    lsetxattr(join(layout, 'rootfs/d/e/a'), 'user.note', Buffer.from('n'));
    lsetxattr(join(layout, 'rootfs/d'), 'user.dir', Buffer.from('d'));
    run('sh', '-c', `cd ${layout}; find rootfs -depth -exec touch -h -d '2001-02-03 04:05:06.789' {} +`);
    const pathWhitelist = ['/d/e/a', '/b', '/d/fifo', '/d/null', '/d/café'];
    run('sh', '-c', `cat > ${layout}/manifest <<'X'\n${JSON.stringify(manifestOf({ pathWhitelist }))}\nX`);
    run('tar', '-C', layout, '--xattrs', '--xattrs-include=*', '--numeric-owner', '--format=posix', '-cf', rig.path('app.aci'), 'manifest', 'rootfs');
    const [layer = ''] = rig.store.layerPaths(await fetch('app'));
    run('rmdir', join(layout, 'rootfs/other'));
    expect(treeOf(layer)).toEqual(treeOf(join(layout, 'rootfs')));
    expect(statSync(layer).mode & 0o7777).toBe(0o711);
    // Its time changed with what was taken out of it, above.
    expect(statSync(layer).mtimeMs).toBe(new Date('2001-02-03T04:05:06.789').getTime());
  });
  test('the root is what the topmost makes of it that lists it', async () => {
    writeAci(rig.path('base.aci'), manifestOf({ name: 'example.com/base' }), [
      { name: 'rootfs/', type: '5', mode: 0o711, uid: 5, mtime: 1e9 },
      { name: 'rootfs/a', data: 'a' },
    ]);
    await fetch('base');
    writeAci(rig.path('app.aci'), manifestOf({ dependencies: on('base'), pathWhitelist: ['/a', '/b'] }), [{ name: 'rootfs/b', data: 'b' }]);
    const image = await fetch('app');
    const { mode, uid, mtimeMs } = statSync(rig.store.layerPaths(image)[0] ?? '');
    expect([mode & 0o7777, uid, mtimeMs]).toEqual([0o711, 5, 1e12]);
    expect(rig.store.layer(image.layers[0] ?? image.id)?.listsRoot).toBe(true);
  });
  test('the whitelist of a dependency is about that dependency, and hides nothing of others', async () => {
    await put('b', { 'etc/b': 'b', x: 'b' });
    await put('d', { 'etc/d': 'd', 'etc/secret': 'd' });
    await put('c', { c: 'c', x: 'c' }, { dependencies: on('d'), pathWhitelist: ['/etc/d', '/c'] });
    expect(seen(await put('a', { a: 'a' }, { dependencies: on('b', 'c') }))).toEqual({
      a: 'a',
      c: 'c',
      'etc/': '',
      'etc/b': 'b',
      'etc/d': 'd',
      x: 'b',
    });
  });
  test('three levels with three whitelists: what passes all of them', async () => {
    await put('base', { 'a/1': 'base', 'a/2': 'base', 'a/3': 'base', 'a/4': 'base' }, { pathWhitelist: ['/a/1', '/a/2', '/a/3'] });
    await put('middle', { 'a/2': 'middle', m: 'm', n: 'n' }, { dependencies: on('base'), pathWhitelist: ['/a/2', '/a/3', '/a/4', '/m', '/n'] });
    const image = await put(
      'app',
      { 'a/3': 'app', app: 'x' },
      { dependencies: on('middle'), pathWhitelist: ['/a/1', '/a/2', '/a/3', '/a/4', '/m', '/app'] },
    );
    expect(seen(image)).toEqual({ 'a/': '', 'a/2': 'middle', 'a/3': 'app', app: 'x', m: 'm' });
  });
  test('a link in the way of a listed path is not followed', async () => {
    await put('base', { 'etc/passwd': 'base', 'real/x': 'base' });
    const image = await put('app', { 'etc/': '', real: '-> /etc' }, { dependencies: on('base'), pathWhitelist: ['/real/x', '/real/passwd'] });
    expect(seen(image)).toEqual({});
  });
  test('the same list upon the same images is one layer; files take no more space', async () => {
    await put('base', { large: 'x'.repeat(100_000) });
    const one = await put('one', {}, { dependencies: on('base'), pathWhitelist: ['/large'] });
    const [layer = ''] = rig.store.layerPaths(one);
    expect(statSync(join(layer, 'large')).nlink).toBe(2);
    expect(existsSync(join(layer, 'large'))).toBe(true);
  });
});

describe('which image is meant', () => {
  const needing = (dependency: Record<string, unknown>) => ({ dependencies: [{ imageName: 'example.com/base', ...dependency }] });

  test('by labels: of several the one that came last', async () => {
    await put('base', { v: '1' }, { labels: versioned('1') });
    await put('base', { v: '2' }, { labels: versioned('2') });
    expect(seen(await put('app', {}, needing({})))).toEqual({ v: '2' });
    expect(seen(await put('app', {}, needing({ labels: [{ name: 'version', value: '1' }] })))).toEqual({ v: '1' });
  });
  test('an image that is fetched again is put upon what there is now', async () => {
    await put('base', { v: '1' }, { labels: versioned('1') });
    expect(seen(await put('app', { a: 'a' }, needing({})))).toEqual({ a: 'a', v: '1' });
    await put('base', { v: '2' }, { labels: versioned('2') });
    const again = await put('app', { a: 'a' }, needing({}));
    expect(seen(rig.store.image(again.id) ?? again)).toEqual({ a: 'a', v: '2' });
  });
  test('by image ID, whatever the labels', async () => {
    const id = write('base', { v: '1' }, { labels: versioned('1') });
    await fetch('base');
    await put('base', { v: '2' }, { labels: versioned('2') });
    expect(seen(await put('app', {}, needing({ imageID: id, labels: [{ name: 'version', value: '9' }] })))).toEqual({ v: '1' });
  });
  test('by size, of the archive or uncompressed', async () => {
    write('base', { v: '1' });
    const { size } = statSync(rig.path('base.aci'));
    run('gzip', rig.path('base.aci'));
    run('mv', rig.path('base.aci.gz'), rig.path('base.aci'));
    const compressed = statSync(rig.path('base.aci')).size;
    await fetch('base');
    for (const bytes of [size, compressed]) expect(seen(await put('app', {}, needing({ size: bytes })))).toEqual({ v: '1' });
    await expect(put('app', {}, needing({ size: 7 }))).rejects.toMatchObject({
      code: 'ERR_IMAGE_INVALID',
      message: `example.com/app needs example.com/base, and what there is has ${compressed} bytes (${size} uncompressed), not 7`,
    });
  });
  test('what is not there is told, all of it', async () => {
    await put('base', {}, { labels: versioned('1') });
    const dependencies = [...on('x'), ...on('base'), { imageName: 'example.com/base', labels: [{ name: 'version', value: '2' }] }];
    await expect(put('app', {}, { dependencies })).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: '2 dependencies of example.com/app are not to be had',
      details: [
        'example.com/app needs example.com/x, which is not in the store',
        'example.com/app needs example.com/base,version=2, which is not in the store',
      ],
      hint: expect.stringContaining('rkt fetch') as unknown,
    });
    expect(rig.store.list()).toHaveLength(1);
  });
  test('an image ID under another name is not taken', async () => {
    const id = write('other', {});
    await fetch('other');
    await expect(put('app', {}, needing({ imageID: id }))).rejects.toThrow('what there is is called example.com/other');
  });
  test('an OCI image is none', async () => {
    await expect(put('app', {}, needing({ imageID: `sha512-${'0'.repeat(128)}` }))).rejects.toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' });
  });
});

describe('dependencies that are fetched', () => {
  /** Fetches from the files of the rig, as discovery would from a server. */
  const asked: string[] = [];
  const fromFiles: FetchDependency = async ({ imageName, labels }, chain) => {
    asked.push(`${imageName} for ${chain.map(({ name }) => name).join(' ')}`);
    const path = rig.path(`${imageName.replace('example.com/', '')}.aci`);
    if (!existsSync(path)) return undefined;
    return fetchAci({ path, written: imageName, origin: imageName, wanted: { name: imageName, labels: labels ?? [] }, chain }, services(fromFiles));
  };

  test('three levels, each asked for once', async () => {
    write('base', { f: 'base' });
    write('left', { l: 'l' }, { dependencies: on('base') });
    write('right', { r: 'r' }, { dependencies: on('base') });
    write('app', { a: 'a' }, { dependencies: on('left', 'right') });
    asked.length = 0;
    expect(seen(await fetch('app', fromFiles))).toEqual({ a: 'a', f: 'base', l: 'l', r: 'r' });
    expect(asked).toEqual([
      'example.com/left for example.com/app',
      'example.com/base for example.com/app example.com/left',
      'example.com/right for example.com/app',
    ]);
    expect(rig.store.list()).toHaveLength(4);
  });
  test('a circle is refused by name, and nothing of it stays', async () => {
    write('a', {}, { dependencies: on('b') });
    write('b', {}, { dependencies: on('c') });
    write('c', {}, { dependencies: on('a') });
    await expect(fetch('a', fromFiles)).rejects.toMatchObject({
      code: 'ERR_IMAGE_INVALID',
      message: 'the dependencies of example.com/a lead in a circle: example.com/a needs example.com/b needs example.com/c needs example.com/a',
    });
    expect(rig.stored()).toEqual([]);
  });
  test('an image upon itself is a circle, upon an earlier version of itself it is none', async () => {
    write('a', {}, { dependencies: on('a') });
    await expect(fetch('a', fromFiles)).rejects.toThrow('in a circle: example.com/a needs example.com/a');
    await put('a', { v: '1' }, { labels: versioned('1') });
    const dependencies = [{ imageName: 'example.com/a', labels: [{ name: 'version', value: '1' }] }];
    expect(seen(await put('a', { w: '2' }, { labels: versioned('2'), dependencies }))).toEqual({ v: '1', w: '2' });
  });
  test('what comes must be what was asked for', async () => {
    write('base', {}, { labels: versioned('1.2.0') });
    write('app', {}, { dependencies: [{ imageName: 'example.com/base', labels: [{ name: 'version', value: '2.0' }] }] });
    await expect(fetch('app', fromFiles)).rejects.toThrow('requested value for label "version": "2.0" differs from fetched aci label value: "1.2.0"');
    write('base', {}, { name: 'example.com/other' });
    await expect(fetch('app', fromFiles)).rejects.toThrow('is called example.com/other, and example.com/base was asked for');
    write('app', {}, { dependencies: [{ imageName: 'example.com/base', labels: [{ name: 'x', value: 'y' }] }] });
    write('base', {});
    await expect(fetch('app', fromFiles)).rejects.toThrow('requested label "x" not provided by the image manifest');
  });
  test('a chain without end', async () => {
    for (let i = 0; i < 20; i++) write(`n${i}`, {}, { dependencies: on(`n${i + 1}`) });
    await expect(fetch('n0', fromFiles)).rejects.toThrow('more than 16 images deep');
  });
});
