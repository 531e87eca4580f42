/** Byte for byte what tc sends (strace of iproute2 6.1), except for the tables that a kernel does not read since it counts by itself. */
import { describe, expect, test } from 'vitest';
import {
  addHtb,
  addHtbClass,
  addIngress,
  addRedirect,
  addSubnetFilter,
  addTokenBucket,
  createIfb,
  holds,
} from '../../../../src/host/netlink/traffic-control.ts';
import { cidr } from '../../../rig/addresses.ts';

const hex = ({ body }: { body: Buffer }): string => body.toString('hex');
const header = (index: string, handle: string, parent: string, info = '00000000'): string => `00000000${index}${handle}${parent}${info}`;

describe('messages', () => {
  test('tc qdisc add dev X root handle 1: tbf rate 8mbit burst 100000 limit 125000', () => {
    const request = addTokenBucket(7, { rate: 1_000_000, burst: 100_000, limit: 125_000 });
    expect([request.type, request.flags]).toEqual([36, 0x600]);
    expect(hex(request)).toBe(
      `${header('07000000', '00000100', 'ffffffff')}0800010074626600` +
        `34000200${'28000100'}03010000ffff000040420f00${'0'.repeat(24)}48e8010084d7170000000000${'08000600a0860100'}`,
    );
  });
  test('tc qdisc add dev X ingress', () => {
    expect(hex(addIngress(7))).toBe(`${header('07000000', '0000ffff', 'f1ffffff')}0c000100696e677265737300`);
  });
  test('tc filter add … protocol all prio 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev Y', () => {
    expect(hex(addRedirect(7, 0x40))).toBe(
      `${header('07000000', '00000000', '0000ffff', '00030100')}0800010075333200` +
        `6800020008000100010001003800070034000100${'0b0001006d697272656400'}00${'24000280'}${'20000200'}` +
        `00000000000000000400000000000000000000000100000040000000${'24000500'}0100010000000000000000000000000000000000000000000000000000000000`,
    );
  });
  test('tc qdisc add dev X root handle 1: htb default 30', () => {
    expect(hex(addHtb(7, 0x30))).toBe(
      `${header('07000000', '00000100', 'ffffffff')}08000100687462001c0002001800020003000000${'0a000000'}300000000000000000000000`,
    );
  });
  test('tc filter add … protocol ip prio 16 u32 match ip dst 10.0.0.0/8 flowid 1:1', () => {
    expect(hex(addSubnetFilter(7, cidr('10.9.9.9/8'), 'destination', 1))).toBe(
      `${header('07000000', '00000000', '00000100', '08001000')}0800010075333200` +
        `300002000800010001000100${'24000500'}01000100000000000000000000000000ff0000000a0000001000000000000000`,
    );
  });
  test('an IPv6 subnet is as many keys as it has words; all addresses are one key that matches anything', () => {
    const keys = (text: string, side: 'source' | 'destination') => {
      const bytes = addSubnetFilter(7, cidr(text), side, 1).body.subarray(20 + 8 + 4 + 8 + 4 + 16);
      return Array.from({ length: bytes.length / 16 }, (_, i) => [
        bytes.toString('hex', i * 16, i * 16 + 4),
        bytes.toString('hex', i * 16 + 4, i * 16 + 8),
        bytes.readInt32LE(i * 16 + 8),
      ]);
    };
    expect(keys('fd00:db8:abcd:1234:e000::/68', 'destination')).toEqual([
      ['ffffffff', 'fd000db8', 24],
      ['ffffffff', 'abcd1234', 28],
      ['f0000000', 'e0000000', 32],
    ]);
    expect(keys('fd00::/16', 'source')).toEqual([['ffff0000', 'fd000000', 8]]);
    expect(keys('::/0', 'source')).toEqual([['00000000', '00000000', 0]]);
    expect(keys('10.1.2.3/32', 'source')).toEqual([['ffffffff', '0a010203', 12]]);
  });
  test('rates beyond 32 bits go in an attribute of their own', () => {
    expect(hex(addTokenBucket(7, { rate: 2 ** 33, burst: 1, limit: 1 }))).toContain('0c0004000000000002000000');
    expect(hex(addHtbClass(7, 1, { rate: 2 ** 33, burst: 1 }))).toContain('0c00060000000000020000000c0007000000000002000000');
  });
  test('an IFB has its queue and MTU from the start', () => {
    expect(hex(createIfb('bwp1', { mtu: 1400, txQueueLen: 1000 }))).toBe(
      `${'0'.repeat(32)}0900030062777031000000000800040078050000${'08000d00e8030000'}0c00120008000100${'69666200'}`,
    );
  });
});

test('a bucket is recognised by rate and burst, within the kernel’s rounding', () => {
  const queue = { kind: 'tbf', handle: 0x10000, rate: 1000, limit: 0, ticks: 1_562_500, defaultMinor: 0 };
  expect(holds(queue, { rate: 1000, burst: 100 })).toBe(true);
  expect(holds({ ...queue, ticks: 1_562_501 }, { rate: 1000, burst: 100 })).toBe(true);
  expect(holds(queue, { rate: 1001, burst: 100 })).toBe(false);
  expect(holds(queue, { rate: 1000, burst: 101 })).toBe(false);
});
