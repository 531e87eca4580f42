import { execFileSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  addAddress,
  addRoute,
  createBridge,
  createVeth,
  deleteAddress,
  deleteLink,
  linkByIndex,
  linkByName,
  listAddresses,
  listLinks,
  listRoutes,
  setAlias,
  setPromiscuous,
  setUp,
} from '../../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../../src/host/netlink/socket.ts';
import { createNetns, removeNetns, withNetns } from '../../../src/host/netns.ts';
import { ensureSysctl, readSysctl, writeSysctl } from '../../../src/host/sysctl.ts';
import { cidrText, ipFromValue, parseIp } from '../../../src/model/cidr.ts';
import { useHost } from '../../rig/host.ts';
import { cidr } from '../../rig/addresses.ts';

useHost();
const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8' });

/** A bridge that is gone again whatever happens in `use`. */
function withBridge(name: string, use: (socket: RouteSocket, index: number) => void): void {
  using socket = new RouteSocket();
  socket.request([createBridge(name, { mac: '02:00:00:00:00:09' })]);
  const index = linkByName(socket, name)?.index ?? 0;
  try {
    use(socket, index);
  } finally {
    socket.request([deleteLink(index, name)]);
  }
}

test('what is read is what ip shows', () => {
  withBridge('rb0', (socket, index) => {
    socket.request([setAlias(index, 'näme'), setPromiscuous(index, true)]);
    const [shown] = JSON.parse(ip('-j', '-d', 'link', 'show', 'rb0')) as {
      ifindex: number;
      address: string;
      mtu: number;
      ifalias: string;
      linkinfo: { info_kind: string };
    }[];
    expect(linkByName(socket, 'rb0')).toMatchObject({
      index: shown?.ifindex,
      mac: shown?.address,
      mtu: shown?.mtu,
      alias: shown?.ifalias,
      kind: shown?.linkinfo.info_kind,
      up: true,
      promiscuous: true,
      master: 0,
    });
    expect(linkByName(socket, 'rb1')).toBeUndefined();
    expect(
      listLinks(socket)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['lo', 'rb0']);
  });
});

test('a pair: host end enslaved, peer in its namespace; the ports of a bridge', () => {
  createNetns('/run/netns/rt');
  withBridge('rb0', (socket, index) => {
    const netnsFd = openSync('/run/netns/rt', 'r');
    socket.request([createVeth('rveth', { master: index }, { name: 'eth0', netnsFd, mac: '02:00:00:00:00:0a' })]);
    closeSync(netnsFd);
    expect(listLinks(socket, index).map(({ name, up, master }) => [name, up, master])).toEqual([['rveth', false, index]]);
    withNetns('/run/netns/rt', () => {
      using inside = new RouteSocket();
      expect(linkByName(inside, 'eth0')).toMatchObject({ mac: '02:00:00:00:00:0a', up: false, peer: linkByName(socket, 'rveth')?.index });
    });
    socket.request([deleteLink(linkByName(socket, 'rveth')?.index ?? 0, 'rveth')]);
  });
  removeNetns('/run/netns/rt');
});

test('an error names its message and carries the kernel’s words; the messages around it were applied', () => {
  withBridge('rb0', (socket, index) => {
    const once = addAddress(index, cidr('10.7.0.1/24'));
    expect(() => socket.request([addAddress(index, cidr('10.6.0.9/24')), once, once, addAddress(index, cidr('10.7.0.2/24'))])).toThrow(
      /add address 10\.7\.0\.1\/24: EEXIST \(.*already assigned.*\)/,
    );
    expect(listAddresses(socket, index, 4).map(cidrText).sort()).toEqual(['10.6.0.9/24', '10.7.0.1/24', '10.7.0.2/24']);
    socket.request([deleteAddress(index, cidr('10.6.0.9/24'))]);
    expect(() => socket.request([deleteAddress(index, cidr('10.6.0.9/24'))])).toThrow(/delete address 10\.6\.0\.9\/24: EADDRNOTAVAIL/);
    expect(listAddresses(socket, index, 4), 'the socket is not confused by what went wrong').toHaveLength(2);
  });
});

