import { expect, test } from 'vitest';
import type { Link } from '../../../../src/host/netlink/rtnetlink.ts';
import { createVrf, tableOfVrf } from '../../../../src/host/netlink/vrf.ts';

const link = (kind: string, data: string) => ({ kind, data: Buffer.from(data, 'hex') }) as Link;
test('ip link add v type vrf table 10, as strace shows it but for the NULs behind names', () => {
  const { type, flags, body } = createVrf('v', 10);
  expect([type, flags]).toEqual([16, 0x600]);
  expect(body.toString('hex')).toBe(`${'0'.repeat(32)}0600030076000000${'18001200'}0800010076726600${'0c000200'}080001000a000000`);
});
test('the table of a VRF, and of nothing else', () => {
  expect(tableOfVrf(link('vrf', '080001000a000000'))).toBe(10);
  expect(tableOfVrf(link('vrf', '0500090001000000080001000a010000'))).toBe(266);
  expect(tableOfVrf(link('vrf', ''))).toBeUndefined();
  expect(tableOfVrf(link('bridge', '080001000a000000'))).toBeUndefined();
});
