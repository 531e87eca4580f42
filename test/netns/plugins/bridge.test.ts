import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { plugin } from '../../../cni-plugins/bridge/plugin.ts';
import { bridgeMac, hostLinkName } from '../../../cni-plugins/skel/naming.ts';
import { createNetns, removeNetns } from '../../../src/host/netns.ts';
import { CniError, type CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { globalAddresses, inNetns, ip, linkNamed, linksOf, routesIn, withAttachment, world } from './world.ts';

// Forwarding that was switched on stays on; the bridge's table goes with gc.
useHost();

const dual: CniResult = {
  cniVersion: '1.1.0',
  ips: [{ address: '10.9.0.5/24' }, { address: 'fd09::5/64' }],
  routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: '192.168.7.0/24', gw: '10.9.0.9', mtu: 1300 }],
};
const v4: CniResult = { cniVersion: '1.1.0', ips: [{ address: '10.9.0.5/24' }], routes: [{ dst: '0.0.0.0/0' }] };
const conf = { bridge: 'tbr0', isGateway: true };

describe('ADD', () => {
  test('dual stack: addresses, routes, gateway, result; usable at once', () => {
    const one = world('dual', dual);
    withAttachment(plugin, one, { ...conf, ipMasq: true, mtu: 1400 }, (result) => {
      const eth0 = linkNamed('eth0', one.netns);
      expect(globalAddresses(eth0)).toEqual(['10.9.0.5/24', 'fd09::5/64']);
      expect(eth0?.mtu).toBe(1400);
      expect(routesIn(one.netns)).toEqual(
        [
          '10.9.0.0/24 dev eth0 proto kernel scope link src 10.9.0.5',
          '192.168.7.0/24 via 10.9.0.9 dev eth0 proto boot mtu 1300',
          'default via 10.9.0.1 dev eth0 proto boot',
        ].map((line) => line.replace(' proto boot', '')),
      );
      expect(routesIn(one.netns, '-6')).toEqual(expect.arrayContaining([expect.stringMatching(/^default via fd09::1 dev eth0/)]));
      expect(globalAddresses(linkNamed('tbr0'))).toEqual(['10.9.0.1/24', 'fd09::1/64']);
      expect(result.interfaces?.map(({ name, sandbox }) => [name, sandbox])).toEqual([
        ['tbr0', undefined],
        [hostLinkName({ network: 'net1', containerId: 'dual', ifName: 'eth0' }), undefined],
        ['eth0', one.netns],
      ]);
      expect(result.ips).toEqual([
        { address: '10.9.0.5/24', interface: 2, gateway: '10.9.0.1' },
        { address: 'fd09::5/64', interface: 2, gateway: 'fd09::1' },
      ]);
      expect(result.routes).toEqual(dual.routes);
      expect(result.interfaces?.[2]?.mac).toBe(eth0?.address);
      for (const address of ['10.9.0.1', 'fd09::1'])
        expect(() => inNetns(one.netns, 'busybox', 'nc', '-w', '2', address, '9', '-e', 'true')).toThrow(/refused/i);
    });
  });

  test('the bridge keeps the MAC made from its name, whatever ports come', () => {
    const one = world('mac', v4);
    withAttachment(plugin, one, conf, () => expect(linkNamed('tbr0')?.address).toBe(bridgeMac('tbr0')));
  });

  test('isDefaultGateway and a default route of IPAM give one default route', () => {
    const one = world('dgw', v4);
    withAttachment(plugin, one, { bridge: 'tbr0', isDefaultGateway: true }, (result) => {
      expect(routesIn(one.netns).filter((line) => line.startsWith('default'))).toHaveLength(1);
      expect(result.routes).toHaveLength(1);
    });
    const none = world('dgw2', { ...v4, routes: [] });
    withAttachment(plugin, none, { bridge: 'tbr0', isDefaultGateway: true }, (result) => {
      expect(routesIn(none.netns).filter((line) => line.startsWith('default'))).toHaveLength(1);
      expect(result.routes).toEqual([{ dst: '0.0.0.0/0', gw: '10.9.0.1' }]);
    });
  });

  test('layer 2 only: no IPAM, no addresses', () => {
    const one = world('l2', v4);
    withAttachment(plugin, one, { bridge: 'tbr0', ipam: undefined }, (result) => {
      expect(result.ips).toEqual([]);
      expect(one.heard).toEqual([]);
      expect(globalAddresses(linkNamed('eth0', one.netns))).toEqual([]);
    });
  });

  test.each([
    [{ args: new Map([['MAC', '02:00:00:00:00:01']]) }, {}, '02:00:00:00:00:01'],
    [{ args: new Map([['MAC', '02:00:00:00:00:01']]) }, { args: { cni: { mac: '02:00:00:00:00:02' } } }, '02:00:00:00:00:02'],
    [{}, { args: { cni: { mac: '02:00:00:00:00:02' } }, runtimeConfig: { mac: '02:00:00:00:00:03' } }, '02:00:00:00:00:03'],
    [{}, { args: { cni: { mac: '02:00:00:00:00:02' } }, runtimeConfig: { mac: '' } }, '02:00:00:00:00:02'],
  ])('MAC %#', (more, extra, mac) => {
    const one = world('macs', v4);
    const result = plugin.add(one.request('ADD', { ...conf, ...extra }, more), one.ctx);
    expect(linkNamed('eth0', one.netns)?.address).toBe(mac);
    plugin.del(one.request('DEL', conf, { prevResult: result }), one.ctx);
    plugin.gc(one.request('GC', conf), one.ctx);
    removeNetns(one.netns);
  });

  test('hairpin, isolation, promiscuous mode', () => {
    const one = world('hairpin', v4);
    withAttachment(plugin, one, { ...conf, hairpinMode: true, portIsolation: true }, (result) => {
      const detail = execFileSync('ip', ['-d', 'link', 'show', result.interfaces?.[1]?.name ?? ''], { encoding: 'utf8' });
      expect(detail).toMatch(/hairpin on/);
      expect(detail).toMatch(/isolated on/);
    });
    const two = world('promisc', v4);
    withAttachment(plugin, two, { ...conf, promiscMode: true }, () => expect(ip('-d', 'link', 'show', 'tbr0')).toMatch(/promiscuity [1-9]/));
  });
});

