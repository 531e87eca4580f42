/** What verification sees of a stored layer: nothing when it is as it was unpacked, and every single change when it is not. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tarArchive } from '../../../src/build/tar-writer.ts';
import { lsetxattr } from '../../../src/host/linux.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import { verifyLayer } from '../../../src/state/images/verify.ts';
import { useHost } from '../../rig/host.ts';
import { ImageRig, gzipped, plain, richTree, run, writeLayout } from './image-rig.ts';

useHost();
const rig = new ImageRig();

const damage = (image: StoredImage): string[] =>
  image.layers.flatMap((layer) => verifyLayer(rig.store, layer)).map(({ path, what }) => `${path}: ${what}`);

/** The tree as one layer of GNU tar. */
function tarOf(tree: string, ...flags: string[]): Buffer {
  run('tar', '-C', tree, '--xattrs', '--xattrs-include=*', '--numeric-owner', ...flags, '-cf', rig.path('layer.tar'), '.');
  return readFileSync(rig.path('layer.tar'));
}

describe('as it was unpacked', () => {
  test.each([['--format=posix'], ['--format=posix --sparse'], ['--format=gnu --no-xattrs'], ['--format=gnu --no-xattrs --sparse']])(
    'a tree of everything, %s',
    async (flags) => {
      const image = await rig.fetch(writeLayout(rig.path('web'), [gzipped(tarOf(richTree(rig.directory('tree')), ...flags.split(' ')))]));
      expect(damage(image)).toEqual([]);
    },
  );

  test('whatever layers do to names', async () => {
    const image = await rig.fetch(
      writeLayout(rig.path('web'), [
        plain(
          tarArchive([
            { name: 'd', type: '5', mode: 0o700 },
            { name: 'd/x', data: 'one' },
            { name: 'gone/x', data: 'one' },
            { name: 'link', type: '2', linkName: 'd' },
            { name: 'link/y', data: 'through a link' },
            { name: 'opaque/old', data: '1' },
          ]),
        ),
        plain(
          tarArchive([
            { name: 'twice', data: 'first' },
            { name: 'hard', type: '1', linkName: 'twice' },
            { name: 'twice', data: 'second, and hard stays the first' },
            { name: 'again', type: '1', linkName: 'twice' },
            { name: '.wh.gone' },
            { name: 'gone', type: '5' },
            { name: 'opaque/.wh..wh..opq' },
            { name: 'opaque/new', data: '2' },
            { name: 'implicit/deeper/x' },
            { name: 'd/.wh.x' },
            { name: 'late/x' },
            { name: 'late', type: '5', mode: 0o711, mtime: 77 },
            { name: 'w/.wh.a' },
            { name: 'w', data: 'a file where only whiteouts were' },
            { name: 'sub', type: '5' },
            { name: 'sub', type: '5', mode: 0o500, mtime: 5 },
            { name: 'to', type: '2', linkName: 'sub' },
            { name: 'to/inner', type: '5', mtime: 9 },
            { name: 'to/inner/f', data: 'f' },
            { name: 'to', type: '2', linkName: 'late' },
            { name: 'to/g', data: 'g' },
            { name: 'white', type: '3', major: 0, minor: 0 },
          ]),
        ),
      ]),
    );
    expect(image.layers.length).toBeGreaterThan(1);
    expect(damage(image)).toEqual([]);
  });

  test('an image that umoci built in steps', async () => {
    const [layout, bundle] = [rig.path('layout'), rig.path('bundle')];
    const umoci = (...args: string[]): string => run('umoci', ...args);
    umoci('init', '--layout', layout);
    umoci('new', '--image', `${layout}:v`);
    for (const script of ['mkdir -p a/b c; echo 1 > a/b/f; echo 2 > c/g; chmod 700 a', 'rm -r a/b c; mkdir c; echo 3 > c/h', 'rm c/h; ln -s c d']) {
      umoci('unpack', '--image', `${layout}:v`, bundle);
      execFileSync('/bin/sh', ['-ec', script], { cwd: join(bundle, 'rootfs') });
      umoci('repack', '--image', `${layout}:v`, bundle);
      rmSync(bundle, { recursive: true });
    }
    expect(damage(await rig.fetch(`oci:${layout}:v`))).toEqual([]);
  });
});