test('a thousand messages in one send, and a dump of many parts', () => {
  withBridge('rb0', (socket, index) => {
    const wanted = Array.from({ length: 1000 }, (_, i) => ({ ip: ipFromValue(4, 0x0a080000n + BigInt(i)), prefixLen: 32 }));
    socket.request(wanted.map((address) => addAddress(index, address)));
    expect(listAddresses(socket, index, 4).map(cidrText).sort()).toEqual(wanted.map(cidrText).sort());
  });
});

test('no messages: nothing to send, nothing to wait for', () => {
  using socket = new RouteSocket();
  socket.request([]);
  expect(linkByName(socket, 'lo')?.index).toBe(1);
  expect([linkByIndex(socket, 1)?.name, linkByIndex(socket, 4242)]).toEqual(['lo', undefined]);
});

test('IPv6 addresses can be used at once', () => {
  withBridge('rb0', (socket, index) => {
    socket.request([addAddress(index, cidr('fd07::1/64'))]);
    expect(ip('-6', 'addr', 'show', 'rb0')).not.toMatch(/fd07::1\/64.*tentative/);
    expect(listAddresses(socket, index, 6).map(cidrText)).toContain('fd07::1/64');
  });
});

test('routes: several ways to one destination, the same way twice is EEXIST, options arrive', () => {
  withBridge('rb0', (socket, index) => {
    socket.request([addAddress(index, cidr('fd07::1/64')), addAddress(index, cidr('10.7.0.1/24')), setUp(index, 'rb0')]);
    const via = (gateway: string) => addRoute(index, { dst: cidr('fd99::/64'), gateway: parseIp(gateway) });
    socket.request([via('fd07::2'), via('fd07::3')]);
    expect(ip('-6', 'route', 'show', 'fd99::/64')).toMatch(/fd07::2[\s\S]*fd07::3/);
    expect(
      listRoutes(socket, index, 6)
        .filter(({ dst }) => cidrText(dst) === 'fd99::/64')
        .map(({ gateway }) => gateway?.text),
    ).toEqual(['fd07::2', 'fd07::3']);
    expect(() => socket.request([via('fd07::3')])).toThrow(/add route fd99::\/64 via fd07::3: EEXIST/);
    socket.request([addRoute(index, { dst: cidr('10.99.0.0/16'), gateway: parseIp('10.7.0.2'), table: 1234, priority: 5, mtu: 1300, advmss: 1200 })]);
    expect(ip('route', 'show', 'table', '1234').replace(' linkdown', '').trim()).toBe(
      '10.99.0.0/16 via 10.7.0.2 dev rb0 metric 5 mtu 1300 advmss 1200',
    );
    expect(listRoutes(socket, index, 4)).toContainEqual({ dst: cidr('10.99.0.0/16'), gateway: parseIp('10.7.0.2'), table: 1234, scope: 0 });
  });
});

test('a socket stays in the namespace it was opened in', () => {
  createNetns('/run/netns/rt');
  using inside = withNetns('/run/netns/rt', () => new RouteSocket());
  withBridge('rb0', () => expect(listLinks(inside).map(({ name }) => name)).toEqual(['lo']));
  removeNetns('/run/netns/rt');
});

test('settings: bounded to net, written only when they differ', () => {
  withBridge('rb0', () => {
    const key = 'net/ipv6/conf/rb0/accept_ra';
    writeSysctl(key, '1');
    expect([ensureSysctl(key, '0'), ensureSysctl(key, '0'), readSysctl(key)]).toEqual(['1', undefined, '0']);
    for (const bad of [
      'kernel/hostname',
      'net/../kernel/hostname',
      'net/ipv4/./ip_forward',
      '/net/ipv4/ip_forward',
      'net',
      'net//ipv4',
      'net/ipv4/a b',
      'net/ipv4/a\0b',
    ])
      expect(() => readSysctl(bad), bad).toThrow(/not a network setting/);
  });
});