describe('errors leave nothing behind', () => {
  const code = (attempt: () => unknown): number => {
    try {
      attempt();
    } catch (error) {
      return error instanceof CniError ? error.cniCode : -1;
    }
    return 0;
  };
  test.each([
    [{ hairpinMode: true, promiscMode: true }, 7],
    [{ vlan: 5 }, 2],
    [{ vlan: 5000 }, 7],
    [{ macspoofchk: true }, 2],
    [{ bridge: 'much-too-long-for-a-link' }, 7],
    [{ isGateway: 'yes' }, 7],
    [{ mtu: -1 }, 7],
    [{ runtimeConfig: { mac: 'nonsense' } }, 7],
  ])('configuration %j is refused with code %i', (extra, expected) => {
    const one = world('bad', v4);
    expect(code(() => plugin.add(one.request('ADD', { ...conf, ...extra }), one.ctx))).toBe(expected);
    expect(one.heard).toEqual([]);
    removeNetns(one.netns);
  });

  test.each([
    [{ vlan: 5 }, 'vlan 5 is not'],
    [{ vlan: 0, vlanTrunk: [{ id: 7 }] }, 'vlanTrunk [{"id":7}] is not'],
  ])('P24: what is refused is named with its value: %j', (extra, words) => {
    const one = world('named', v4);
    expect(() => plugin.add(one.request('ADD', { ...conf, ...extra }), one.ctx)).toThrow(words);
    removeNetns(one.netns);
  });

  test('IPAM without addresses: released again, no link', () => {
    const one = world('empty', { cniVersion: '1.1.0', ips: [] });
    expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(/missing IP config/);
    expect(one.heard).toEqual(['ADD', 'DEL']);
    expect(linksOf().map(({ ifname }) => ifname)).toEqual(['lo']);
    removeNetns(one.netns);
  });

  test('a route the kernel refuses undoes link, address and masquerade', () => {
    const one = world('route', { ...v4, routes: [{ dst: '10.200.0.0/16', gw: '172.31.255.1' }] });
    expect(() => plugin.add(one.request('ADD', { ...conf, ipMasq: true }), one.ctx)).toThrow(/add route 10.200.0.0\/16 via 172.31.255.1/);
    expect(one.heard).toEqual(['ADD', 'DEL']);
    expect(linkNamed('eth0', one.netns)).toBeUndefined();
    plugin.gc(one.request('GC', conf), one.ctx);
    removeNetns(one.netns);
  });

  test('the name exists in the pod already: P5, and the link that is there stays', () => {
    const one = world('taken', v4);
    inNetns(one.netns, 'ip', 'link', 'add', 'eth0', 'type', 'bridge');
    expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(/eth0 already exists/);
    expect(linkNamed('eth0', one.netns)).toBeDefined();
    plugin.gc(one.request('GC', conf), one.ctx);
    removeNetns(one.netns);
  });

  test('the bridge’s name belongs to something else, or it has another address', () => {
    const one = world('notbridge', v4);
    ip('link', 'add', 'tbr0', 'type', 'veth', 'peer', 'name', 'tbr1');
    expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(/"tbr0" already exists but is not a bridge/);
    ip('link', 'del', 'tbr0');
    ip('link', 'add', 'tbr0', 'type', 'bridge');
    ip('addr', 'add', '10.8.0.1/24', 'dev', 'tbr0');
    expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(/already has an IP address different from 10.9.0.1\/24/);
    const result = plugin.add(one.request('ADD', { ...conf, forceAddress: true }), one.ctx);
    expect(globalAddresses(linkNamed('tbr0'))).toEqual(['10.9.0.1/24']);
    plugin.del(one.request('DEL', conf, { prevResult: result }), one.ctx);
    plugin.gc(one.request('GC', conf), one.ctx);
    expect(linkNamed('tbr0'), 'a bridge somebody else made is not ours to remove').toBeDefined();
    ip('link', 'del', 'tbr0');
    removeNetns(one.netns);
  });
});

