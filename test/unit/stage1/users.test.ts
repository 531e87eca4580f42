/** rkt.md 2.11: who an app runs as. The root is a plain directory: no privileges needed. */
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Rootfs, completeRootfs } from '../../../src/stage1/flavors/oci/rootfs.ts';
import { parseGroup, parsePasswd, resolveUser } from '../../../src/stage1/flavors/oci/users.ts';

let root = '';
let fd = -1;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rkt-users-'));
  mkdirSync(join(root, 'image/etc'), { recursive: true });
  writeFileSync(join(root, 'image/etc/passwd'), 'root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/:/bin/sh\nodd:x:abc:1\n+::::::\n');
  writeFileSync(join(root, 'image/etc/group'), 'root:x:0:\nstaff:x:50:bob,ann\nann:x:1001:\nwheel:x:10:ann\n');
  fd = openSync(join(root, 'image'), 'r');
});
afterEach(() => {
  closeSync(fd);
  rmSync(root, { recursive: true, force: true });
});
const resolve = (user: string, group = '', supplementaryGIDs?: number[]) =>
  resolveUser('app', { user, group, ...(supplementaryGIDs === undefined ? {} : { supplementaryGIDs }) }, fd);

test.each([
  ['0', '', { uid: 0, gid: 0, additionalGids: [] }],
  ['ann', '', { uid: 1000, gid: 1001, additionalGids: [50, 10] }],
  ['1000', '', { uid: 1000, gid: 1001, additionalGids: [50, 10] }],
  ['ann', 'staff', { uid: 1000, gid: 50, additionalGids: [] }],
  ['77', '', { uid: 77, gid: 0, additionalGids: [] }],
  ['77', '88', { uid: 77, gid: 88, additionalGids: [] }],
  ['4294967294', '0', { uid: 4294967294, gid: 0, additionalGids: [] }],
])('%s:%s', (user, group, expected) => expect(resolve(user, group)).toEqual(expected));

test('supplementary groups are kept, the primary one is not repeated', () => {
  expect(resolve('ann', '', [1001, 7, 50])).toEqual({ uid: 1000, gid: 1001, additionalGids: [7, 50, 10] });
});
test.each([
  ['user2', '', '"user2" user not found in app app'],
  ['0', 'group2', '"group2" group not found in app app'],
  ['4294967295', '', 'user 4294967295 of app app is out of range'],
  ['/nowhere', '', 'no user for app app: /nowhere cannot be looked at'],
  ['odd', '', '"odd" user not found'],
])('%s:%s fails', (user, group, message) => expect(() => resolve(user, group)).toThrow(message));

describe('an image that wants to be read elsewhere', () => {
  test('root needs no files', () => {
    rmSync(join(root, 'image/etc'), { recursive: true });
    expect(resolve('root', 'root')).toEqual({ uid: 0, gid: 0, additionalGids: [] });
    expect(() => resolve('ann')).toThrow('"ann" user not found');
  });
  test.each(['../../outside', '/outside'])('passwd -> %s stays inside', (target) => {
    writeFileSync(join(root, 'outside'), 'spy:x:66:66::/:/bin/sh\n');
    rmSync(join(root, 'image/etc/passwd'));
    symlinkSync(target, join(root, 'image/etc/passwd'));
    expect(() => resolve('spy')).toThrow('"spy" user not found');
    writeFileSync(join(root, 'image/outside'), 'inn:x:5:6::/:/bin/sh\n');
    expect(resolve('inn')).toMatchObject({ uid: 5, gid: 6 });
  });
  test('a passwd that is a directory', () => {
    rmSync(join(root, 'image/etc/passwd'));
    mkdirSync(join(root, 'image/etc/passwd'));
    expect(() => resolve('ann')).toThrow('/etc/passwd of app app is not an account file');
  });
});

describe('a root is completed without leaving it', () => {
  test('directories, through links that point outside', () => {
    symlinkSync('/var/run', join(root, 'image/run'));
    mkdirSync(join(root, 'image/var/run'), { recursive: true });
    symlinkSync('..', join(root, 'image/up'));
    using rootfs = new Rootfs(join(root, 'image'));
    completeRootfs(rootfs, '/up/image-work/here');
    expect([rootfs.has('/up/image-work/here'), rootfs.has('tmp')]).toEqual([true, true]);
    expect(existsSync(join(root, 'image/image-work/here'))).toBe(true);
  });
  test.each([
    ['a file', () => writeFileSync(join(root, 'image/srv'), '')],
    ['a link to nothing', () => symlinkSync('/none', join(root, 'image/srv'))],
  ])('%s in the way of the working directory', (_, make) => {
    make();
    using rootfs = new Rootfs(join(root, 'image'));
    expect(() => completeRootfs(rootfs, '/srv/work')).toThrow(/\/srv/);
  });
});

test('lines that are no entries', () => {
  expect(parsePasswd('#x\n\nroot:x:0:0\r\n:x:1:1\na:b\nbig:x:99999999999:0\n')).toEqual([{ name: 'root', uid: 0, gid: 0 }]);
  expect(parseGroup('g:x:5:a,,b\nbad\n')).toEqual([{ name: 'g', gid: 5, members: ['a', 'b'] }]);
});
