/** Networks whose interface is no veth pair, from outside. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ip, linkNamed } from '../netns/plugins/world.ts';
import { useHost } from '../rig/host.ts';
import { Rkt } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();

test('macvlan, tap and a device of the host in one pod; when the pod ends the device is back and every address free', () => {
  const networks = {
    lan: { type: 'macvlan', master: 'm0', ipam: { type: 'host-local', subnet: '10.9.0.0/24' } },
    vm: { type: 'tap', ipam: { type: 'host-local', subnet: '10.7.0.0/24' } },
    wire: { type: 'host-device', device: 'dev0' },
  };
  mkdirSync(join(rkt.config, 'net.d'), { recursive: true });
  for (const [name, plugin] of Object.entries(networks))
    writeFileSync(join(rkt.config, 'net.d', `${name}.conflist`), JSON.stringify({ cniVersion: '1.1.0', name, plugins: [plugin] }));
  ip('link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'm1');
  ip('link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'wire0');
  const script = 'ip -o -4 addr; ls /sys/class/net 2>/dev/null; ip -o link | grep -c eth';
  const shown = rkt.run(['run', '--net=lan,vm,wire', 'busybox', '--exec=/bin/sh', '--', '-c', script]);
  expect([shown.status, shown.stderr]).toEqual([0, '']);
  expect(shown.stdout).toMatch(/eth0\s+inet 10\.9\.0\.2[\s\S]*eth1\s+inet 10\.7\.0\.2/);
  // At once: what the first pod had is on its way back.
  const next = rkt.run(['run', '--net=wire', '--net-release=gc', 'busybox', '--exec=/bin/true']);
  expect([next.status, next.stderr]).toEqual([0, '']);
  for (const lease of ['lan/10.9.0.2', 'vm/10.7.0.2']) expect(existsSync(`/var/lib/cni/networks/${lease}`)).toBe(false);
  const third = rkt.run(['run', '--net=wire', 'busybox', '--exec=/bin/true']);
  expect([third.status, third.stderr]).toEqual([254, expect.stringMatching(/failed to find host device[\s\S]*hint: .*devices/)]);
  rkt.gc();
  expect(linkNamed('dev0')).toBeDefined();
  for (const name of ['m0', 'dev0']) ip('link', 'del', name);
});
