import { isIP } from 'node:net';
import { Address4, Address6 } from 'ip-address';
import { describe, expect, test } from 'vitest';
import { cidrText, contains, ipBytes, ipFromBytes, ipFromValue, lastOf, networkOf, overlaps, parseCidr, parseIp } from '../../../src/model/cidr.ts';
import { cidr, ip } from '../../rig/addresses.ts';

describe('cidr', () => {
  test.each(['10.0.0.256', '1.2.3', '01.2.3.4', '10.0.0.1/24', 'fe80::1%eth0', '::g', '', '1.2.3.4.5', ':::'])('%j is not an address', (text) => {
    expect(parseIp(text)).toBeUndefined();
  });
  test.each(['10.0.0.0/33', '10.0.0.0', '10.0.0.0/', 'fd00::/129', '10.0.0.0/-1', '10.0.0.0/ 8'])('%j is not a subnet', (text) => {
    expect(parseCidr(text)).toBeUndefined();
  });
  test('keeps host bits, finds network and last', () => {
    expect(cidrText(cidr('10.1.2.3/24'))).toBe('10.1.2.3/24');
    expect(cidrText(networkOf(cidr('10.1.2.3/24')))).toBe('10.1.2.0/24');
    expect(lastOf(cidr('10.1.2.3/24')).text).toBe('10.1.2.255');
    expect(lastOf(cidr('fd00:0:0::1/112')).text).toBe('fd00::ffff');
  });
  test('containment and overlap need one family', () => {
    expect(contains(cidr('10.0.0.0/8'), ip('10.255.0.1'))).toBe(true);
    expect(contains(cidr('10.0.0.0/8'), ip('11.0.0.1'))).toBe(false);
    expect(overlaps(cidr('10.0.0.0/8'), cidr('10.3.0.0/16'))).toBe(true);
    expect(overlaps(cidr('10.3.0.0/16'), cidr('10.0.0.0/8'))).toBe(true);
    expect(overlaps(cidr('10.3.0.0/16'), cidr('10.4.0.0/16'))).toBe(false);
    expect(overlaps(cidr('0.0.0.0/0'), cidr('::/0'))).toBe(false);
  });
  test('bytes round-trip', () => {
    for (const text of ['0.0.0.0', '255.255.255.255', '10.0.0.1', '::', 'fd00::1', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'])
      expect(ipFromBytes(ipBytes(ip(text))).text).toBe(text);
    expect(ipFromValue(4, 0x0a000001n).text).toBe('10.0.0.1');
  });
  test.each([
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['0:0:1:0:0:0:1:1', '0:0:1::1:1'],
    ['1:0:0:2:0:0:3:4', '1::2:0:0:3:4'],
    ['f60:0:0:0:1:0:0:0', 'f60::1:0:0:0'],
    ['::FFFF:1.2.3.4', '::ffff:102:304'],
    ['1:2:3:4:5:6:7.8.9.10', '1:2:3:4:5:6:708:90a'],
    ['::', '::'],
  ])('%s is %s in canonical form', (text, canonical) => {
    expect(ip(text).text).toBe(canonical);
  });
  test('what is an address, and its canonical form, are what inet_pton and URLs say', () => {
    const parts = ['0', '1', 'a', 'FFFF', '00', '12345', ':', ':', ':', '::', ':0', '0:', '.', '1.2.3.4', '255', '256', '08', ' ', 'g'];
    // A sequence that is the same each time (Numerical Recipes' generator).
    let state = 1;
    const below = (limit: number): number => ((state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % 65_521) % limit;
    const hex = (): string => (below(2) === 0 ? '0' : below(65_536).toString(16));
    const seen = { 4: 0, 6: 0, 0: 0 };
    for (let round = 0; round < 20_000; round++) {
      const groups = Array.from({ length: 8 }, hex);
      const start = below(9);
      const whole = below(2) === 0 ? groups.join(':') : `${groups.slice(0, start).join(':')}::${groups.slice(start + below(4)).join(':')}`;
      const text = round % 2 === 0 ? whole : Array.from({ length: 1 + below(9) }, () => parts[below(parts.length)]).join('');
      const parsed = parseIp(text);
      const family = isIP(text);
      expect([text, parsed?.family ?? 0]).toEqual([text, family]);
      if (parsed?.family === 6) expect(parsed.text).toBe(new URL(`http://[${text}]/`).hostname.slice(1, -1));
      if (parsed !== undefined) expect(parseIp(parsed.text)).toEqual(parsed);
      seen[family as 0 | 4 | 6]++;
    }
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(20);
  });
});

test('numbers and texts are those of ip-address', () => {
  // A generator with a seed: what fails can be run again.
  let state = 0x2545f491;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  for (let round = 0; round < 2_000; round++) {
    const words = Array.from({ length: 4 }, () => (next() % 3 === 0 ? 0 : next()));
    const bytes = Buffer.from(words.flatMap((word) => [word >>> 24, (word >>> 16) & 255, (word >>> 8) & 255, word & 255]));
    const [four, six] = [ipFromBytes(bytes.subarray(0, 4)), ipFromBytes(bytes)];
    expect([four.text, parseIp(four.text)?.value]).toEqual([Address4.fromBigInt(four.value).correctForm(), four.value]);
    const theirs = Address6.fromBigInt(six.value);
    expect([six.text, parseIp(theirs.canonicalForm())?.value]).toEqual([theirs.correctForm(), six.value]);
  }
});