describe('DEL and GC', () => {
  test.each([
    ['as usual', {}],
    ['without prevResult', { prevResult: undefined }],
    ['without namespace', { netns: '' }],
    ['with a namespace that is gone', { netns: '/run/netns/gone' }],
  ])('%s, twice', (_, more) => {
    const one = world('del', v4);
    const result = plugin.add(one.request('ADD', { ...conf, ipMasq: true }), one.ctx);
    for (let time = 0; time < 2; time++) plugin.del(one.request('DEL', { ...conf, ipMasq: true }, { prevResult: result, ...more }), one.ctx);
    expect(linkNamed('eth0', one.netns)).toBeUndefined();
    expect(one.heard).toEqual(['ADD', 'DEL', 'DEL']);
    plugin.gc(one.request('GC', conf), one.ctx);
    removeNetns(one.netns);
  });

  test('GC takes what is not valid and leaves what is; the bridge goes last', () => {
    const one = world('stale', v4);
    const two = world('alive', { ...v4, ips: [{ address: '10.9.0.6/24' }] });
    plugin.add(one.request('ADD', { ...conf, ipMasq: true }), one.ctx);
    const kept = plugin.add(two.request('ADD', { ...conf, ipMasq: true }), two.ctx);
    plugin.gc(one.request('GC', conf, { validAttachments: [{ containerID: 'alive', ifname: 'eth0' }] }), one.ctx);
    expect(linkNamed('eth0', one.netns)).toBeUndefined();
    expect(linkNamed('eth0', two.netns)).toBeDefined();
    expect(linkNamed('tbr0')).toBeDefined();
    plugin.check(two.request('CHECK', { ...conf, ipMasq: true }, { prevResult: kept }), two.ctx);
    plugin.gc(one.request('GC', conf), one.ctx);
    expect(linksOf().map(({ ifname }) => ifname)).toEqual(['lo']);
    for (const { netns } of [one, two]) removeNetns(netns);
  });
});

