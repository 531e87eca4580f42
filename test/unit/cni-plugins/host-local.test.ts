/** The cases of the reference's tables for ranges and allocation (cni.md 3.16). */
import { describe, expect, test } from 'vitest';
import { candidates, capacityOf, checkSets, rangeFor, readRange, setText, type RangeSet } from '../../../cni-plugins/host-local/range.ts';
import { ConfReader } from '../../../cni-plugins/skel/conf.ts';
import { parseIp, type Ip } from '../../../src/model/cidr.ts';

const range = (fields: object) => readRange(new ConfReader(fields as Record<string, unknown>));
const setOf = (...subnets: string[]): RangeSet => subnets.map((subnet) => range({ subnet }));
const ip = (text: string): Ip => {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};
const walk = (set: RangeSet, last?: string): string[] => [...candidates(set, last === undefined ? undefined : ip(last))].map((one) => one.ip.text);
const first = (set: RangeSet, taken: readonly string[], last?: string): string | undefined => {
  for (const candidate of candidates(set, last === undefined ? undefined : ip(last)))
    if (!taken.includes(candidate.ip.text)) return candidate.ip.text;
  return undefined;
};
const eightAddresses = '10.7.0.0/29';

describe('round robin', () => {
  test.each<[string, string[], string[], string | undefined, string | undefined]>([
    ['fresh', [eightAddresses], [], undefined, '10.7.0.2'],
    ['fresh IPv6', ['fd07::/64'], [], undefined, 'fd07::2'],
    ['the smallest subnet', ['10.7.0.0/30'], [], undefined, '10.7.0.2'],
    ['the first is taken', [eightAddresses], ['10.7.0.2'], undefined, '10.7.0.3'],
    ['after the last one', [eightAddresses], [], '10.7.0.5', '10.7.0.6'],
    ['after the last one, past taken ones', [eightAddresses], ['10.7.0.4', '10.7.0.5'], '10.7.0.3', '10.7.0.6'],
    ['wraps', [eightAddresses], ['10.7.0.6'], '10.7.0.5', '10.7.0.2'],
    ['the last one is not in the range', [eightAddresses], ['10.7.0.2'], '10.7.0.128', '10.7.0.3'],
    ['only the last one is free', [eightAddresses], ['10.7.0.2', '10.7.0.4', '10.7.0.5', '10.7.0.6'], '10.7.0.3', '10.7.0.3'],
    ['the first of several pools', ['10.7.0.0/30', '10.7.1.0/30'], [], undefined, '10.7.0.2'],
    ['on to the next pool', ['10.7.0.0/30', '10.7.1.0/30'], [], '10.7.0.2', '10.7.1.2'],
    ['back to the first pool', ['10.7.0.0/30', '10.7.1.0/30', '10.7.2.0/30'], [], '10.7.2.2', '10.7.0.2'],
    ['full', ['10.7.0.0/30'], ['10.7.0.2'], undefined, undefined],
    ['full, with a last one', [eightAddresses], [2, 3, 4, 5, 6].map((i) => `10.7.0.${i}`), '10.7.0.4', undefined],
    ['all pools full', ['10.7.0.0/30', '10.7.1.0/30'], ['10.7.0.2', '10.7.1.2'], '10.7.0.2', undefined],
  ])('%s', (_name, subnets, taken, last, expected) => expect(first(setOf(...subnets), taken, last)).toBe(expected));

  test('each address once, never gateway, network or broadcast', () => {
    expect(walk(setOf(eightAddresses))).toEqual([2, 3, 4, 5, 6].map((i) => `10.7.0.${i}`));
    expect(walk(setOf(eightAddresses), '10.7.0.6')).toEqual([2, 3, 4, 5, 6].map((i) => `10.7.0.${i}`));
    expect(walk(setOf(eightAddresses), '10.7.0.3')).toEqual([4, 5, 6, 2, 3].map((i) => `10.7.0.${i}`));
    expect(walk(setOf('fd07::/126'))).toEqual(['fd07::2', 'fd07::3']);
    expect(walk([range({ subnet: eightAddresses, gateway: '10.7.0.4' })])).toEqual([1, 2, 3, 5, 6].map((i) => `10.7.0.${i}`));
    expect(walk([range({ subnet: eightAddresses, gateway: '10.9.9.9', rangeStart: '10.7.0.0', rangeEnd: '10.7.0.7' })])).toHaveLength(8);
    expect(walk(setOf('10.7.0.0/30', '10.7.1.0/30'), '10.7.1.2')).toEqual(['10.7.0.2', '10.7.1.2']);
  });
  test('capacity is what is walked', () => {
    for (const set of [
      setOf(eightAddresses),
      setOf('10.7.0.0/30', '10.7.1.0/29'),
      [range({ subnet: eightAddresses, rangeStart: '10.7.0.3', gateway: '10.7.0.2' })],
    ])
      expect(capacityOf(set)).toBe(BigInt(walk(set).length));
  });
});

