/** Our messages and tc's make the same of a device, as tc tells it. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasLinkKind, hasQdisc } from '../../../src/host/netlink/kernel-features.ts';
import { deleteLink, linkByName, setUp } from '../../../src/host/netlink/rtnetlink.ts';
import { RouteSocket, type Request } from '../../../src/host/netlink/socket.ts';
import {
  addHtb,
  addHtbClass,
  addIngress,
  addRedirect,
  addSubnetFilter,
  addTokenBucket,
  classAt,
  createIfb,
  deleteQdisc,
  filtersOf,
  holds,
  ingressFilters,
  qdiscAt,
  rootHandle,
} from '../../../src/host/netlink/traffic-control.ts';
import { cidr } from '../../rig/addresses.ts';
import { useHost } from '../../rig/host.ts';

useHost();
const run = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
let socket: RouteSocket;
let [ours, theirs, target] = [0, 0, 0];
const index = (name: string): number => linkByName(socket, name)?.index ?? 0;
beforeEach(() => {
  socket = new RouteSocket();
  run('for i in xa xb xc; do ip link add $i type ifb && ip link set $i up; done');
  [ours, theirs, target] = ['xa', 'xb', 'xc'].map(index) as [number, number, number];
});
afterEach(() => {
  run('for i in xa xb xc; do ip link del $i; done');
  socket[Symbol.dispose]();
});
/** What tc says of a device, the device's name left out. */
const told = (device: string): unknown[] =>
  [`qdisc show dev ${device}`, `class show dev ${device}`, `filter show dev ${device}`, `filter show dev ${device} parent ffff:`].map((what) =>
    run(`tc -d -s ${what}`).replaceAll(` dev ${device} `, ' '),
  );
const same = (requests: Request[], commands: string): void => {
  socket.request(requests);
  run(commands);
  expect(told('xa')).toEqual(told('xb'));
  expect(told('xa').join('')).not.toBe('');
};

describe('as tc', () => {
  test.each([
    [1_000_000, 100_000, 125_000],
    [125, 1600, 1603],
    [2 ** 33, 1_000_000, 4_000_000],
  ])('tbf of %d bytes/s, burst %d', (rate, burst, limit) => {
    same([addTokenBucket(ours, { rate, burst, limit })], `tc qdisc add dev xb root handle 1: tbf rate ${rate}bps burst ${burst} limit ${limit}`);
    const queue = qdiscAt(socket, ours, 'ROOT');
    expect(queue).toMatchObject({ kind: 'tbf', handle: rootHandle, rate, limit });
    expect(holds(queue ?? expect.fail(), { rate, burst })).toBe(true);
  });
  test('htb with two classes and filters of both families', () => {
    same(
      [
        addHtb(ours, 0x30),
        addHtbClass(ours, 0x30, { rate: 1_000_000, burst: 100_000 }),
        addSubnetFilter(ours, cidr('fd00::/20'), 'source', 1),
        addSubnetFilter(ours, cidr('10.0.0.0/8'), 'destination', 1),
      ],
      `tc qdisc add dev xb root handle 1: htb default 30
       tc class add dev xb parent 1: classid 1:30 htb rate 1000000bps burst 100000 cburst 100000 quantum 100000
       tc filter add dev xb parent 1: protocol ipv6 prio 15 u32 match ip6 src fd00::/20 flowid 1:1
       tc filter add dev xb parent 1: protocol ip prio 16 u32 match ip dst 10.0.0.0/8 flowid 1:1`,
    );
    expect(qdiscAt(socket, ours, 'ROOT')).toMatchObject({ kind: 'htb', defaultMinor: 0x30 });
    expect(holds(classAt(socket, ours, 0x30) ?? expect.fail(), { rate: 1_000_000, burst: 100_000 })).toBe(true);
    expect(classAt(socket, ours, 0x31)).toBeUndefined();
    expect(filtersOf(socket, ours, rootHandle)).toEqual([
      { classId: 0x10001, target: undefined },
      { classId: 0x10001, target: undefined },
    ]);
  });
  test('ingress with a redirect', () => {
    socket.request([addIngress(ours), addRedirect(ours, target)]);
    run(
      'tc qdisc add dev xb ingress; tc filter add dev xb parent ffff: protocol all prio 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev xc',
    );
    const withoutIndex = (device: string): string[] =>
      told(device).map((text) =>
        String(text)
          .replaceAll(/index \d+/g, '')
          .replaceAll(/(installed|used) \d+ sec/g, ''),
      );
    expect(withoutIndex('xa')).toEqual(withoutIndex('xb'));
    expect(ingressFilters(socket, ours)).toEqual([{ classId: 0x10001, target }]);
    expect(qdiscAt(socket, ours, 'INGRESS')).toMatchObject({ kind: 'ingress' });
    socket.request([deleteQdisc(ours, 'INGRESS')]);
    expect(qdiscAt(socket, ours, 'INGRESS')).toBeUndefined();
    expect(() => socket.request([deleteQdisc(ours, 'INGRESS')])).toThrow(/E(NOENT|INVAL)/);
  });
});

test('a second root discipline is refused, and what is not there is not found', () => {
  expect(qdiscAt(socket, theirs, 'INGRESS')).toBeUndefined();
  const bucket = addTokenBucket(ours, { rate: 1000, burst: 2000, limit: 2000 });
  socket.request([bucket]);
  expect(() => socket.request([bucket])).toThrow('EEXIST');
  socket.request([deleteQdisc(ours, 'ROOT')]);
  expect(qdiscAt(socket, ours, 'ROOT')?.kind).not.toBe('tbf');
});
test('an IFB with MTU and queue length', () => {
  socket.request([createIfb('bwp0', { mtu: 1234, txQueueLen: 1000 })]);
  const link = linkByName(socket, 'bwp0') ?? expect.fail();
  socket.request([setUp(link.index, link.name)]);
  expect(run('ip link show bwp0')).toMatch(/,UP,.* mtu 1234 .* qlen 1000/);
  expect(link).toMatchObject({ kind: 'ifb', mtu: 1234, txQueueLen: 1000 });
  socket.request([deleteLink(link.index, link.name)]);
});
test('what the kernel can do is asked without changing anything', () => {
  const before = run('ip -o link; tc qdisc');
  expect([hasLinkKind(socket, 'ifb'), hasQdisc(socket, 'tbf'), hasQdisc(socket, 'htb')]).toEqual([true, true, true]);
  const canVrf = run('ip link add probe type vrf table 5 2>/dev/null && ip link del probe && echo yes || echo no').trim() === 'yes';
  expect(hasLinkKind(socket, 'vrf')).toBe(canVrf);
  expect(run('ip -o link; tc qdisc')).toBe(before);
});
