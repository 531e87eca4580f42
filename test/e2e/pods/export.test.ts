/** `rkt export`. @see rkt.md 1.4 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { Rkt } from '../../rig/rkt.ts';

useHost();
const rkt = new Rkt();
let dir = '';
beforeEach(() => {
  dir = mkdtempSync('/tmp/rkt-export-');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const change = 'echo changed > /srv/new; rm /bin/vi; ln -s new /srv/link; chown 33:33 /srv/new; chmod 4711 /srv/new';
const apps = (flags: readonly string[] = []): string[] => [
  ...flags,
  '--net=none',
  'busybox',
  '--exec=/bin/sh',
  '--',
  '-c',
  `mkdir -p /srv; ${change}`,
];
const members = (aci: string): string => execFileSync('tar', ['-tvf', aci, '--numeric-owner'], { encoding: 'utf8' });

test.each([[[]], [['--no-overlay']]])('an exited pod %s: image and changes in one archive, which runs', (flags) => {
  const uuid = join(dir, 'uuid');
  rkt.ok('run', `--uuid-file-save=${uuid}`, ...apps(flags));
  const [pod] = rkt.pods();
  const aci = join(dir, 'out.aci');
  rkt.ok('export', pod?.name ?? '', aci);
  const list = members(aci);
  expect(list).toMatch(/^-rws--x--x 33\/33 +8 .* rootfs\/srv\/new$/m);
  expect(list).toMatch(/^l.* rootfs\/srv\/link -> new$/m);
  expect(list).not.toMatch(/bin\/vi$/m);
  expect(list).toMatch(/^-.* manifest$/m);
  expect(rkt.run(['export', pod?.name ?? '', aci]).stderr).toContain('exists');
  rkt.ok('export', '--overwrite', pod?.name ?? '', aci);
  expect(rkt.ok('run', '--insecure-options=image', '--net=none', aci, '--exec=/bin/cat', '--', '/srv/new')).toBe('changed\n');
});

test('refused: a running pod, another extension, no app named among several', async () => {
  const pod = rkt.start([
    '--net=none',
    'busybox',
    '--name=a',
    '--exec=/bin/sleep',
    '--',
    '100',
    '---',
    'busybox',
    '--name=b',
    '--exec=/bin/sleep',
    '--',
    '100',
  ]);
  const aci = join(dir, 'out.aci');
  expect(rkt.run(['export', '--app=a', pod.uuid, aci]).stderr).toContain('only an exited pod');
  expect(rkt.run(['export', '--app=a', pod.uuid, join(dir, 'out.tar')]).stderr).toContain('extension .aci');
  await pod.stop();
  expect(rkt.run(['export', pod.uuid, aci])).toMatchObject({ status: 254, stderr: expect.stringContaining('several apps') as string });
  rkt.ok('export', '--app=b', pod.uuid, aci);
  expect(existsSync(aci)).toBe(true);
});
