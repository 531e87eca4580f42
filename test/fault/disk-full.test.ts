/**
 * The data directory on a small file system, with every amount of space left from none to enough: `rkt run` either succeeds
 * or says what failed, with a code and a cure, and never that rkt has a bug. With space again one gc leaves nothing.
 * Blocks and inodes run out separately; both are ENOSPC.
 */
import {
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  rmSync,
  rmdirSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isErrno, mount, umount, MNT_DETACH } from '../../src/host/linux.ts';
import { phases } from '../../src/state/pod/layout.ts';
import { leftSince, residue, useHost } from '../rig/host.ts';
import { Rkt, type Outcome } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

const pod = ['run', '--net=bridge,default', '--port=8080:80', 'busybox', '--exec=/bin/true'];
const megabytes = 4;
const inodes = 1_024;
const pageBytes = 4_096;

let roomy = '';
let small = '';
beforeEach(() => {
  roomy = rkt.dataDir;
  small = mkdtempSync('/tmp/rkt-small-');
  mount('small', small, 'tmpfs', 0, `size=${megabytes}m,nr_inodes=${inodes},mode=750`);
  rkt.dataDir = small;
});
// Runs before the hooks of Rkt and useHost: hooks that end a test run in reverse.
afterEach(() => {
  freeAll();
  rkt.run(['gc', '--grace-period=0']);
  rkt.dataDir = roomy;
  umount(small, MNT_DETACH);
  rmdirSync(small);
});

const ballast = (): string => join(small, 'ballast');

/** Leaves exactly `pages` pages free. */
function leavePages(pages: number): void {
  const fd = openSync(ballast(), 'a');
  const page = Buffer.alloc(pageBytes, 1);
  try {
    let size = 0;
    try {
      for (;;) size += writeSync(fd, page);
    } catch (error) {
      if (!isErrno(error, 'ENOSPC')) throw error;
    }
    ftruncateSync(fd, Math.max(0, size - pages * pageBytes));
  } finally {
    closeSync(fd);
  }
}
/** Leaves exactly `count` inodes free. */
function leaveInodes(count: number): void {
  mkdirSync(ballast());
  for (let n = statfsSync(small).ffree; n > count; n--) {
    try {
      writeFileSync(join(ballast(), String(n)), '');
    } catch (error) {
      // What ends a pod may have taken one since they were counted.
      if (!isErrno(error, 'ENOSPC') || count > 0) throw error;
    }
  }
}
const namesIn = (path: string): string[] => (existsSync(path) ? readdirSync(path) : []);
const freeAll = (): void => rmSync(ballast(), { recursive: true, force: true });

const succeeded = ({ status }: Outcome): boolean => status === 0;

/** What a failure has to be. */
function expectClear({ status, signal, stdout, stderr }: Outcome, where: string): void {
  const all = `${where}: ${stdout}${stderr}`;
  expect(all).not.toMatch(/this is a bug in rkt|^ +at .*:\d+:\d+\)?$/m);
  expect(signal, all).toBeNull();
  if (status === 0) return;
  expect(status, all).toBe(254);
  expect(stderr, all).toMatch(/no space left|ENOSPC|disk .* full/i);
  expect(stderr, all).toMatch(/\[ERR_[A-Z0-9_]+\]/);
  expect(stderr, all).toMatch(/^hint: ./m);
}

/** Runs on a disk that `fill` filled, then frees it, collects, and looks. */
function attempt(where: string, fill: () => void, before: readonly string[]): Outcome {
  fill();
  const outcome = rkt.run(pod);
  expectClear(outcome, where);
  freeAll();
  rkt.gc();
  const left = phases.flatMap((phase) => namesIn(join(small, 'pods', phase)));
  expect(left, where).toEqual([]);
  expect(leftSince(before), where).toEqual([]);
  return outcome;
}

describe.each([
  ['pages', leavePages],
  ['inodes', leaveInodes],
] as const)('%s', (what, leave) => {
  test('the image is there: every amount from none to enough', { timeout: 200_000 }, () => {
    rkt.ok(...pod);
    rkt.gc();
    const before = residue();
    const enough: string[] = [];
    let left = 0;
    // Enough once may be luck (what gc frees meanwhile); enough three times in a row is the end.
    for (let streak = 0; streak < 3; left++) {
      expect(left, `a pod needs more than ${left} ${what}`).toBeLessThan(120);
      const outcome = attempt(`${left} ${what} left`, () => leave(left), before);
      streak = succeeded(outcome) ? streak + 1 : 0;
      enough.push(`${left} ${what}: ${succeeded(outcome) ? 'runs' : (/\[ERR_\w+\]/.exec(outcome.stderr)?.[0] ?? '?')}`);
    }
    console.log(enough.join('\n'));
    expect(left, 'the disk was never full').toBeGreaterThan(5);
  });

  test('gc and rm on a full disk: they are what makes room, so they need none', { timeout: 60_000 }, async () => {
    const before = residue();
    for (const command of [['gc', '--grace-period=0'], ['rm']]) {
      rkt.ok(...pod);
      const [path = ''] = rkt.podDirectories();
      leave(0);
      const { status, stderr } = rkt.run(command[0] === 'rm' ? ['rm', path.split('/')[1] ?? ''] : command);
      expect([status, rkt.podDirectories()], stderr).toEqual([0, []]);
      await expect.poll(() => existsSync(join(small, 'pods-trash')), { timeout: 5_000 }).toBe(false);
      freeAll();
      rkt.gc();
      expect(leftSince(before)).toEqual([]);
    }
  });

  test('the image has to be fetched: nothing is left of it in the store', { timeout: 200_000 }, () => {
    const before = residue();
    const levels =
      what === 'pages'
        ? [0, 1, 2, 5, 20, 100, 300, 450, 475, 500, 505, 510, 515, 520, 525, 550, 600, 900]
        : [0, 1, 2, 3, 5, 8, 13, 21, 34, 50, 100, 300, 320, 340, 345, 350, 355, 360, 365, 400, 600];
    const outcomes = levels.map((left) => {
      rmSync(join(small, 'cas'), { recursive: true, force: true });
      const outcome = attempt(`${left} ${what} left`, () => leave(left), before);
      expect(namesIn(join(small, 'cas/tmp')), `${left} ${what} left`).toEqual([]);
      return outcome;
    });
    console.log(levels.map((left, i) => `${left} ${what}: ${outcomes[i]?.status === 0 ? 'runs' : outcomes[i]?.stderr.split('\n')[0]}`).join('\n'));
    expect(succeeded(outcomes[0] ?? expect.fail())).toBe(false);
    expect(succeeded(outcomes.at(-1) ?? expect.fail())).toBe(true);
  });
});
