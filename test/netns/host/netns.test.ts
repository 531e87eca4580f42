import { execFileSync } from 'node:child_process';
import { mkdirSync, readlinkSync, writeFileSync, existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MS, mount } from '../../../src/host/linux.ts';
import { createNetns, currentNetns, netnsExists, netnsIdentity, removeNetns, withNetns } from '../../../src/host/netns.ts';
import { useHost } from '../../rig/host.ts';

useHost();
const path = '/run/netns/t1';

test('make, visit, see it by ip netns, remove; all idempotent', () => {
  const home = currentNetns();
  createNetns(path);
  expect(netnsExists(path)).toBe(true);
  expect(currentNetns()).toBe(home);
  expect(withNetns(path, currentNetns)).toBe(netnsIdentity(path));
  expect(netnsIdentity(path)).not.toBe(home);
  expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).toContain('t1');
  expect(() => createNetns(path)).toThrow(/EEXIST/);
  expect(netnsExists(path), 'a refusal leaves what is there').toBe(true);
  removeNetns(path);
  removeNetns(path);
  expect(existsSync(path)).toBe(false);
});

test('an exception comes out, and the thread is home again', () => {
  const home = readlinkSync('/proc/thread-self/ns/net');
  createNetns(path);
  expect(() =>
    withNetns(path, (): void => {
      throw new Error('inside');
    }),
  ).toThrow('inside');
  expect(readlinkSync('/proc/thread-self/ns/net')).toBe(home);
  removeNetns(path);
});

test('a plain file is no namespace, and goes; mounts on top of each other all go', () => {
  mkdirSync('/run/netns', { recursive: true });
  writeFileSync(path, '');
  expect(netnsExists(path)).toBe(false);
  removeNetns(path);
  expect(existsSync(path)).toBe(false);
  createNetns(path);
  mount('/proc/thread-self/ns/net', path, null, MS.BIND, null);
  removeNetns(path);
  expect(existsSync(path)).toBe(false);
});
