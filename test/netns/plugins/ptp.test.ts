import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { plugin as loopback } from '../../../cni-plugins/loopback/plugin.ts';
import { plugin } from '../../../cni-plugins/ptp/plugin.ts';
import { createNetns, removeNetns } from '../../../src/host/netns.ts';
import type { CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { globalAddresses, inNetns, ip, linkNamed, linksOf, routesIn, withAttachment, world } from './world.ts';

useHost();

const dual: CniResult = {
  cniVersion: '1.1.0',
  ips: [
    { address: '10.9.0.5/24', gateway: '10.9.0.1' },
    { address: 'fd09::5/64', gateway: 'fd09::1' },
  ],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
};
const v4: CniResult = { cniVersion: '1.1.0', ips: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }], routes: [{ dst: '0.0.0.0/0' }] };

describe('ptp', () => {
  test('dual stack: routed both ways, usable at once', () => {
    const one = world('dual', dual);
    withAttachment(plugin, one, { type: 'ptp', ipMasq: true, mtu: 1400 }, (result) => {
      expect(globalAddresses(linkNamed('eth0', one.netns))).toEqual(['10.9.0.5/24', 'fd09::5/64']);
      expect(routesIn(one.netns)).toEqual([
        '10.9.0.0/24 via 10.9.0.1 dev eth0 src 10.9.0.5',
        '10.9.0.1 dev eth0 scope link src 10.9.0.5',
        'default via 10.9.0.1 dev eth0',
      ]);
      const host = result.interfaces?.[0]?.name ?? '';
      expect(globalAddresses(linkNamed(host))).toEqual(['10.9.0.1/32', 'fd09::1/128']);
      expect(ip('route')).toContain(`10.9.0.5 dev ${host}`);
      expect(result.ips?.map(({ interface: index }) => index)).toEqual([1, 1]);
      for (const address of ['10.9.0.1', 'fd09::1'])
        expect(() => inNetns(one.netns, 'busybox', 'nc', '-w', '2', address, '9', '-e', 'true')).toThrow(/refused/i);
      plugin.check(one.request('CHECK', { type: 'ptp', ipMasq: true }, { prevResult: result }), one.ctx);
    });
  });
  test('two pods of one network, and their routes are gone with them', () => {
    const one = world('one', v4);
    const two = world('two', { ...v4, ips: [{ address: '10.9.0.6/24', gateway: '10.9.0.1' }] });
    withAttachment(plugin, one, { type: 'ptp' }, () => {
      const result = plugin.add(two.request('ADD', { type: 'ptp' }), two.ctx);
      expect(ip('route')).toMatch(/10\.9\.0\.5[\s\S]*10\.9\.0\.6/);
      expect(() => inNetns(one.netns, 'busybox', 'nc', '-w', '2', '10.9.0.6', '9', '-e', 'true')).toThrow(/refused/i);
      plugin.del(two.request('DEL', { type: 'ptp' }, { prevResult: result }), two.ctx);
    });
    expect(ip('route')).toBe('');
    removeNetns(two.netns);
  });
  test.each([
    ['without namespace', { netns: '' }],
    ['without prevResult', {}],
  ])('DEL %s, twice', (_, more) => {
    const one = world('del', v4);
    plugin.add(one.request('ADD', { type: 'ptp', ipMasq: true }), one.ctx);
    for (let time = 0; time < 2; time++) plugin.del(one.request('DEL', { type: 'ptp', ipMasq: true }, more), one.ctx);
    expect(linksOf().map(({ ifname }) => ifname)).toEqual(['lo']);
    plugin.gc(one.request('GC', { type: 'ptp' }), one.ctx);
    removeNetns(one.netns);
  });
  test('an ADD of a living attachment into another namespace is refused before anything, and takes nothing from it', () => {
    const one = world('living', v4);
    createNetns('/run/netns/other');
    try {
      withAttachment(plugin, one, { type: 'ptp' }, () => {
        const again = { ...one.request('ADD', { type: 'ptp' }), netns: '/run/netns/other' };
        expect(() => plugin.add(again, one.ctx)).toThrow(/exists already, in another namespace/);
        expect(globalAddresses(linkNamed('eth0', one.netns))).toEqual(['10.9.0.5/24']);
      });
    } finally {
      removeNetns('/run/netns/other');
    }
  });
  test('needs IPAM', () => {
    const one = world('bad', v4);
    expect(() => plugin.add(one.request('ADD', { type: 'ptp', ipam: {} }), one.ctx)).toThrow(/needs an ipam section/);
    removeNetns(one.netns);
  });
  test('same addresses and routes as Debian’s ptp', () => {
    const one = world('ours', v4);
    let ours: unknown;
    withAttachment(plugin, one, { type: 'ptp' }, () => (ours = [globalAddresses(linkNamed('eth0', one.netns)), routesIn(one.netns)]));
    createNetns('/run/netns/theirs');
    const env = { ...process.env, CNI_CONTAINERID: 'theirs', CNI_NETNS: '/run/netns/theirs', CNI_IFNAME: 'eth0', CNI_PATH: '/usr/lib/cni' };
    const input = JSON.stringify({
      cniVersion: '1.0.0',
      name: 'net1',
      type: 'ptp',
      ipam: { type: 'static', addresses: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }], routes: [{ dst: '0.0.0.0/0' }] },
    });
    execFileSync('/usr/lib/cni/ptp', { env: { ...env, CNI_COMMAND: 'ADD' }, input });
    expect(ours).toEqual([globalAddresses(linkNamed('eth0', '/run/netns/theirs')), routesIn('/run/netns/theirs')]);
    execFileSync('/usr/lib/cni/ptp', { env: { ...env, CNI_COMMAND: 'DEL' }, input });
    removeNetns('/run/netns/theirs');
  });
});

describe('loopback', () => {
  test('lo is up with its addresses; DEL leaves it to the namespace', () => {
    const one = world('lo', v4);
    const result = loopback.add(one.request('ADD', { type: 'loopback' }, { ifName: 'lo' }), one.ctx);
    expect(result).toMatchObject({
      interfaces: [{ name: 'lo', sandbox: one.netns }],
      ips: [
        { address: '127.0.0.1/8', interface: 0 },
        { address: '::1/128', interface: 0 },
      ],
    });
    loopback.check(one.request('CHECK', { type: 'loopback' }), one.ctx);
    inNetns(one.netns, 'ip', 'link', 'set', 'lo', 'down');
    expect(() => loopback.check(one.request('CHECK', { type: 'loopback' }), one.ctx)).toThrow(/is down/);
    loopback.del(one.request('DEL', { type: 'loopback' }), one.ctx);
    removeNetns(one.netns);
  });
  test('an address that is not lo’s own is an error', () => {
    const one = world('lo2', v4);
    inNetns(one.netns, 'ip', 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
    expect(() => loopback.add(one.request('ADD', { type: 'loopback' }), one.ctx)).toThrow(/10.0.0.1\/32/);
    removeNetns(one.netns);
  });
});
