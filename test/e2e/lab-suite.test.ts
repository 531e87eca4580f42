/** The shared Cyclonus cases on real packets, and that the comparison finds what is wrong when something is. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fuzz } from '../../src/lab/fuzz/fuzz.ts';
import { openSuite, runSuite, type SuiteResult } from '../../src/lab/suite.ts';
import { Evaluator } from '../../src/policy/decision/evaluate.ts';
import type { World } from '../../src/policy/model/experiment.ts';
import { asUser } from '../rig/as-user.ts';
import { useHost } from '../rig/host.ts';
import { rktPath } from '../rig/rkt.ts';
import { endPortIgnored, namespacesIgnored, passFinal, pooledExcepts, sctpAsTcp } from './lab-mutants.ts';

useHost();
const file = join(import.meta.dirname, '../fixtures/netpol/cyclonus-subset.json.gz');
const command = [rktPath, 'lab', 'suite', '--format=json', file];
const clean = { cases: 67, steps: 77, cells: 37_776, measured: 33_600, mismatches: 0, noEvidence: 0, predictionMismatches: 0, otherRule: 0 };
/** RKT_SOAK=1: 2000 random cases, and five faults of a compiler; else 50, and two. */
const soak = process.env['RKT_SOAK'] !== undefined;
const counts = (text: string): SuiteResult => JSON.parse(text) as SuiteResult;

test('every cell of every case as root: packets, prediction and the rule that decided', () => {
  const { status, stdout, stderr } = spawnSync(rktPath, command.slice(1), { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(counts(stdout)).toMatchObject({ ...clean, findings: [] });
  expect(status).toBe(0);
});

test('the same as an ordinary user', () => {
  const { status, stdout, stderr } = asUser(command);
  expect(stderr).toBe('');
  expect(counts(stdout)).toMatchObject(clean);
  expect(status).toBe(0);
});

test('the same with routed pods', () => {
  expect(runSuite(openSuite(file), { joining: 'routed' })).toMatchObject(clean);
});

test('the same with isolated ports: nothing that is bridged is shown to the rules, and nothing is bridged', () => {
  const { status, stdout, stderr } = spawnSync(rktPath, [...command.slice(1), '--backend=isolated'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(counts(stdout)).toMatchObject(clean);
  expect(status).toBe(0);
});

describe('negative controls', () => {
  const suite = openSuite(file);
  test('rules out of the path: every denied cell is found open', () => {
    const { mismatches, measured, noEvidence } = runSuite(suite, { joining: 'bridge', filterBridged: false });
    console.log(`rules out of the path: ${mismatches} mismatches`);
    expect({ mismatches, measured, noEvidence }).toEqual({ mismatches: 6825, measured: 33_600, noEvidence: 0 });
  });
  /** Cells between different pods that would be otherwise if the decision were made with the broken world. */
  const different = (enforce: (world: World) => World): number =>
    suite.stages.reduce((sum, { world, flows }) => {
      const [right, broken] = [new Evaluator(world), new Evaluator(enforce(world))];
      return (
        sum + flows.filter(({ flow, unmeasured }) => unmeasured === undefined && right.decide(flow).verdict !== broken.decide(flow).verdict).length
      );
    }, 0);
  test.each([
    ['SCTP taken for TCP', sctpAsTcp],
    ['namespaceSelector ignored', namespacesIgnored],
  ] as const)('%s', (name, enforce) => {
    const { mismatches, predictionMismatches } = runSuite(suite, { enforce });
    console.log(`${name}: ${mismatches} mismatches`);
    expect(mismatches).toBe(different(enforce));
    expect(mismatches).toBeGreaterThan(60);
    expect(predictionMismatches).toBe(0);
  });
});

describe('random cases', () => {
  test('predictor and kernel agree', () => {
    const count = soak ? 2000 : 50;
    const { cases, cells, denied, finding } = fuzz({ seed: 5, count });
    expect(finding).toBeUndefined();
    expect({ cases, many: cells > 200 * count }).toEqual({ cases: count, many: true });
    expect(denied / cells).toBeGreaterThan(0.15);
    expect(denied / cells).toBeLessThan(0.85);
  });
  const faults = [
    ['pooled excepts', pooledExcepts],
    ['Pass taken for Accept', passFinal],
    ['endPort ignored', endPortIgnored],
    ['SCTP taken for TCP', sctpAsTcp],
    ['namespaceSelector ignored', namespacesIgnored],
  ] as const;
  test.each(soak ? faults : faults.slice(0, 2))('%s: found within 200 cases, and made small', (name, enforce) => {
    const { cases, mismatches, finding } = fuzz({ seed: 3, count: 200, enforce });
    console.log(`${name}: ${mismatches} mismatches within ${cases} cases, shown by ${finding?.case.policies.length} policies`);
    // Another rule than predicted is found, too, where it ends the same.
    expect(finding?.case.policies.length).toBeGreaterThan(0);
    expect(finding?.case.policies.length).toBeLessThanOrEqual(2);
  });
});