describe('every change is seen', () => {
  const sh = (script: string) => (root: string) => void execFileSync('/bin/sh', ['-ec', script], { cwd: root });
  test.each<[string, (root: string) => void, string[]]>([
    ['content of the same length and time', sh('t=$(stat -c %y zero2); printf b > zero2; touch -d "$t" zero2'), ['zero2: has other content']],
    ['length', sh('t=$(stat -c %y large); echo >> large; touch -d "$t" large'), ['large: has 3000001 bytes, had 3000000']],
    [
      'data in a hole',
      sh('t=$(stat -c %y hole); printf x | dd of=hole bs=1 seek=5000 conv=notrunc status=none; touch -d "$t" hole'),
      ['hole: has other content'],
    ],
    ['mode', sh('chmod 640 large'), ['large: has mode 0640, had 0644']],
    ['a set-id bit', sh('chmod u-s bin/suid'), ['bin/hard: has mode 0755, had 4755']],
    ['owner', sh('chown 5:6 tmp'), ['tmp: belongs to 5:6, did to 0:0']],
    ['time', sh('touch -d @5 large'), ['large: has another modification time']],
    ['a nanosecond', sh('touch -h -d "1999-12-31 23:59:59.123456788" bin/soft'), ['bin/soft: has another modification time']],
    ['an attribute', (root) => lsetxattr(join(root, 'large'), 'user.note', Buffer.from('x')), ['large: has other extended attributes']],
    ['an attribute more', (root) => lsetxattr(join(root, 'tmp'), 'user.more', Buffer.from('x')), ['tmp: has other extended attributes']],
    ['an opaque directory', (root) => lsetxattr(join(root, 'tmp'), 'trusted.overlay.opaque', Buffer.from('y')), ['tmp: hides what is below']],
    [
      'a link',
      sh('ln -sfn /elsewhere deep/far; touch -h -d "2001-02-03 04:05:06.789" deep'),
      ['deep/far: has another modification time', 'deep/far: leads elsewhere'],
    ],
    [
      'a hard link made a copy',
      sh('t=$(stat -c %y bin); cp -a bin/hard bin/x; mv bin/x bin/suid; touch -d "$t" bin'),
      ['bin/suid: is not the hard link it was'],
    ],
    ['missing', sh('t=$(stat -c %y etc); rm etc/passwd; touch -d "$t" etc'), ['etc/passwd: is missing']],
    ['a directory missing', sh('t=$(stat -c %y .); rm -r tmp; touch -d "$t" .'), ['tmp: is missing']],
    ['extra', sh('t=$(stat -c %y etc); mkdir -p etc/more/and; touch etc/more/file; touch -d "$t" etc'), ['etc/more: does not belong there']],
    ['another kind', sh('t=$(stat -c %y .); rm zero2; mkdir zero2; touch -d "$t" .'), ['zero2: is a directory, was a file']],
    [
      'another device',
      sh('t=$(stat -c %y deep); rm deep/null; mknod -m 644 deep/null c 1 5; chown 7:8 deep/null; touch -d "$t" deep'),
      ['deep/null: is device 261, was 259', 'deep/null: has another modification time'],
    ],
  ])('%s', async (_, change, expected) => {
    const tree = richTree(rig.directory('tree'));
    writeFileSync(join(tree, 'zero2'), 'a');
    const image = await rig.fetch(writeLayout(rig.path('web'), [plain(tarOf(tree, '--format=posix', '--sparse'))]));
    change(rig.store.layerPaths(image)[0] ?? '');
    expect(damage(image).sort()).toEqual([...expected].sort());
  });

  test('the record itself', async () => {
    const image = await rig.fetch(writeLayout(rig.path('web'), [plain(tarArchive([{ name: 'a', data: 'x' }]))]));
    const log = `${rig.store.layerPaths(image)[0] ?? ''}.tree`;
    appendFileSync(log, '["gone","a"]\n');
    expect(damage(image)).toEqual([': the record of what it was like is damaged']);
    truncateSync(log, 5);
    expect(damage(image)).toEqual([': the record of what it was like is damaged']);
    rmSync(log);
    expect(damage(image)).toEqual([': nothing is recorded of what it was like']);
  });
});
