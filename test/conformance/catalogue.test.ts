/** The table is whole: no number is missing, none is counted twice, none has both a test and an excuse. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requirements } from '../../src/net/conform/requirements.ts';
import { catalogue, counts, elsewhere, notApplicable } from './catalogue.ts';
import { mutants } from './mutants.ts';
import { numbersOf } from './numbers.ts';

const titles = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.test.ts'))
  .flatMap((name) => [...readFileSync(join(import.meta.dirname, name), 'utf8').matchAll(/\btest\((['"`])(.*?)\1/g)].map((match) => match[2] ?? ''));
const tested = new Set([...titles.flatMap(numbersOf), ...requirements.map(({ number }) => number), ...elsewhere.flatMap(({ numbers }) => numbers)]);

test('every number is there once', () => {
  const wanted = Object.entries(counts).flatMap(([letter, n]) => Array.from({ length: n }, (_, i) => `${letter}${i + 1}`));
  expect(catalogue.map(({ number }) => number).sort()).toEqual(wanted.sort());
});
test('every number has a test or a reason, not both', () => {
  const numbers = catalogue.map(({ number }) => number);
  expect(numbers.filter((number) => !tested.has(number) && notApplicable[number] === undefined)).toEqual([]);
  expect(Object.keys(notApplicable).filter((number) => tested.has(number))).toEqual([]);
});
test('titles carry known numbers', () => {
  const known = new Set(catalogue.map(({ number }) => number));
  expect([...tested].filter((number) => !known.has(number))).toEqual([]);
});
test('every number that has a test has a mutant', () => {
  const covered = new Set(mutants.flatMap(({ numbers }) => numbers));
  expect(catalogue.map(({ number }) => number).filter((number) => !covered.has(number) && notApplicable[number] === undefined)).toEqual([]);
});
test('a mutant names numbers of the catalogue, and text that is in its file once', () => {
  const known = new Set(catalogue.map(({ number }) => number));
  const root = join(import.meta.dirname, '../..');
  const stale = mutants.flatMap(({ file, find, numbers }) => {
    const times = readFileSync(join(root, file), 'utf8').split(find).length - 1;
    return [...numbers.filter((number) => !known.has(number)), ...(times === 1 ? [] : [`${file} has ${times} times: ${find}`])];
  });
  expect(stale).toEqual([]);
});
