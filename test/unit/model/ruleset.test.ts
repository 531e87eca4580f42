import { describe, expect, test } from 'vitest';
import { type Ip } from '../../../src/model/cidr.ts';
import { attachmentText, masqueradeElements, networkText, parseSubnetChainName, portElements, subnetChainName } from '../../../src/model/ruleset.ts';
import { subnetChain } from '../../../src/model/ruleset/skeleton.ts';
import { cidr, ip } from '../../rig/addresses.ts';

const key = { network: 'net', containerId: 'cid', ifName: 'eth0' };

describe('attachmentText', () => {
  test('is readable', () => expect(attachmentText(key)).toBe('net/cid/eth0'));
  test('fits an element however long the names are, and stays unique', () => {
    const long = (end: string) => ({ network: `${'n'.repeat(300)}${end}`, containerId: `${'c'.repeat(300)}${end}`, ifName: 'abcdefghijklmno' });
    expect(Buffer.byteLength(attachmentText(long('a')))).toBeLessThanOrEqual(254);
    expect(attachmentText(long('a'))).not.toBe(attachmentText(long('b')));
    expect(attachmentText(long('a')).startsWith(networkText(long('a').network))).toBe(true);
    expect(networkText(long('a').network)).not.toBe(networkText(long('b').network));
    expect(attachmentText({ ...key, network: 'n'.repeat(110) })).toBe(`${'n'.repeat(110)}/cid/eth0`);
  });
});

describe('subnet chains', () => {
  test.each(['10.1.0.5/24', '0.0.0.0/0', '10.1.0.5/32', 'fd00::5/64', '::/0', '2001:db8:1:2:3:4:5:6/127'])('%s: the name says the subnet', (text) => {
    const name = subnetChainName('outside', cidr(text));
    expect(name).toMatch(/^[a-zA-Z][a-zA-Z0-9/_.-]*$/);
    const parsed = parseSubnetChainName(name);
    expect(parsed?.kind).toBe('outside');
    expect(parsed && subnetChainName('outside', parsed.subnet)).toBe(name);
    expect(parsed?.subnet.prefixLen).toBe(cidr(text).prefixLen);
    expect(parsed?.subnet.ip.family).toBe(cidr(text).ip.family);
  });
  test('other names are nobody’s', () => {
    for (const name of ['publish', 'outside', 'outside-', 'outside-10.1.0.0', 'inside-x/3', 'besides-10.1.0.0/24'])
      expect(subnetChain(name), name).toBeUndefined();
  });
});

describe('elements', () => {
  test('the same address twice is one element', () => {
    expect(masqueradeElements(key, [cidr('10.1.0.5/24'), cidr('10.1.0.5/24')])).toHaveLength(1);
  });
  const targets = { addresses: [cidr('10.1.0.5/24'), cidr('fd00::5/64')], snat: true, masqAll: false };
  const mapping = (host: Ip | undefined) => [{ hostPort: 80, containerPort: 80, protocol: 'tcp', host }] as const;
  test.each([
    [undefined, ['ports4', 'hairpin4', 'ports6', 'hairpin6']],
    [ip('0.0.0.0'), ['ports4', 'hairpin4']],
    [ip('::'), ['ports6', 'hairpin6']],
    [ip('127.0.0.1'), ['hostports4', 'hairpin4']],
    [ip('2001:db8::1'), ['hostports6', 'hairpin6']],
  ])('a port on host address %s', (host, sets) => {
    expect(portElements(key, mapping(host), targets).map((element) => element.set)).toEqual(sets);
  });
  test('no snat, no hairpin; masqAll hides everybody; a pod without the family gets nothing', () => {
    expect(portElements(key, mapping(undefined), { ...targets, snat: false }).map((element) => element.set)).toEqual(['ports4', 'ports6']);
    expect(portElements(key, mapping(undefined), { ...targets, masqAll: true }).flatMap((element) => element.chain ?? [])).toEqual([
      'inside-0.0.0.0/0',
      'inside---/0',
    ]);
    expect(portElements(key, mapping(ip('::')), { ...targets, addresses: [cidr('10.1.0.5/24')] })).toEqual([]);
  });
});