describe('one range', () => {
  test.each<[object, string, string]>([
    [{ subnet: '192.0.2.0/24' }, '192.0.2.1-192.0.2.254', '192.0.2.1'],
    [{ subnet: '192.0.2.0/25' }, '192.0.2.1-192.0.2.126', '192.0.2.1'],
    [{ subnet: '192.0.2.12/30' }, '192.0.2.13-192.0.2.14', '192.0.2.13'],
    [{ subnet: 'fd07:1::/64' }, 'fd07:1::1-fd07:1::ffff:ffff:ffff:ffff', 'fd07:1::1'],
    [{ subnet: '192.0.2.0/24', rangeStart: '192.0.2.40', rangeEnd: '192.0.2.50', gateway: '192.0.2.254' }, '192.0.2.40-192.0.2.50', '192.0.2.254'],
    [{ subnet: '192.0.2.0/24', rangeEnd: '192.0.2.255' }, '192.0.2.1-192.0.2.255', '192.0.2.1'],
    [{ subnet: '192.0.2.0/24', rangeStart: '', rangeEnd: '', gateway: '' }, '192.0.2.1-192.0.2.254', '192.0.2.1'],
  ])('%j', (fields, text, gateway) => {
    expect(setText([range(fields)])).toBe(text);
    expect(range(fields).gateway.text).toBe(gateway);
  });
  test('which range an address is in', () => {
    const set = [range({ subnet: '10.7.0.0/24', rangeEnd: '10.7.0.9' }), range({ subnet: '10.7.0.0/24', rangeStart: '10.7.0.20' })];
    expect(
      ['10.7.0.1', '10.7.0.9', '10.7.0.10', '10.7.0.20', '10.7.0.255', 'fd07::1'].map((text) =>
        set.findIndex((one) => one === rangeFor(set, ip(text))),
      ),
    ).toEqual([0, 0, -1, 1, -1, -1]);
  });
});

describe('ranges against each other', () => {
  const span = (from: number, to: number) => range({ subnet: '10.7.0.0/24', rangeStart: `10.7.0.${from}`, rangeEnd: `10.7.0.${to}` });
  test.each<[string, [number, number], [number, number], boolean]>([
    ['equal', [10, 20], [10, 20], true],
    ['one in the other', [10, 20], [12, 15], true],
    ['the other in one', [12, 15], [10, 20], true],
    ['over the end', [10, 20], [20, 30], true],
    ['over the start', [20, 30], [10, 20], true],
    ['side by side', [10, 20], [21, 30], false],
  ])('%s', (_name, a, b, overlap) => {
    const inOneSet = (): void => checkSets([[span(...a), span(...b)]], '1.0.0');
    const inTwo = (): void => checkSets([[span(...a)], [span(...b)]], '1.0.0');
    if (overlap) {
      expect(inOneSet).toThrow(`invalid range set 0: subnets 10.7.0.${a[0]}-10.7.0.${a[1]} and 10.7.0.${b[0]}-10.7.0.${b[1]} overlap`);
      expect(inTwo).toThrow('range set 0 overlaps with 1');
    } else {
      inOneSet();
      inTwo();
    }
  });
  test('families', () => {
    checkSets([setOf('10.7.0.0/24'), setOf('fd07::/64')], '0.2.0');
    expect(() => checkSets([setOf('10.7.0.0/24', 'fd07::/64')], '1.0.0')).toThrow('invalid range set 0: mixed address families');
    expect(() => checkSets([setOf('10.7.0.0/24'), setOf('10.8.0.0/24')], '0.1.0')).toThrow(
      'CNI version 0.1.0 does not support more than 1 address per family',
    );
    checkSets([setOf('10.7.0.0/24'), setOf('10.8.0.0/24')], '0.3.0');
  });
});
