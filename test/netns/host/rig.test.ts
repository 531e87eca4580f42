import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { leftSince, residue, useHost } from '../../rig/host.ts';

useHost();

test('the throw-away host has only lo, and sees what is left behind', () => {
  const before = residue();
  expect(before.filter((line) => line.startsWith('link '))).toEqual(['link lo']);
  execFileSync('ip', ['link', 'add', 'left0', 'type', 'bridge']);
  execFileSync('nft', ['add', 'table', 'inet', 'left']);
  expect(leftSince(before, 0)).toEqual(expect.arrayContaining(['link left0', 'rule table {"family":"inet","name":"left"}']));
  execFileSync('ip', ['link', 'del', 'left0']);
  execFileSync('nft', ['delete', 'table', 'inet', 'left']);
  expect(leftSince(before)).toEqual([]);
});
