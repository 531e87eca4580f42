import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { createNetns, removeNetns, withNetns } from '../../../src/host/netns.ts';
import { useHost } from '../../rig/host.ts';

useHost();
const root = resolve(import.meta.dirname, '../../..');

/** Types only, never called: an async function would go on after the thread is home again. */
export const refused = (): unknown =>
  // @ts-expect-error -- a promise needs a third argument, which nothing can be
  withNetns('/run/netns/x', async () => Promise.resolve(1));

test('what holds no namespace is named', () => {
  expect(() => withNetns('/run/netns/none', () => 1)).toThrow(/ENOENT.*\/run\/netns\/none/);
  writeFileSync('/run/netns/plain', '');
  expect(() => withNetns('/run/netns/plain', () => 1)).toThrow(/setns \/run\/netns\/plain: EINVAL/);
  rmSync('/run/netns/plain');
});

test('a thread that cannot go home ends the process: nothing runs in the wrong namespace', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rkt-netns-'));
  createNetns('/run/netns/away');
  // The way home is lost by closing every descriptor of a namespace from inside.
  const source = `
    import { closeSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
    import { withNetns } from '${root}/src/host/netns.ts';
    try {
      withNetns('/run/netns/away', () => {
        for (const fd of readdirSync('/proc/self/fd')) { try { if (readlinkSync('/proc/self/fd/' + fd).startsWith('net:')) closeSync(Number(fd)); } catch { continue; } }
      });
    } catch { writeSync(1, 'caught'); } finally { writeSync(1, 'went on'); }`;
  const bundle = join(folder, 'away.cjs');
  // The program, not its API: that leaves a service process behind.
  execFileSync(
    join(root, 'node_modules/.bin/esbuild'),
    [
      '--bundle',
      '--platform=node',
      '--format=cjs',
      '--log-level=error',
      `--outfile=${bundle}`,
      `--define:__DIST__=${JSON.stringify(join(root, 'dist'))}`,
      '--loader=ts',
    ],
    { input: source, cwd: root },
  );
  const child = spawnSync(process.execPath, [bundle], { encoding: 'utf8', cwd: folder });
  removeNetns('/run/netns/away');
  rmSync(folder, { recursive: true });
  expect(child.signal).toBe('SIGABRT');
  expect(child.stdout).toBe('');
  expect(child.stderr).toContain('cannot return to the network namespace of the host: EBADF');
});
