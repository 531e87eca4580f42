import { existsSync, mkdirSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { plugin as dhcp } from '../../../cni-plugins/dhcp/plugin.ts';
import { plugin as hostDevice } from '../../../cni-plugins/host-device/plugin.ts';
import { plugin as macvlan } from '../../../cni-plugins/macvlan/plugin.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import type { PluginContext } from '../../../src/model/cni/plugin.ts';
import { useHost } from '../../rig/host.ts';
import { globalAddresses, inNetns, ip, linkNamed, routesIn, world } from '../plugins/world.ts';
import { clients, givenBy, makeBridge, removeBridge, startServer, waitFor, type DhcpServer } from './dhcp-world.ts';

useHost();
beforeAll(() => mkdirSync('/run/cni', { recursive: true }));

let server: DhcpServer;
beforeEach(() => {
  makeBridge('lan0');
  // A network card whose wire ends in the switch that the server is on.
  ip('link', 'add', 'card0', 'type', 'veth', 'peer', 'name', 'port0');
  ip('link', 'set', 'port0', 'master', 'lan0');
  for (const name of ['card0', 'port0']) ip('link', 'set', name, 'up');
  server = startServer('lan0', ['opt subnet 255.255.255.0', 'opt router 10.44.0.1', 'opt lease 3600']);
});
afterEach(() => {
  server.stop();
  ip('link', 'del', 'port0');
  removeBridge('lan0');
});
afterAll(() => clients().forEach(({ pid }) => process.kill(pid, 'SIGKILL')));

test.each([
  ['macvlan', macvlan, { type: 'macvlan', master: 'card0', mac: '02:00:00:00:00:0a' }],
  ['host-device', hostDevice, { type: 'host-device', device: 'card0' }],
] as const)('%s and a DHCP server on its wire: the address is asked for, used, and given back through the link', (_, plugin, more) => {
  const one = world('leased', { cniVersion: '' });
  const conf = { ...more, ipam: { type: 'dhcp', timeoutMs: 4_000 } };
  const ctx: PluginContext = {
    ...one.ctx,
    delegate(_type, command, req) {
      if (command === 'ADD') return dhcp.add({ ...req, command }, one.ctx);
      if (command === 'DEL') dhcp.del(req, one.ctx);
      if (command === 'CHECK') dhcp.check(req, one.ctx);
      return undefined;
    },
  };
  const result = plugin.add(one.request('ADD', conf), ctx);
  const address = result.ips?.[0]?.address ?? '';
  expect(address).toMatch(/^10\.44\.0\.\d+\/24$/);
  expect(globalAddresses(linkNamed('eth0', one.netns))).toEqual([address]);
  expect(routesIn(one.netns)).toContain('default via 10.44.0.1 dev eth0');
  expect(inNetns(one.netns, 'busybox', 'ping', '-c1', '-W1', '10.44.0.1')).toContain('1 packets received');
  plugin.check(one.request('CHECK', conf, { prevResult: result }), ctx);
  plugin.del(one.request('DEL', conf, { prevResult: result }), ctx);
  expect(clients()).toEqual([]);
  expect(existsSync('/run/cni/dhcp')).toBe(false);
  expect(linkNamed('eth0', one.netns)).toBeUndefined();
  expect(waitFor(() => givenBy(server)[address.split('/')[0] ?? ''] === 'expired')).toBe(true);
  removeNetns(one.netns);
});
