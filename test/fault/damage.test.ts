/** Damage that is not rkt's doing: gc keeps what it does not understand and says what to do. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

test.each([
  ['emptied', ''],
  ['garbled', 'not a journal\n'],
])('a journal that was %s: the pod is kept, with a hint; restored, it goes', (_, damage) => {
  rkt.ok('run', '--net=bridge', 'busybox', '--exec=/bin/true');
  const path = join(rkt.dataDir, 'pods', rkt.podDirectories()[0] ?? '', 'journal');
  const journal = readFileSync(path, 'utf8');
  writeFileSync(path, damage);
  const interrupted = join(rkt.dataDir, 'cas/tmp/interrupted');
  mkdirSync(interrupted, { recursive: true });
  const { status, stderr } = rkt.run(['gc', '--grace-period=0']);
  expect([status, stderr]).toEqual([254, expect.stringMatching(/journal .*[\s\S]*rkt rm --force UUID/)]);
  expect(existsSync(interrupted), 'gc did not go on').toBe(false);
  const [kept = ''] = rkt.podDirectories();
  writeFileSync(join(rkt.dataDir, 'pods', kept, 'journal'), journal);
  rkt.gc();
  expect(rkt.podDirectories()).toEqual([]);
});

test('a data directory that is none, or that nothing can be made in: an error with a code, at once', () => {
  for (const dir of ['/proc/x', '/etc/passwd']) {
    for (const args of [['run', '--net=none', 'busybox'], ['fetch', 'busybox'], ['list'], ['gc']]) {
      const { status, stderr } = rkt.run([`--dir=${dir}`, ...args], { timeoutMs: 10_000 });
      expect([dir, args[0], status], stderr).not.toContain(null);
      expect(stderr).not.toContain('bug in rkt');
    }
  }
});
