import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { plugin as bridge } from '../../../cni-plugins/bridge/plugin.ts';
import { plugin as ptp } from '../../../cni-plugins/ptp/plugin.ts';
import { hostLinkName } from '../../../cni-plugins/skel/naming.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import type { CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { globalAddresses, inNetns, ip, linkNamed, linksOf, routesIn, withAttachment, world, type World } from './world.ts';

useHost();

// A failing test must not make the next one fail: runs after the residue check, and only then.
beforeEach(() => {
  onTestFailed(() => {
    for (const name of readdirSync('/run/netns')) removeNetns(`/run/netns/${name}`);
    for (const { ifname } of linksOf()) if (ifname !== 'lo' && linkNamed(ifname) !== undefined) ip('link', 'del', ifname);
    execFileSync('nft', ['flush', 'ruleset']);
  });
});

const v4: CniResult = { cniVersion: '1.1.0', ips: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }], routes: [{ dst: '0.0.0.0/0' }] };
const both = [
  ['bridge', bridge, { bridge: 'tbr0', isGateway: true }],
  ['ptp', ptp, { type: 'ptp' }],
] as const;
const setting = (key: string): string => readFileSync(`/proc/sys/${key}`, 'utf8').trim();

describe.each(both)('%s', (_, plugin, conf) => {
  test('an ADD that finds the name taken by a veth leaves that veth alone', () => {
    const one = world('taken', v4);
    ip('link', 'add', 'vethforeign', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'taken');
    expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(/eth0 already exists/);
    const left = linkNamed('eth0', one.netns);
    plugin.gc(one.request('GC', conf), one.ctx);
    if (left !== undefined) ip('link', 'del', 'vethforeign');
    removeNetns(one.netns);
    expect(left, 'somebody else’s interface').toBeDefined();
    expect(one.heard, 'nothing was made, so nothing is asked back').toEqual(['GC']);
  });

  test('a second ADD without DEL (R17) fails and leaves the first whole', () => {
    const one = world('twice', v4);
    withAttachment(plugin, one, { ...conf, ipMasq: true }, (prevResult) => {
      expect(() => plugin.add(one.request('ADD', { ...conf, ipMasq: true }), one.ctx)).toThrow(/eth0 already exists/);
      plugin.check(one.request('CHECK', { ...conf, ipMasq: true }, { prevResult }), one.ctx);
    });
  });

  test('the DEL after an ADD that found the name taken (R4) leaves the attachment that has it', () => {
    const one = world('rival', v4);
    const other = { ...conf, name: 'net2' };
    withAttachment(plugin, one, conf, (prevResult) => {
      expect(() => plugin.add(one.request('ADD', other), one.ctx)).toThrow(/eth0 already exists/);
      plugin.del(one.request('DEL', other), one.ctx);
      plugin.check(one.request('CHECK', conf, { prevResult }), one.ctx);
    });
  });

  test.each([
    ['a mtu that is none', { mtu: 'big' }],
    ['a flag that is none', { ipMasq: 'yes' }],
  ])('DEL and GC after an ADD that refused %s succeed and reach IPAM (R4, P8)', (_name, extra) => {
    const one = world('refused', v4);
    expect(() => plugin.add(one.request('ADD', { ...conf, ...extra }), one.ctx)).toThrow();
    plugin.del(one.request('DEL', { ...conf, ...extra }), one.ctx);
    plugin.gc(one.request('GC', { ...conf, ...extra }), one.ctx);
    expect(one.heard).toEqual(['DEL', 'GC']);
    removeNetns(one.netns);
  });

  test('DEL and GC without an ipam section succeed', () => {
    const one = world('noipam', v4);
    plugin.del(one.request('DEL', { ...conf, ipam: {} }), one.ctx);
    plugin.gc(one.request('GC', { ...conf, ipam: {} }), one.ctx);
    expect(one.heard).toEqual([]);
    removeNetns(one.netns);
  });

  test('a pod cannot make the host its router’s client: accept_ra is off on what faces it (CVE-2020-10749)', () => {
    const one = world('ra', v4);
    withAttachment(plugin, one, conf, (result) => expect(setting(`net/ipv6/conf/${result.interfaces?.[0]?.name ?? ''}/accept_ra`)).toBe('0'));
  });

  test('any interface name the kernel takes (R13)', () => {
    const one = world('names', v4);
    const named = { ifName: 'e+h~0' };
    const result = plugin.add(one.request('ADD', conf, named), one.ctx);
    expect(globalAddresses(linkNamed('e+h~0', one.netns))).toEqual(['10.9.0.5/24']);
    plugin.del(one.request('DEL', conf, { ...named, prevResult: result }), one.ctx);
    plugin.gc(one.request('GC', conf), one.ctx);
    removeNetns(one.netns);
  });

  test('two addresses of one subnet', () => {
    const one = world('pair', { ...v4, ips: [...(v4.ips ?? []), { address: '10.9.0.6/24', gateway: '10.9.0.1' }] });
    withAttachment(plugin, one, conf, () => {
      expect(globalAddresses(linkNamed('eth0', one.netns)).sort()).toEqual(['10.9.0.5/24', '10.9.0.6/24']);
      for (const source of ['10.9.0.5', '10.9.0.6'])
        expect(inNetns(one.netns, 'busybox', 'ping', '-c', '1', '-W', '2', '-I', source, '10.9.0.1')).toMatch(/1 packets received/);
    });
  });

  test('the host name of an attachment is taken: found by alias all the same, also once the other is gone', () => {
    const one = world('collide', v4);
    const first = hostLinkName({ network: 'net1', containerId: 'collide', ifName: 'eth0' });
    ip('link', 'add', first, 'type', 'veth', 'peer', 'name', 'otherend');
    const prevResult = plugin.add(one.request('ADD', conf), one.ctx);
    const host = prevResult.interfaces?.find(({ name }) => name.startsWith('veth'))?.name ?? '';
    expect(host).not.toBe(first);
    ip('link', 'del', first);
    plugin.check(one.request('CHECK', conf, { prevResult }), one.ctx);
    plugin.del(one.request('DEL', conf, { netns: '' }), one.ctx);
    const left = linkNamed(host);
    plugin.gc(one.request('GC', conf), one.ctx);
    removeNetns(one.netns);
    expect(left).toBeUndefined();
  });

  test('a namespace that does not exist is named in the error, before IPAM gives an address', () => {
    const one = world('nons', v4);
    expect(() => plugin.add(one.request('ADD', conf, { netns: '/run/netns/absent' }), one.ctx)).toThrow(
      expect.objectContaining({ cniCode: 8, message: expect.stringContaining('/run/netns/absent') as string }) as Error,
    );
    expect(one.heard).toEqual([]);
    plugin.gc(one.request('GC', conf), one.ctx);
    removeNetns(one.netns);
  });

  test('dns of the configuration is found in any case (X10) and replaces IPAM’s', () => {
    const one = world('dns', { ...v4, dns: { nameservers: ['10.0.0.1'] } });
    withAttachment(plugin, one, { ...conf, DNS: { nameservers: ['10.0.0.2'] } }, (result) =>
      expect(result.dns).toEqual({ nameservers: ['10.0.0.2'] }),
    );
  });
});

