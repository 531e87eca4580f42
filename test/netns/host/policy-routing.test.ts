/** Routes, rules and addresses that go somewhere else and come back, as ip tells them. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  addSourceRule,
  copyRoute,
  deleteCopy,
  deleteRoute,
  deleteSourceRule,
  freeTables,
  listRules,
  mainTable,
  routesThrough,
  type KernelRoute,
} from '../../../src/host/netlink/policy-routing.ts';
import { linkByName } from '../../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../../src/host/netlink/socket.ts';
import { ipv6Addresses } from '../../../src/host/netlink/vrf.ts';
import { ip } from '../../rig/addresses.ts';
import { useHost } from '../../rig/host.ts';

useHost();
const run = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'utf8' });
let socket: RouteSocket;
beforeEach(() => {
  socket = new RouteSocket();
  run(`ip link add xa type veth peer name xb; for i in xa xb; do echo 0 > /proc/sys/net/ipv6/conf/$i/accept_dad; ip link set $i up; done
    ip addr add 10.1.0.2/24 dev xa; ip addr add 10.2.0.2/24 dev xb; ip -6 addr add fd01::2/64 dev xa nodad`);
});
afterEach(() => {
  run('ip link del xa');
  socket[Symbol.dispose]();
});
const through = (name: string): KernelRoute[] =>
  routesThrough(socket, linkByName(socket, name)?.index ?? 0).filter(({ table }) => table === mainTable);
const shown = (table: string): string[] =>
  run(`ip route show table ${table}; ip -6 route show table ${table}`)
    .split('\n')
    .filter((line) => line !== '' && !line.includes('dev lo'));

test('every kind of route is copied whole, and comes back whole', () => {
  run(`ip route add 10.9.0.0/24 via 10.1.0.1 metric 7 mtu lock 1300 advmss 1200 src 10.1.0.2 proto static
    ip route add 10.8.0.0/24 nexthop via 10.1.0.1 weight 3 nexthop via 10.1.0.9 weight 2
    ip route add default via 172.16.0.1 dev xa onlink
    ip -6 route add fd09::/64 via fd01::1 metric 99 pref high mtu 1300
    ip -6 route add fd08::/64 nexthop via fd01::1 dev xa nexthop via fd01::9 dev xa`);
  const before = shown('main').filter((line) => !line.includes('dev xb') && !line.startsWith('10.2'));
  const routes = through('xa');
  for (const route of routes.toSorted((a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined)))
    socket.request([copyRoute(route, 300)]);
  expect(shown('300')).toEqual(before);
  for (const route of routes) socket.request([deleteCopy(route, 300)]);
  expect(shown('300')).toEqual([]);
  for (const route of routes.toReversed()) socket.request([deleteRoute(route)]);
  expect(through('xa')).toEqual([]);
  for (const route of routes.toSorted((a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined)))
    socket.request([copyRoute(route, mainTable)]);
  expect(
    shown('main')
      .filter((line) => !line.includes('dev xb') && !line.startsWith('10.2'))
      .sort(),
  ).toEqual(before.sort());
});
test('a route that also leads through another link is not this link’s to move', () => {
  run('ip route add 10.7.0.0/24 nexthop via 10.1.0.1 nexthop via 10.2.0.1');
  expect(through('xa').some(({ dst }) => dst.ip.text === '10.7.0.0')).toBe(false);
});
test('rules carry their mark, and only the very rule is deleted', () => {
  run('ip rule add from 10.1.0.2 lookup 300');
  socket.request([addSourceRule(ip('10.1.0.2'), 300, 114), addSourceRule(ip('fd01::2'), 5000, 114)]);
  const ours = listRules(socket).filter(({ protocol }) => protocol === 114);
  expect(ours.map(({ source, table }) => [source?.ip.text, source?.prefixLen, table])).toEqual([
    ['10.1.0.2', 32, 300],
    ['fd01::2', 128, 5000],
  ]);
  expect(freeTables(socket, 299, 3)).toEqual([299, 301, 302]);
  for (const rule of ours) socket.request([deleteSourceRule(rule.source?.ip ?? expect.fail(), rule)]);
  expect(run('ip rule; ip -6 rule')).toContain('from 10.1.0.2 lookup 300');
  expect(run('ip rule; ip -6 rule')).not.toContain('proto 114');
  run('ip rule del from 10.1.0.2 lookup 300');
});
test('an IPv6 address comes back as it was, and usable at once', () => {
  run(
    'ip -6 addr add fd02::2/64 dev xa noprefixroute nodad; ip -6 addr add fd03::2/64 dev xa nodad valid_lft 5000 preferred_lft 4000; echo 1 > /proc/sys/net/ipv6/conf/xa/accept_dad',
  );
  const told = (): string => run('ip -6 addr show dev xa scope global').replaceAll(/ nodad|\d{4}sec/g, '');
  const before = told();
  const held = ipv6Addresses(socket, linkByName(socket, 'xa')?.index ?? 0);
  expect(held.map(({ address }) => address.ip.text).sort()).toEqual(['fd01::2', 'fd02::2', 'fd03::2']);
  run('ip -6 addr flush dev xa scope global');
  socket.request(held.toReversed().map(({ give }) => give));
  expect(told()).toBe(before);
  expect(told()).not.toContain('tentative');
});
