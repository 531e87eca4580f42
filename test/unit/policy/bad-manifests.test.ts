/**
 * Files of test/fixtures/netpol/bad: a line that ends in `# ✗ TEXT` has a fault that contains TEXT, and nothing else has one.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readExperiment } from '../../../src/policy/manifests/experiment.ts';
import { faultsOf } from './ask.ts';

const folder = join(import.meta.dirname, '../../fixtures/netpol/bad');
const files = readdirSync(folder).sort();

const faultsOfText = (file: string, text: string): readonly string[] =>
  faultsOf(() => readExperiment({ name: 'bad', files: [file], expand: () => [], read: () => ({ text }) }));

/** What comments cannot say: JSON has none, and in a billion laughs the line is the alias that was one too many. */
const elsewhere: Readonly<Record<string, readonly (readonly [number, string])[]>> = {
  '23-billion-laughs.yaml': [[1, 'aliases stand for more than 10000 values']],
  '32-json.json': [[4, 'spec.policyTypes[0]: "Ingres" is not one of Ingress, Egress (did you mean Ingress?)']],
};

describe('bad manifests', () => {
  test('there are thirty at least', () => expect(files.length).toBeGreaterThanOrEqual(30));

  test.each(files)('%s: each fault by its line, and no other', (file) => {
    const text = readFileSync(join(folder, file), 'utf8');
    const marked = text.split('\n').flatMap((line, index): (readonly [number, string])[] => {
      const wanted = / # ✗ (.*)$/.exec(line)?.[1];
      return wanted === undefined ? [] : [[index + 1, wanted]];
    });
    const wanted = elsewhere[file] ?? marked;
    const found = faultsOfText(file, text);
    const unmet = wanted.filter(([line, part]) => !found.some((fault) => fault.startsWith(`${file}:${line}: `) && fault.includes(part)));
    const unasked = found.filter((fault) => !wanted.some(([line, part]) => fault.startsWith(`${file}:${line}: `) && fault.includes(part)));
    expect({ unmet, unasked }).toEqual({ unmet: [], unasked: [] });
    expect(wanted.length).toBeGreaterThan(0);
  });

  test('a file of 10 MB, nesting without end, control characters', () => {
    expect(faultsOfText('big.yaml', `# ${'x'.repeat(10 << 20)}`)).toEqual([
      'big.yaml:1: the file has 10485762 characters, more than the 4194304 that are read',
    ]);
    expect(faultsOfText('deep.json', `\n${'['.repeat(100_000)}`)).toEqual(['deep.json:2: more than 100 levels of nesting']);
    expect(faultsOfText('deep.yaml', Array.from({ length: 500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'))[0]).toContain('more than 100 levels');
    expect(faultsOfText('self.yaml', 'a: &a [*a]')).toHaveLength(1);
    expect(faultsOfText('nul.yaml', 'a: 1\nb: \u0000')).toEqual(['nul.yaml:2: the control character 0x00 is not allowed in YAML']);
  });

  test('many faults are counted, and the first thousand told', () => {
    const text = Array.from({ length: 1050 }, (_, i) => `apiVersion: v1\nkind: Pod\nmetadata: {name: A${i}}\n---\n`).join('');
    const found = faultsOfText('many.yaml', text);
    expect([found.length, found.at(-1)]).toEqual([1001, 'and 50 more']);
  });

  test('damaged text is refused or read, never a crash', () => {
    const texts = files.map((file) => readFileSync(join(folder, file), 'utf8'));
    // A linear congruential generator: the same damage every time.
    let state = 1;
    const random = (below: number): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
    let refused = 0;
    for (let round = 0; round < 600; round++) {
      const text = texts[random(texts.length)] ?? '';
      const at = random(text.length);
      const piece = ['', '{', ']', '- ', ': ', '*a ', '&a ', '"', '\n', '  ', 'null', '!!x ', '<<: ', '\u{1f600}', '---\n'][random(15)] ?? '';
      refused += Math.min(faultsOfText('f.yaml', text.slice(0, at) + piece + text.slice(at + random(6))).length, 1);
    }
    expect(refused).toBeGreaterThan(400);
  });
});
