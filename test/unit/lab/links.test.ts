import { expect, test } from 'vitest';
import { lossOf } from '../../../src/lab/links.ts';
import { readExperiment } from '../../../src/policy/manifests/experiment.ts';
import type { TableValue } from '../../../src/model/ruleset/table.ts';

const none = { files: [], expand: () => [], read: () => ({ fault: 'no' }) };
const lossOfText = (...links: unknown[]): TableValue | undefined => {
  const text = JSON.stringify({ pods: [{ name: 'a' }, { name: 'b' }], links });
  const { links: read, world } = readExperiment({ name: 'x', experiment: { file: 'x', text }, ...none });
  return lossOf(read, world);
};
const lost = (table: TableValue | undefined): string[] =>
  table?.sets.find(({ name }) => name === 'lost0')?.elements.map(({ key }) => Buffer.from(key).toString('hex')) ?? [];

test('a share of a thousand, by seed: the same each time, another for another seed', () => {
  const of = (seed: number): string[] => lost(lossOfText({ pod: 'default/a', loss: '2.5%', seed }));
  expect(of(1)).toHaveLength(25);
  expect(new Set(of(1)).size).toBe(25);
  expect(of(1)).toEqual(of(1));
  expect(of(1)).not.toEqual(of(2));
});

test('a pod link is that of the pod, a network link that of all; no loss, no table', () => {
  const members = (table: TableValue | undefined): number => table?.sets.find(({ name }) => name === 'from0-4')?.elements.length ?? 0;
  expect([members(lossOfText({ pod: 'default/a', loss: 'every 3' })), members(lossOfText({ network: 'pods', partition: true }))]).toEqual([1, 2]);
  expect(lossOfText({ pod: 'default/a', rate: '1mbit' })).toBeUndefined();
});
