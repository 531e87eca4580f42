/** `rkt cp`, both ways, while an app runs and after it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lsetxattr } from '../../../src/host/linux.ts';
import { useHost } from '../../rig/host.ts';
import { Rkt } from '../../rig/rkt.ts';
import { treeOf } from '../../rig/tree.ts';

useHost();
const rkt = new Rkt();
let dir = '';
beforeEach(() => {
  dir = mkdtempSync('/tmp/rkt-cp-');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Every kind of file there is, but sockets. */
function makeTree(at: string): void {
  execFileSync('sh', [
    '-ec',
    `mkdir -p "$1/a/b"; echo one > "$1/a/one"; ln "$1/a/one" "$1/a/b/two"; ln -s /etc/passwd "$1/a/link"; mkfifo -m 640 "$1/a/pipe"; mknod "$1/a/null" c 1 3
     chown 33:44 "$1/a/one" "$1/a/b"; chmod 4755 "$1/a/one"; chmod 2711 "$1/a/b"; touch -d 2001-02-03 "$1/a/one" "$1/a"`,
    'sh',
    at,
  ]);
  lsetxattr(join(at, 'a/one'), 'user.note', Buffer.from('x'));
}

test('there and back again: modes, owners, times, links, devices, attributes; into a volume; owners on demand', async () => {
  makeTree(dir);
  const pod = rkt.start([
    '--net=none',
    '--volume=v,kind=empty',
    'busybox',
    '--name=web',
    '--mount=volume=v,target=/data',
    '--exec=/bin/sleep',
    '--',
    '100',
  ]);
  const uuid = pod.uuid.slice(0, 8);
  rkt.ok('cp', join(dir, 'a'), `${uuid}:/srv`); // not there: becomes /srv
  rkt.ok('cp', join(dir, 'a'), `${uuid}:web:data`); // there: goes into it
  expect(rkt.ok('enter', pod.uuid, 'cat', '/srv/one', '/data/a/b/two')).toBe('one\none\n');
  rkt.ok('cp', `${uuid}:/srv`, join(dir, 'back'));
  rkt.ok('cp', `${uuid}:/data/.`, join(dir, 'back'));
  expect(treeOf(join(dir, 'back'), { ignore: /^a(\/|$)/ }).slice(1)).toEqual(treeOf(join(dir, 'a')).slice(1));
  expect(treeOf(join(dir, 'back/a'))).toEqual(treeOf(join(dir, 'a')));
  rkt.ok('cp', '--owner=7', join(dir, 'a/one'), `${uuid}:/tmp/own`);
  expect(rkt.ok('enter', pod.uuid, 'stat', '-c', '%u:%g %a', '/tmp/own')).toBe('7:7 4755\n');
  await pod.stop();
  rkt.ok('cp', `${uuid}:/tmp/own`, join(dir, 'own'));
  rkt.ok('cp', join(dir, 'own'), `${uuid}:/data/late`);
  rkt.ok('cp', `${uuid}:/data/late`, join(dir, 'late'));
  expect(readFileSync(join(dir, 'late'), 'utf8')).toBe('one\n');
  expect(rkt.pods()[0]?.state).toBe('exited');
});

test('no link of the app leads out: neither where it is read from nor where it is written to', async () => {
  const outside = join(dir, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'host\n');
  const pod = rkt.start([
    '--net=none',
    'busybox',
    '--exec=/bin/sh',
    '--',
    '-c',
    `ln -s ${outside} /dir; ln -s ${outside}/secret /file; ln -s ../../../../../../../../..${outside} /up; ln -s /proc/1/root /root1; sleep 100`,
  ]);
  await expect.poll(() => rkt.run(['enter', pod.uuid, 'readlink', '/root1']).status).toBe(0);
  const at = pod.uuid.slice(0, 8);
  writeFileSync(join(dir, 'mine'), 'mine');
  for (const link of ['dir', 'up']) {
    expect(rkt.run(['cp', `${at}:/${link}/secret`, join(dir, 'got')]).status).toBe(254);
    expect(rkt.run(['cp', join(dir, 'mine'), `${at}:/${link}/new`]).status).toBe(254);
  }
  // A link is copied as what it is, and replaced as what it is.
  rkt.ok('cp', `${at}:/file`, join(dir, 'link'));
  expect(treeOf(dir).find((line) => line.startsWith('link:'))).toContain(`link to ${outside}/secret`);
  rkt.ok('cp', join(dir, 'mine'), `${at}:/file`);
  expect(rkt.run(['cp', `${at}:/root1/etc/passwd`, join(dir, 'got')]).status).toBe(254);
  expect([readdirSync(outside), readFileSync(join(outside, 'secret'), 'utf8')]).toEqual([['secret'], 'host\n']);
  // Nor does one of the host that is there already.
  symlinkSync(join(outside, 'secret'), join(dir, 'there'));
  rkt.ok('cp', `${at}:/file`, join(dir, 'there'));
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('host\n');
  await pod.stop();
});

test('what makes no sense', () => {
  for (const args of [['/a', '/b'], ['x:/a', 'y:/b'], ['x:', '/b'], ['/a'], []]) expect(rkt.run(['cp', ...args]).stderr).toContain('ERR_CLI_USAGE');
});
