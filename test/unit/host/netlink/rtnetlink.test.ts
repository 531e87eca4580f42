import { describe, expect, test } from 'vitest';
import {
  addAddress,
  addRoute,
  createBridge,
  createVeth,
  ensureRoute,
  RT_SCOPE,
  setBridgePort,
  setUp,
} from '../../../../src/host/netlink/rtnetlink.ts';
import { cidr, ip } from '../../../rig/addresses.ts';

/** `type:hex` of each attribute; written here so that the reader of the code under test does not check itself. */
function attributes(bytes: Buffer): string[] {
  const found: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt16LE(at);
    expect(length, 'a length that covers its own header').toBeGreaterThanOrEqual(4);
    found.push(`${bytes.readUInt16LE(at + 2)}:${bytes.toString('hex', at + 4, at + length)}`);
    at += (length + 3) & ~3;
  }
  return found;
}
const hex = (text: string): string => Buffer.from(`${text}\0`).toString('hex');

describe('links', () => {
  test('a bridge: name, mtu, mac, kind, up', () => {
    const { type, flags, body } = createBridge('br0', { mtu: 1400, mac: '0a:72:6b:74:01:02' });
    expect([type, flags]).toEqual([16, 0x600]);
    expect(body.toString('hex', 0, 16)).toBe('00000000000000000100000001000000');
    expect(attributes(body.subarray(16))).toEqual([`3:${hex('br0')}`, '4:78050000', '1:0a726b740102', `18:0b000100${hex('bridge')}00`]);
  });
  test('a pair in one message: the peer has its own name, mtu, mac and namespace, and is down', () => {
    const { body } = createVeth('veth1', { master: 7 }, { name: 'eth0', netnsFd: 5, mtu: 9000, mac: '02:00:00:00:00:01' });
    const [name, master, info] = attributes(body.subarray(16));
    expect([name, master]).toEqual([`3:${hex('veth1')}`, '10:07000000']);
    const [kind, data] = attributes(Buffer.from(info?.slice('18:'.length) ?? '', 'hex'));
    expect(kind).toBe(`1:${hex('veth')}`);
    const peer = Buffer.from(attributes(Buffer.from(data?.slice(2) ?? '', 'hex'))[0]?.slice(2) ?? '', 'hex');
    expect(peer.toString('hex', 0, 16)).toBe('0'.repeat(32));
    expect(attributes(peer.subarray(16))).toEqual([`3:${hex('eth0')}`, '4:28230000', '1:020000000001', '28:05000000']);
  });
  test('mtu 0 is the kernel’s own', () => {
    expect(attributes(createBridge('b', { mtu: 0 }).body.subarray(16)).map((item) => item.split(':')[0])).toEqual(['3', '18']);
  });
  test('up touches the up flag only', () => expect(setUp(9, 'x').body.toString('hex')).toBe('00000000090000000100000001000000'));
  test('bridge port settings go to the bridge family, nested', () => {
    const { type, body } = setBridgePort(3, { hairpin: true, isolated: false });
    expect([type, body[0]]).toEqual([19, 7]);
    expect(attributes(body.subarray(16))).toEqual([`${12 | 0x8000}:0500040001000000` + '0500210000000000']);
  });
});

describe('addresses', () => {
  test('IPv4 keeps its host bits and has a broadcast address where the subnet has one', () => {
    const { type, flags, body } = addAddress(4, cidr('10.1.2.3/24'));
    expect([type, flags]).toEqual([20, 0x600]);
    expect(body.toString('hex', 0, 8)).toBe('0218000004000000');
    expect(attributes(body.subarray(8))).toEqual(['2:0a010203', '1:0a010203', '8:00000000', '4:0a0102ff']);
    expect(attributes(addAddress(4, cidr('10.1.2.3/31')).body.subarray(8)).at(-1)).toBe('8:00000000');
  });
  test('IPv6 is not checked for duplicates (IFA_F_NODAD)', () => {
    expect(attributes(addAddress(4, cidr('fd00::1/64')).body.subarray(8)).at(-1)).toBe('8:02000000');
    expect(attributes(addAddress(4, cidr('fd00::1/64'), { prefixRoute: false }).body.subarray(8)).at(-1)).toBe('8:02020000');
  });
});

describe('routes', () => {
  test('a default route has no destination and universe scope', () => {
    const { flags, body } = addRoute(4, { dst: cidr('0.0.0.0/0'), gateway: ip('10.1.0.1') });
    expect(flags).toBe(0xc00);
    expect(body.toString('hex', 0, 12)).toBe('02000000fe03000100000000');
    expect(attributes(body.subarray(12))).toEqual(['4:04000000', '15:fe000000', '5:0a010001']);
  });
  test('without gateway: link scope; scope 0, table, priority, source and metrics as given', () => {
    expect(addRoute(4, { dst: cidr('10.0.0.0/8') }).body[6]).toBe(RT_SCOPE.LINK);
    const { body } = addRoute(4, { dst: cidr('10.0.0.0/8'), scope: 0, table: 1000, priority: 7, source: ip('10.0.0.2'), mtu: 1300, advmss: 1200 });
    expect([body[4], body[6]]).toEqual([252, 0]);
    expect(attributes(body.subarray(12))).toEqual([
      '1:0a000000',
      '4:04000000',
      '15:e8030000',
      '7:0a000002',
      '6:07000000',
      `${8 | 0x8000}:0800020014050000` + '08000800b0040000',
    ]);
  });
  test('IPv6 routes have no scope', () => expect(addRoute(4, { dst: cidr('fd00::/64'), scope: 253 }).body[6]).toBe(0));
  test('add appends, ensure replaces', () => {
    expect(ensureRoute(4, { dst: cidr('10.0.0.1/32') }).flags).toBe(0x500);
  });
});

test('every request says what it wanted', () => {
  expect([
    createBridge('br0', {}).what,
    addAddress(1, cidr('10.0.0.1/8')).what,
    addRoute(1, { dst: cidr('0.0.0.0/0'), gateway: ip('10.0.0.1') }).what,
  ]).toEqual(['create bridge br0', 'add address 10.0.0.1/8', 'add route 0.0.0.0/0 via 10.0.0.1']);
});
