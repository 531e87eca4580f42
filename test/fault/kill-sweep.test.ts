/**
 * SIGKILL and a full disk at every boundary of the journal. The journal is the only thing rkt writes by
 * pwrite64, so strace can stop the process right before the n-th record (effect done, record missing) or right
 * behind it (record written, next effect not begun), with nothing added to rkt for the purpose.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const pod = ['run', '--net=bridge,default', '--port=8080:80', 'busybox', '--exec=/bin/true'];
/** One whose exit leaves all of its undoing to gc. */
const kept = ['run', '--net-release=gc', ...pod.slice(1)];

/** Runs rkt under strace with one fault at the n-th journal record. */
function withFault(fault: string, n: number, args: readonly string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync(
    'strace',
    ['-f', '-qqq', '-o', '/dev/null', '-e', 'trace=pwrite64', '-e', `inject=pwrite64:${fault}:when=${n}`, rktPath, ...rkt.arguments(args)],
    { encoding: 'utf8', timeout: 60_000 },
  );
  return { status, stderr };
}
const faults = { 'behind record': 'signal=SIGKILL', 'before record': 'error=EIO:signal=SIGKILL' } as const;

/** Records a whole run and a whole gc write: the boundaries there are. */
function countRecords(): { up: number; down: number } {
  rkt.ok(...kept);
  const run = join(rkt.dataDir, 'pods/run');
  const [id = ''] = readdirSync(run);
  const records = readFileSync(join(run, id, 'journal'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { at: string }).at);
  rkt.gc();
  return { up: records.length, down: records.filter((at) => at === 'intent').length };
}

test('SIGKILL around every record of a run, then one gc: nothing is left', { timeout: 280_000 }, () => {
  const { up } = countRecords();
  expect(up).toBeGreaterThan(8);
  for (const [where, fault] of Object.entries(faults)) {
    for (let n = 1; n <= up; n++) {
      const { status } = withFault(fault, n, pod);
      expect(status, `killed ${where} ${n}`).not.toBe(0);
      rkt.gc();
      expect(rkt.podDirectories(), `${where} ${n}`).toEqual([]);
    }
  }
});

test('SIGKILL around every record of gc, then another gc: nothing is left', { timeout: 280_000 }, () => {
  const { down } = countRecords();
  for (const [where, fault] of Object.entries(faults)) {
    for (let n = 1; n <= down; n++) {
      rkt.ok(...kept);
      const { status } = withFault(fault, n, ['gc', '--grace-period=0']);
      expect(status, `killed ${where} ${n}`).not.toBe(0);
      rkt.gc();
      expect(rkt.podDirectories(), `${where} ${n}`).toEqual([]);
    }
  }
});

test('a full disk at every record of a run: an error that says so, and nothing left without gc but the pod’s directory', { timeout: 280_000 }, () => {
  const { up } = countRecords();
  for (let n = 1; n < up; n++) {
    const { status, stderr } = withFault('error=ENOSPC', n, pod);
    expect(status).toBe(254);
    expect(stderr).toMatch(/ENOSPC|no space/i);
    expect(stderr).toContain('[ERR_POD_IO]');
    rkt.gc();
  }
});
