/** The decision against every cell of the shared Cyclonus cases, loopback included; and that the comparison can fail. */
import { expect, test } from 'vitest';
import { predict } from '../../../src/policy/decision/predict.ts';
import type { World } from '../../../src/policy/model/experiment.ts';
import type { Rule } from '../../../src/policy/model/policy.ts';
import { cyclonusCases, experimentOf, type CyclonusStep } from './cyclonus.ts';

const letter = (verdict: string): string => (verdict === 'allow' ? '.' : 'X');

/** Cells that are not as expected, as `case from to port got/wanted`. */
function mismatches(step: CyclonusStep, spoil: (world: World) => World = (world) => world): { cells: number; wrong: string[] } {
  const { world, probes } = experimentOf(step);
  const wrong: string[] = [];
  const cells = predict(spoil(world), probes);
  for (const { from, to, flow, decision } of cells) {
    const got = [decision.ingress.verdict, decision.egress.verdict, decision.verdict].map(letter).join('');
    const wanted = step.Expected[from]?.[to]?.[`${flow.protocol}/${flow.port}`];
    if (got !== wanted) wrong.push(`${from} ${to} ${flow.protocol}/${flow.port} ${got}/${wanted ?? 'nothing'}`);
  }
  const wantedCells = Object.values(step.Expected).flatMap((row) => Object.values(row).flatMap((cell) => Object.keys(cell))).length;
  if (cells.length !== wantedCells) wrong.push(`${cells.length} cells, ${wantedCells} expected`);
  return { cells: cells.length, wrong };
}

const cases = cyclonusCases();
const steps = cases.flatMap(({ Number: number, Steps }) => Steps.map((step, index) => ({ number, index, step })));

test('every cell of every shared case', () => {
  const results = steps.map(({ number, index, step }) => ({ number, index, ...mismatches(step) }));
  expect(results.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
  expect(results.reduce((sum, { cells }) => sum + cells, 0)).toBe(37_776);
});

test('negative controls: what is left out of the semantics is found', () => {
  const count = (spoil: (world: World) => World): number => steps.reduce((sum, { step }) => sum + mismatches(step, spoil).wrong.length, 0);
  const withoutPolicies = count((world) => ({ ...world, policies: [] }));
  const withoutNamespaces = count((world) => ({
    ...world,
    namespaces: world.namespaces.map((namespace) => ({ ...namespace, labels: { ns: 'x' } })),
  }));
  const asTcp = (rule: Rule): Rule => ({
    ...rule,
    ...(rule.ports === undefined ? {} : { ports: rule.ports.map((port) => (port.protocol === 'SCTP' ? { ...port, protocol: 'TCP' } : port)) }),
  });
  const sctpAsTcp = count((world) => ({
    ...world,
    policies: world.policies.map((policy) => ({ ...policy, ingress: policy.ingress.map(asTcp), egress: policy.egress.map(asTcp) })),
  }));
  console.log(
    `controls: no policies ${withoutPolicies} mismatches, namespace labels ignored ${withoutNamespaces}, SCTP rules taken for TCP ${sctpAsTcp}`,
  );
  expect(sctpAsTcp).toBeGreaterThan(50);
  expect(withoutPolicies).toBeGreaterThan(3000);
  expect(withoutNamespaces).toBeGreaterThan(100);
});
