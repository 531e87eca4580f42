/** Layers over each other: what an overlay mount of ours shows is what umoci makes of the same image. */
import { existsSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { tarArchive, type TarMember } from '../../../src/build/tar-writer.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import { useHost } from '../../rig/host.ts';
import { ImageRig, gzipped, plain, run, treeOf, writeLayout } from './image-rig.ts';

useHost();
const rig = new ImageRig();

const file = (name: string, data = name, more: Partial<TarMember> = {}): TarMember => ({ name, data, mtime: 1, ...more });
const folder = (name: string, more: Partial<TarMember> = {}): TarMember => ({ name: `${name}/`, type: '5', mtime: 2, ...more });
const symlink = (name: string, linkName: string): TarMember => ({ name, type: '2', linkName, mode: 0o777, mtime: 3 });
const hardlink = (name: string, linkName: string): TarMember => ({ name, type: '1', linkName });

const fetchLayers = (...layers: TarMember[][]): Promise<StoredImage> =>
  rig.fetch(
    writeLayout(
      rig.path('web'),
      layers.map((members) => gzipped(tarArchive(members))),
    ),
  );
/** Names in the mounted image, with the content of files. */
const shown = (image: StoredImage): string[] =>
  rig.mounted(image, (root) =>
    treeOf(root)
      .map((line) => line.split(': ')[0] ?? '')
      .map((name) => {
        const path = `${root}/${name}`;
        return existsSync(path) && run('stat', '-c', '%F', path).startsWith('regular') ? `${name}=${readFileSync(path, 'utf8')}` : name;
      })
      .slice(1),
  );
const umoci = (): string[] => {
  run('umoci', 'unpack', '--image', `${rig.path('web')}:latest`, rig.path('bundle'));
  return treeOf(rig.path('bundle/rootfs'));
};

describe('whiteouts', () => {
  const base = [
    folder('d'),
    file('d/a'),
    file('d/b'),
    folder('d/sub'),
    file('d/sub/x'),
    file('e'),
    symlink('link', 'e'),
    folder('gone'),
    file('gone/1'),
    folder('keep'),
    file('keep/1'),
  ];

  test.each<[string, TarMember[], string[]]>([
    [
      'a file, a link, a directory',
      [file('.wh.e', ''), file('.wh.link', ''), file('.wh.gone', ''), folder('d'), file('d/.wh.a', '')],
      ['d', 'd/b=d/b', 'd/sub', 'd/sub/x=d/sub/x', 'keep', 'keep/1=keep/1'],
    ],
    [
      'an opaque directory keeps what its own layer has',
      [folder('d'), file('d/c'), file('d/.wh..wh..opq', ''), file('d/z')],
      ['d', 'd/c=d/c', 'd/z=d/z', 'e=e', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'a whiteout before the directory that takes its place',
      [file('.wh.d', ''), folder('d'), file('d/new')],
      ['d', 'd/new=d/new', 'e=e', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'and after it',
      [folder('d'), file('d/new'), file('.wh.d', '')],
      ['d', 'd/new=d/new', 'e=e', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'and when the directory is not listed',
      [file('.wh.d', ''), file('d/new')],
      ['d', 'd/new=d/new', 'e=e', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'a whiteout of a file that its own layer has',
      [file('e', 'new'), file('.wh.e', '')],
      ['d', 'd/a=d/a', 'd/b=d/b', 'd/sub', 'd/sub/x=d/sub/x', 'e=new', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'and before it',
      [file('.wh.e', ''), file('e', 'new')],
      ['d', 'd/a=d/a', 'd/b=d/b', 'd/sub', 'd/sub/x=d/sub/x', 'e=new', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'a directory becomes a file, a file a directory',
      [file('gone', 'now a file'), file('e/inside')],
      ['d', 'd/a=d/a', 'd/b=d/b', 'd/sub', 'd/sub/x=d/sub/x', 'e', 'e/inside=e/inside', 'gone=now a file', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'what aufs left',
      [file('.wh..wh.plnk/1.2', 'x'), file('.wh..wh.aufs', 'x'), file('.wh.e', '')],
      ['d', 'd/a=d/a', 'd/b=d/b', 'd/sub', 'd/sub/x=d/sub/x', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'children of a directory that became a file, as umoci lists them',
      [file('d', 'file'), file('d/.wh.a', ''), file('d/sub/.wh.x', ''), file('d/.wh..wh..opq', '')],
      ['d=file', 'e=e', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    [
      'and before it',
      [file('d/.wh.a', ''), file('d/sub/.wh.x', ''), file('d', 'file')],
      ['d=file', 'e=e', 'gone', 'gone/1=gone/1', 'keep', 'keep/1=keep/1', 'link'],
    ],
    ['the whole root', [file('.wh..wh..opq', ''), file('only')], ['only=only']],
  ])('%s', async (_, upper, expected) => expect(shown(await fetchLayers(base, upper))).toEqual(expected));

  test('a layer above an opaque root still counts', async () => {
    const image = await fetchLayers(base, [file('.wh..wh..opq', ''), file('only')], [file('more')]);
    expect(shown(image)).toEqual(['more=more', 'only=only']);
    expect(rig.store.image(image.id)?.layers).toHaveLength(2);
  });
  test('that hide nothing, in a directory of one layer only', async () => {
    const image = await fetchLayers(
      [folder('q', { mode: 0o750, uid: 9 }), file('q/.wh.z', ''), file('q/y'), folder('d'), file('d/a')],
      [folder('d'), file('d/.wh..wh..opq', ''), file('d/.wh.gone', ''), file('d/b')],
    );
    expect(shown(image)).toEqual(['d', 'd/b=d/b', 'q', 'q/y=q/y']);
    expect(rig.mounted(image, (root) => treeOf(root)).find((line) => line.startsWith('q:'))).toBe('q: directory 750 9:0 2000000000');
  });
  test('in the lower directory: device 0:0 and the attribute, as overlay wants them', async () => {
    const [top = ''] = rig.store.layerPaths(await fetchLayers(base, [file('.wh.e', ''), folder('d'), file('d/.wh..wh..opq', '')]));
    expect(treeOf(top).slice(1)).toEqual([
      'd: directory 755 0:0 2000000000 trusted.overlay.opaque=79',
      expect.stringMatching(/^e: character 0:0 0 0:0/),
    ]);
  });
});

describe('one layer', () => {
  test('what is named twice counts the second time', async () => {
    const image = await fetchLayers([
      folder('d', { mode: 0o700 }),
      file('d/a', 'one'),
      hardlink('d/h', 'd/a'),
      file('d/a', 'two', { mode: 0o600 }),
      symlink('s', 'x'),
      symlink('s', 'd'),
      folder('d', { mode: 0o711, mtime: 9 }),
      file('s/in'),
    ]);
    expect(shown(image)).toEqual(['d', 'd/a=two', 'd/h=one', 'd/in=s/in', 's']);
    const [layer = ''] = rig.store.layerPaths(image);
    expect(treeOf(layer)[1]).toBe('d: directory 711 0:0 9000000000');
  });
  test('a file in place of a directory of whiteouts, which are named again', async () => {
    const layer = [file('a/.wh.x', ''), file('a'), file('a/.wh.y', '')];
    expect(shown(await fetchLayers([folder('a'), file('a/x'), file('a/y')], layer))).toEqual(['a=a']);
  });
  test('what is written through a link that changed goes where it leads now', async () => {
    const image = await fetchLayers([
      folder('one'),
      folder('two'),
      symlink('s', 'one'),
      file('s/a'),
      symlink('s', 'two'),
      file('s/b'),
      hardlink('s/c', 's/b'),
    ]);
    expect(shown(image)).toEqual(['one', 'one/a=s/a', 's', 'two', 'two/b=s/b', 'two/c=s/b']);
  });
  test('absolute names and links mean the root of the image', async () => {
    const image = await fetchLayers([
      folder('etc'),
      file('/etc/a'),
      symlink('abs', '/etc'),
      file('abs/b'),
      symlink('up', '../../../etc'),
      file('up/c'),
      hardlink('h', '/abs/b'),
    ]);
    expect(shown(image)).toEqual(['abs', 'etc', 'etc/a=/etc/a', 'etc/b=abs/b', 'etc/c=up/c', 'h=abs/b', 'up']);
    expect(existsSync('/etc/b') || existsSync('/etc/c')).toBe(false);
  });
  test("directories that are not listed are root's, whatever the umask", async () => {
    const before = process.umask(0o077);
    try {
      const [layer = ''] = rig.store.layerPaths(await fetchLayers([folder('set', { mode: 0o2777, gid: 50 }), file('set/a/b/c')]));
      expect(treeOf(layer).map((line) => line.replace(/ \d{10,}$/, ''))).toEqual([
        '.: directory 755 0:0',
        'set: directory 2777 0:50',
        'set/a: directory 755 0:0',
        'set/a/b: directory 755 0:0',
        expect.stringMatching(/^set\/a\/b\/c: file .* 644 0:0$/),
      ]);
    } finally {
      process.umask(before);
    }
  });
  test('the root itself', async () => {
    const [layer = ''] = rig.store.layerPaths(await fetchLayers([{ name: './', type: '5', mode: 0o750, uid: 3, gid: 4, mtime: 7 }, file('a')]));
    expect(treeOf(layer)[0]).toBe('.: directory 750 3:4');
    expect(run('stat', '-c', '%Y', layer).trim()).toBe('7');
  });
  test('many directories, deeper than descriptors are kept', async () => {
    const deep = Array.from({ length: 300 }, (_, i) => file(`${'d/'.repeat(40)}${i}/f`, 'x', { mtime: i }));
    const [layer = ''] = rig.store.layerPaths(await fetchLayers([...deep, ...deep]));
    expect(Number(run('sh', '-c', `find ${layer} -type f | wc -l`))).toBe(300);
  });
  test("overlay's own attributes are not taken from a layer", async () => {
    const record = '41 SCHILY.xattr.trusted.overlay.opaque=y\n';
    const image = await fetchLayers([folder('d'), file('d/a')], [{ name: 'p', type: 'x', data: record }, folder('d'), file('d/b')]);
    expect(record).toHaveLength(41);
    expect(shown(image)).toEqual(['d', 'd/a=d/a', 'd/b=d/b']);
  });
});

describe('directories that an upper layer uses without listing them', () => {
  const base = [
    folder('home', { mode: 0o711, uid: 5 }),
    folder('home/ann', { mode: 0o700, uid: 1000, gid: 100 }),
    file('home/ann/a'),
    folder('d'),
    file('d/x'),
  ];
  const of = (lines: string[]): string[] => lines.filter((line) => line.includes(': directory')).slice(1);
  test('keep owner, mode and time of below', async () => {
    const image = await fetchLayers(base, [file('home/ann/b'), file('d/new/c')], [file('home/ann/.wh.a', '')]);
    expect(of(rig.mounted(image, (root) => treeOf(root)))).toEqual([
      'd: directory 755 0:0 2000000000',
      expect.stringMatching(/^d\/new: directory 755 0:0 \d{19}$/),
      'home: directory 711 5:0 2000000000',
      'home/ann: directory 700 1000:100 2000000000',
    ]);
    expect(shown(image).filter((name) => name.includes('='))).toEqual(['d/new/c=d/new/c', 'd/x=d/x', 'home/ann/b=home/ann/b']);
    // Fetched again it is the same image, with the same layers.
    expect((await rig.fetch(rig.path('web:latest'))).layers).toEqual(image.layers);
  });
  test('but not what lies below an opaque or replaced one', async () => {
    const image = await fetchLayers(base, [file('.wh.home', ''), file('home/ann/b')]);
    expect(of(rig.mounted(image, (root) => treeOf(root))).map((line) => line.replace(/ \d{19}$/, ''))).toEqual([
      'd: directory 755 0:0 2000000000',
      'home: directory 755 0:0',
      'home/ann: directory 755 0:0',
    ]);
    expect(image.layers).toHaveLength(2);
  });
  test('nor when the layer lists them later', async () => {
    const image = await fetchLayers(base, [file('home/ann/b'), folder('home', { mode: 0o500 }), folder('home/ann', { mode: 0o501 })]);
    expect(image.layers).toHaveLength(2);
    expect(of(rig.mounted(image, (root) => treeOf(root)))).toEqual([
      'd: directory 755 0:0 2000000000',
      'home: directory 500 0:0 2000000000',
      'home/ann: directory 501 0:0 2000000000',
    ]);
  });
});

test('an image that umoci built in four steps', async () => {
  const image = `${rig.path('web')}:latest`;
  const step = (n: number, script: string): void => {
    const bundle = rig.path(`step${n}`);
    run('umoci', 'unpack', '--image', image, bundle);
    execFileSync('/bin/sh', ['-ec', script], { cwd: `${bundle}/rootfs`, stdio: 'inherit' });
    run('umoci', 'repack', '--image', image, bundle);
  };
  run('umoci', 'init', '--layout', rig.path('web'));
  run('umoci', 'new', '--image', image);
  step(
    1,
    'mkdir -p etc usr/bin var/cache/x home/ann; echo 1 > etc/a; echo 1 > etc/b; ln etc/a etc/hard; cp /bin/true usr/bin/t; chmod 4755 usr/bin/t; ln -s usr/bin bin; echo c > var/cache/x/1; mkfifo home/ann/p; chown -R 1000:1000 home/ann',
  );
  step(2, 'rm -r var/cache/x; echo 2 > etc/a; rm etc/b; mkdir etc/b; echo in > etc/b/in; chmod 700 home/ann');
  step(3, 'rm -r etc/b home/ann/p; echo back > etc/b; mkdir var/cache/x; echo d > var/cache/x/2; rm bin; mkdir bin; echo sh > bin/sh');
  step(4, 'mv usr/bin usr/sbin; touch -d 2001-01-01 etc; rm -r var; ln -s run var');
  const fetched = await rig.fetch(`oci:${image}`);
  expect(fetched.layers).toHaveLength(5);
  const expected = umoci();
  expect(expected.length).toBeGreaterThan(9);
  // In an overlay a link to a file of a lower layer is a file of its own.
  expect(rig.mounted(fetched, (root) => treeOf(root))).toEqual(expected);
});

test('127 layers are mounted from one page of options', async () => {
  const layers = Array.from({ length: 127 }, (_, i) => plain(tarArchive([file(`f${i}`), ...(i > 0 ? [file(`.wh.f${i - 1}`, '')] : [])])));
  const image = await rig.fetch(writeLayout(rig.path('web'), layers));
  const relative = rig.store
    .layerPaths(image)
    .map((path) => path.slice(path.lastIndexOf('/') + 1))
    .join(':');
  expect(relative.length).toBeLessThan(3800);
  rig.directory('merged');
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', `lowerdir=${relative}`, rig.path('merged')], { cwd: rig.path('data/cas/layers') });
  try {
    expect(treeOf(rig.path('merged')).map((line) => line.split(':')[0])).toEqual(['.', 'f126']);
  } finally {
    run('umount', rig.path('merged'));
  }
});
