/**
 * The rules of policy.md on packets: the tests of each rule are run here as well, and every connection that they ask about is then
 * tried on the world that they ask about.
 */
import { expect, test } from 'vitest';
import { judge, whyUnmeasured, type JudgedFlow } from '../../src/lab/judge.ts';
import { measure } from '../../src/lab/measure.ts';
import { isMismatch, isOtherRule, isWithoutEvidence } from '../../src/lab/results.ts';
import { cellText } from '../../src/lab/text.ts';
import type { World } from '../../src/policy/model/experiment.ts';
import type { Flow } from '../../src/policy/model/flow.ts';
import { useHost } from '../rig/host.ts';
import { asked } from '../unit/policy/ask.ts';

useHost();
await import('../unit/policy/rules-selection.test.ts');
await import('../unit/policy/rules-ports.test.ts');
await import('../unit/policy/rules-world.test.ts');
await import('../unit/policy/rules-cluster.test.ts');

interface Question {
  readonly test: string;
  readonly world: World;
  readonly flow: JudgedFlow;
}

/** An address that a question names need not be anybody's in the world: it is made somebody's. */
function withEnds(world: World, { from, to }: Flow): World {
  const strangers = [from, to].flatMap((end) => (end.kind === 'outside' && !world.outside.includes(end.outside) ? [end.outside] : []));
  return strangers.length === 0 ? world : { ...world, outside: [...world.outside, ...strangers] };
}

/** Worlds that one fixture can follow: networks, nodes and who is outside are the same. */
const fixtureOf = ({ networks, nodes, outside }: World): string =>
  JSON.stringify([networks, nodes, outside], (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));

function grouped<K>(questions: readonly Question[], key: (question: Question) => K): Map<K, Question[]> {
  const groups = new Map<K, Question[]>();
  for (const question of questions) groups.set(key(question), [...(groups.get(key(question)) ?? []), question]);
  return groups;
}

test('packets do what the decision says, by the rule that it names, in every world that a rule is tested in', () => {
  const questions = asked.map(({ test: name, world, flow }): Question => ({
    test: name,
    world: withEnds(world, flow),
    flow: { flow, unmeasured: whyUnmeasured(flow, world) },
  }));
  const wrong: string[] = [];
  const shown = new Set<string>();
  for (const together of grouped(questions, ({ world }) => fixtureOf(world)).values()) {
    const stages = [...grouped(together, ({ world }) => world)];
    const measured = measure(
      stages.map(([world, of]) => ({ world, flows: of.flatMap(({ flow: { flow, unmeasured } }) => (unmeasured === undefined ? [flow] : [])) })),
    );
    for (const [index, [world, of]] of stages.entries()) {
      const cells = judge(
        world,
        of.map(({ flow }) => flow),
        measured[index]?.flows ?? [],
      );
      for (const [at, cell] of cells.entries()) {
        const name = of[at]?.test ?? '';
        if (cell.measured !== null) shown.add(/\b(\d+):/.exec(name)?.[1] ?? name);
        if (isMismatch(cell) || isWithoutEvidence(cell) || isOtherRule(cell)) wrong.push(`${name}: ${cellText(cell)}`);
      }
    }
  }
  console.log(`rules shown by packets: ${[...shown].sort((a, b) => Number(a) - Number(b)).join(' ')}`);
  expect(wrong).toEqual([]);
  expect(shown.size).toBeGreaterThan(45);
});
