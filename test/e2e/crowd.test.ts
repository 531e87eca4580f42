/** Many pods at once on one bridge. */
import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const run = (args: readonly string[]): Promise<{ status: number | null; stdout: string; stderr: string }> =>
  new Promise((done) => {
    const child = spawn(rktPath, rkt.arguments(args), { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('close', (status) => done({ status, stdout, stderr }));
  });

test('50 pods started at once: 50 distinct addresses, none lost, nothing left', { timeout: 110_000 }, async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, () => run(['run', '--net=bridge', 'busybox', '--exec=/sbin/ip', '--', '-4', '-o', 'addr', 'show', 'eth0'])),
  );
  expect(outcomes.filter(({ status }) => status !== 0).map(({ stderr }) => stderr)).toEqual([]);
  const addresses = outcomes.map(({ stdout }) => /inet (\S+)\//.exec(stdout)?.[1]);
  expect(new Set(addresses).size).toBe(50);
  expect(addresses).not.toContain(undefined);
  expect(rkt.pods()).toHaveLength(50);
  rkt.gc();
  expect(rkt.podDirectories()).toEqual([]);
});

test('run, list and gc at once do not get in each other’s way', { timeout: 110_000 }, async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      i % 3 === 0 ? run(['run', '--net=bridge', 'busybox', '--exec=/bin/true']) : i % 3 === 1 ? run(['gc', '--grace-period=0']) : run(['list']),
    ),
  );
  expect(outcomes.filter(({ status }) => status !== 0).map(({ stderr }) => stderr)).toEqual([]);
  rkt.gc();
  expect(rkt.podDirectories()).toEqual([]);
});
