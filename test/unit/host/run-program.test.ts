import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { findExecutable, runProgram, type ProgramOutcome } from '../../../src/host/run-program.ts';

const sh = (script: string, more: Partial<Parameters<typeof runProgram>[0]> = {}): ProgramOutcome =>
  runProgram({ path: '/bin/sh', argv: ['sh', '-c', script], env: { PATH: '/usr/bin:/bin' }, timeoutMs: 5_000, maxBytes: 1 << 20, ...more });
const said = (outcome: ProgramOutcome): [string, string] =>
  outcome.kind === 'not-started' ? ['', ''] : [outcome.stdout.toString(), outcome.stderr.toString()];

test('status, stdin, stdout, stderr, working directory', () => {
  const outcome = sh('cat; pwd; echo no >&2; exit 3', { stdin: Buffer.from('in\n'), cwd: '/usr' });
  expect(outcome).toMatchObject({ kind: 'exited', status: 3, truncated: false });
  expect(said(outcome)).toEqual(['in\n/usr\n', 'no\n']);
});
test('the environment is what was given, without NODE_EXTRA_CA_CERTS', () => {
  expect(
    said(runProgram({ path: '/usr/bin/env', argv: ['env'], env: { A: '1', NODE_EXTRA_CA_CERTS: '/x' }, timeoutMs: 5_000, maxBytes: 1_000 }))[0],
  ).toBe('A=1\n');
});
test('a signal', () => expect(sh('kill -9 $$')).toMatchObject({ kind: 'signal', signal: 9 }));
test('the deadline ends the whole group, and what was said is kept', () => {
  const started = performance.now();
  const outcome = sh('echo early; sleep 30 & sleep 30', { timeoutMs: 100 });
  expect(outcome.kind).toBe('timeout');
  expect(said(outcome)[0]).toBe('early\n');
  expect(performance.now() - started).toBeLessThan(2_000);
});
test('a deadline that has passed is no reason not to say how it went', () => expect(sh('exit 0', { timeoutMs: 0 }).kind).toMatch(/exited|timeout/));
test('more than the limit is dropped, and that is told', () => {
  const outcome = sh('head -c 3000 /dev/zero', { maxBytes: 1_000 });
  expect(outcome).toMatchObject({ kind: 'exited', status: 0, truncated: true });
  expect(said(outcome)[0].length).toBe(1_000);
});
test('large stdin that nobody reads does not hang', () =>
  expect(sh('exit 0', { stdin: Buffer.alloc(1 << 22) })).toMatchObject({ kind: 'exited', status: 0 }));
test('what cannot be started says why', () => {
  expect(sh('', { path: '/nonexistent' })).toEqual({ kind: 'not-started', errno: 2, reason: 'ENOENT' });
  expect(sh('', { path: '/etc/passwd' })).toMatchObject({ kind: 'not-started', reason: 'EACCES' });
});

test('L17: the first regular file, links followed, names with a slash are none', () => {
  const dir = mkdtempSync(join(tmpdir(), 'rkt-find-'));
  try {
    mkdirSync(join(dir, 'a/plugin'), { recursive: true });
    mkdirSync(join(dir, 'b'));
    mkdirSync(join(dir, 'c'));
    symlinkSync('../c/real', join(dir, 'b/plugin'));
    writeFileSync(join(dir, 'c/real'), '', { mode: 0o600 });
    const paths = ['missing', 'a', 'b', 'c'].map((name) => join(dir, name));
    expect(findExecutable('plugin', paths)).toBe(join(dir, 'b/plugin'));
    expect(findExecutable('../c/real', paths)).toBeUndefined();
    expect(findExecutable('', paths)).toBeUndefined();
    expect(findExecutable('nothing', paths)).toBeUndefined();
  } finally {
    rmSync(dir, { recursive: true });
  }
});