test('CHECK notices what changed', () => {
  const one = world('check', v4);
  withAttachment(plugin, one, { ...conf, ipMasq: true }, (prevResult) => {
    const check = (): void => plugin.check(one.request('CHECK', { ...conf, ipMasq: true }, { prevResult }), one.ctx);
    check();
    inNetns(one.netns, 'ip', 'route', 'del', 'default');
    expect(check).toThrow(/route to 0.0.0.0\/0 is missing/);
    inNetns(one.netns, 'ip', 'route', 'add', 'default', 'via', '10.9.0.1');
    ip('link', 'set', prevResult.interfaces?.[1]?.name ?? '', 'nomaster');
    expect(check).toThrow(/is not a port of tbr0/);
    ip('link', 'set', prevResult.interfaces?.[1]?.name ?? '', 'master', 'tbr0');
    execFileSync('nft', ['flush', 'ruleset']);
    expect(check).toThrow(/masquerade/);
  });
});

test('same addresses, broadcast addresses and routes as Debian’s bridge', () => {
  const broadcast = (text: string): string => / brd (\S+) scope/.exec(text)?.[1] ?? 'none';
  const seen = (netns: string): unknown => [
    globalAddresses(linkNamed('eth0', netns)),
    routesIn(netns),
    globalAddresses(linkNamed('tbr0')),
    broadcast(inNetns(netns, 'ip', '-4', 'addr', 'show', 'eth0')),
    broadcast(ip('-4', 'addr', 'show', 'tbr0')),
  ];
  const one = world('ours', v4);
  let ours: unknown;
  withAttachment(plugin, one, conf, () => (ours = seen(one.netns)));
  createNetns('/run/netns/theirs');
  const env = { ...process.env, CNI_CONTAINERID: 'theirs', CNI_NETNS: '/run/netns/theirs', CNI_IFNAME: 'eth0', CNI_PATH: '/usr/lib/cni' };
  const input = JSON.stringify({
    cniVersion: '1.0.0',
    name: 'net1',
    type: 'bridge',
    bridge: 'tbr0',
    isGateway: true,
    ipam: { type: 'static', addresses: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }], routes: [{ dst: '0.0.0.0/0' }] },
  });
  execFileSync('/usr/lib/cni/bridge', { env: { ...env, CNI_COMMAND: 'ADD' }, input });
  expect(ours).toEqual(seen('/run/netns/theirs'));
  execFileSync('/usr/lib/cni/bridge', { env: { ...env, CNI_COMMAND: 'DEL' }, input });
  ip('link', 'del', 'tbr0');
  removeNetns('/run/netns/theirs');
});

test('a pair whose maker was killed before it said whose it is does not keep the bridge', () => {
  const one = world('half', v4, true);
  ip('link', 'add', 'tbr0', 'address', bridgeMac('tbr0'), 'type', 'bridge');
  const name = hostLinkName({ network: 'net1', containerId: 'half', ifName: 'eth0' });
  ip('link', 'add', name, 'master', 'tbr0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'half');
  // Also behind another plugin, whose result says nothing of the interface.
  plugin.del(one.request('DEL', conf, { prevResult: { cniVersion: '1.1.0', interfaces: [{ name: 'lo', sandbox: one.netns }] } }), one.ctx);
  // The kernel takes its time with a namespace; until then the port is there.
  expect(ip('link', 'show', name)).toMatch(/alias net1\/half\/eth0/);
  plugin.gc(one.request('GC', conf, { containerId: '', netns: '', ifName: '' }), one.ctx);
  removeNetns(one.netns);
});
test('somebody else’s port keeps the bridge, whatever it is called', () => {
  const one = world('mine', v4, true);
  ip('link', 'add', 'tbr0', 'address', bridgeMac('tbr0'), 'type', 'bridge');
  ip('link', 'add', 'veth00000001', 'master', 'tbr0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'mine');
  plugin.del(one.request('DEL', conf), one.ctx);
  plugin.gc(one.request('GC', conf, { containerId: '', netns: '', ifName: '' }), one.ctx);
  expect(ip('link', 'show', 'veth00000001')).not.toContain('alias');
  expect(linkNamed('tbr0')).toBeDefined();
  ip('link', 'del', 'tbr0');
  removeNetns(one.netns);
});