test('bridge: CHECK right after ADD succeeds with several ways to one destination, and notices when one is gone', () => {
  const ips = [{ address: 'fd09::5/64', gateway: 'fd09::1' }];
  const ways = ['fd09::2', 'fd09::3'].map((gw) => ({ dst: 'fd0a::/64', gw }));
  const conf = { bridge: 'tbr0', isGateway: true };
  const one = world('ways', { cniVersion: '1.1.0', ips, routes: [...ways, { dst: 'fd0b::7/64' }] });
  withAttachment(bridge, one, conf, (prevResult) => {
    const check = (): void => bridge.check(one.request('CHECK', conf, { prevResult }), one.ctx);
    check();
    inNetns(one.netns, 'ip', '-6', 'route', 'del', 'fd0a::/64', 'via', 'fd09::3', 'dev', 'eth0');
    expect(check).toThrow(/route to fd0a::\/64/);
  });
});

test.each([
  ['IPv4', ['10.9.0'], '10.9.0.5'],
  ['both', ['10.9.0', 'fd09:'], 'fd09::5'],
  ['IPv6 only', ['fd09:'], 'fd09::5'],
])('bridge: an address that is given out again is reached at once, by host and pods that remember its last one: %s', (_family, nets, address) => {
  const conf = { bridge: 'tbr0', isGateway: true };
  const pod = (id: string, host: number): World =>
    world(id, {
      cniVersion: '1.1.0',
      ips: nets.map((net) => {
        const [dot, bits] = net.endsWith(':') ? [':', 64] : ['.', 24];
        return { address: `${net}${dot}${host}/${bits}`, gateway: `${net}${dot}1` };
      }),
    });
  const peer = pod('peer', 6);
  // A port where nobody listens: refused is an answer, silence is not.
  const connect = ['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${address}/9`];
  const answers = (netns?: string): boolean => {
    const [command = '', ...rest] = netns === undefined ? connect : ['ip', 'netns', 'exec', 'peer', ...connect];
    return /refused/.test(spawnSync(command, rest, { encoding: 'utf8' }).stderr);
  };
  const seen: boolean[] = [];
  withAttachment(bridge, peer, conf, () => {
    for (const id of ['first', 'next']) {
      const one = pod(id, 5);
      const prevResult = bridge.add(one.request('ADD', conf), one.ctx);
      seen.push(answers(), answers(peer.netns));
      bridge.del(one.request('DEL', conf, { prevResult }), one.ctx);
      removeNetns(one.netns);
    }
  });
  expect(seen).toEqual([true, true, true, true]);
});

test('bridge: DEL of a configuration that names something this plugin refuses (R4)', () => {
  const one = world('vlan', v4);
  const conf = { bridge: 'tbr0', vlan: 5 };
  expect(() => bridge.add(one.request('ADD', conf), one.ctx)).toThrow(/vlan 5/);
  bridge.del(one.request('DEL', conf), one.ctx);
  bridge.gc(one.request('GC', conf), one.ctx);
  expect(one.heard).toEqual(['DEL', 'GC']);
  removeNetns(one.netns);
});

test('bridge: forceAddress with several addresses in the way (deleting one takes its secondaries along)', () => {
  const one = world('force', v4);
  ip('link', 'add', 'tbr0', 'type', 'bridge');
  for (const address of ['10.8.0.1/24', '10.8.0.2/24', '10.7.0.1/24']) ip('addr', 'add', address, 'dev', 'tbr0');
  withAttachment(bridge, one, { bridge: 'tbr0', isGateway: true, forceAddress: true }, () =>
    expect(globalAddresses(linkNamed('tbr0'))).toEqual(['10.9.0.1/24']),
  );
  ip('link', 'del', 'tbr0');
});

test('ptp: the route to an address follows it to its new pod while the old link is still there', () => {
  const old = world('old', v4);
  const fresh = world('fresh', v4);
  const oldResult = ptp.add(old.request('ADD', { type: 'ptp' }), old.ctx);
  withAttachment(ptp, fresh, { type: 'ptp' }, (result) => {
    const host = result.interfaces?.[0]?.name ?? '';
    expect(ip('route', 'get', '10.9.0.5')).toContain(`dev ${host}`);
    ptp.del(old.request('DEL', { type: 'ptp' }, { prevResult: oldResult }), old.ctx);
    expect(ip('route', 'get', '10.9.0.5')).toContain(`dev ${host}`);
    expect(routesIn(fresh.netns)).toContain('default via 10.9.0.1 dev eth0');
  });
  expect(linksOf().map(({ ifname }) => ifname)).toEqual(['lo']);
  removeNetns(old.netns);
});
