/** P1-P27, X1-X10 (and V4-V7, V11, R8, R11, R13): every plugin of ours, built, held to them by `rkt net conform`. @see cni.md 1.5, 1.7 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { requirements } from '../../src/net/conform/requirements.ts';
import type { ConformReport, Finding } from '../../src/net/conform/types.ts';

const dist = resolve(import.meta.dirname, '../../dist');
/** Fewer, when a mutant breaks one of them. */
const only = process.env['RKT_CONFORM_TYPES']?.split(',');
const types = readdirSync(join(dist, 'cni'))
  .filter((type) => only === undefined || only.includes(type))
  .sort();
const atOnce = 2;
const reports = new Map<string, ConformReport>();

/** The command makes a host of its own: nothing here needs one. */
function conform(type: string): Promise<ConformReport> {
  return new Promise((done, fail) => {
    const child = spawn(join(dist, 'rkt'), ['net', 'conform', '--format=json', join(dist, 'cni', type)], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('close', () => {
      try {
        done(JSON.parse(stdout) as ConformReport);
      } catch {
        fail(new Error(`rkt net conform ${type}: ${stderr}`));
      }
    });
  });
}

beforeAll(async () => {
  const waiting = [...types];
  const worker = async (): Promise<void> => {
    for (let type = waiting.shift(); type !== undefined; type = waiting.shift()) reports.set(type, await conform(type));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}, 900_000);

const findings = (number: string): [string, Finding][] =>
  [...reports].flatMap(([type, report]) =>
    report.findings.filter((finding) => finding.number === number).map((finding): [string, Finding] => [type, finding]),
  );
/** What a machine without the kernel's feature cannot show. */
const excused = /^(kernel|this machine) lacks /;

describe('our plugins', () => {
  test.each(requirements.map(({ number, text }) => [number, text] as const))('%s: %s', (number) => {
    const all = findings(number);
    expect(all.map(([type]) => type).sort()).toEqual(types);
    const failures = all.flatMap(([type, { verdict, reason, evidence }]) => {
      if (verdict === 'pass' || verdict === 'not applicable' || (verdict === 'unknown' && excused.test(reason))) return [];
      return [`${type}: ${verdict} ${reason}`, ...evidence.filter(({ holds }) => !holds).map(({ what, saw }) => `${type}: ${what}: ${saw}`)];
    });
    expect(failures).toEqual([]);
    expect(
      all.some(([, { verdict }]) => verdict === 'pass'),
      'nobody passed: nothing was tried',
    ).toBe(true);
  });
});
