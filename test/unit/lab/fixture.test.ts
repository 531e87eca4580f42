/** The plan of a fixture: what must be waited for before packets are sent. */
import { expect, test } from 'vitest';
import { Fixture } from '../../../src/lab/fixture.ts';
import { ProberPlan } from '../../../src/lab/plan.ts';
import { read } from '../policy/ask.ts';

function awaited(joining: 'bridge' | 'routed', text: string): string[] {
  const { world } = read(text);
  const plan = new ProberPlan();
  new Fixture(plan, joining, world, true).follow(world);
  // Without a ^: bytes of a message stand before some, and do not end a line.
  return [
    ...plan
      .bytes()
      .toString('latin1')
      .matchAll(/await \d+ \d+$/gm),
  ].map(([line]) => line);
}

test('a bridge is waited for after its ports: it carries packets later than they do', () => {
  const one = 'pods: [{name: a, ip: 10.1.0.1}]';
  expect(awaited('bridge', one)).toEqual(['await 0 1032', 'await 1 2', 'await 0 1064', 'await 2 2', 'await 0 10']);
  expect(awaited('routed', one)).toEqual(['await 0 1032', 'await 1 2', 'await 0 1064', 'await 2 2']);
  const two =
    'networks: [{name: l, subnet: 10.1.0.0/16}, {name: m, subnet: 10.2.0.0/16}]\npods: [{name: a, networks: [m]}, {name: b, networks: [m]}]';
  expect(awaited('bridge', two).slice(-1)).toEqual(['await 0 11']);
});
