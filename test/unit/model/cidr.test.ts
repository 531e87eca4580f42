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
});
