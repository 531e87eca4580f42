import { spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { plugin as dummy } from '../../../cni-plugins/dummy/plugin.ts';
import { plugin as ipvlan } from '../../../cni-plugins/ipvlan/plugin.ts';
import { plugin as macvlan } from '../../../cni-plugins/macvlan/plugin.ts';
import { stagingName } from '../../../cni-plugins/skel/naming.ts';
import { plugin as tap } from '../../../cni-plugins/tap/plugin.ts';
import { plugin as vlan } from '../../../cni-plugins/vlan/plugin.ts';
import { ioctl, waitReadable } from '../../../src/host/linux.ts';
import { createNetns, removeNetns, withNetns } from '../../../src/host/netns.ts';
import type { PluginContext } from '../../../src/model/cni/plugin.ts';
import type { CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { globalAddresses, inNetns, ip, linkNamed, linksOf, routesIn, world, type World } from './world.ts';

useHost();

const dual: CniResult = {
  cniVersion: '1.1.0',
  ips: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }, { address: 'fd09::5/64' }],
  routes: [{ dst: '0.0.0.0/0' }],
  dns: { nameservers: ['10.9.0.1'] },
};
const kinds = [
  ['macvlan', macvlan, { type: 'macvlan', master: 'm0' }],
  ['ipvlan', ipvlan, { type: 'ipvlan', master: 'm0' }],
  ['vlan', vlan, { type: 'vlan', master: 'm0', vlanId: 7 }],
  ['dummy', dummy, { type: 'dummy' }],
  ['tap', tap, { type: 'tap' }],
] as const;
type Type = (typeof kinds)[number][0];

/** By what iproute2 gets told, on this very host. A kernel without the kind must be named in the error; one with it must do it. */
function kernelHas(type: Type): boolean {
  if (type === 'tap') return true; // the rig's own machine has /dev/net/tun, or nothing here makes sense
  const on = type === 'dummy' ? [] : ['link', 'm0'];
  const more = type === 'vlan' ? ['id', '9'] : [];
  const { status, stderr } = spawnSync('ip', ['link', 'add', ...on, 'name', 'probe0', 'type', type, ...more], { encoding: 'utf8' });
  if (status === 0) ip('link', 'del', 'probe0');
  else expect(stderr).toMatch(/Unknown device type/);
  return status === 0;
}
const podLinks = (netns: string): string[] => linksOf(netns).map(({ ifname }) => ifname);
/** Name of the host's link that the pod's stands on. */
function standsOn(netns: string): string | undefined {
  const [inside] = JSON.parse(inNetns(netns, 'ip', '-j', 'link', 'show', 'eth0')) as { link_index: number }[];
  const links = JSON.parse(ip('-j', 'link')) as { ifindex: number; ifname: string }[];
  return links.find(({ ifindex }) => ifindex === inside?.link_index)?.ifname;
}
const lacks = (type: Type) => expect.objectContaining({ cniCode: 50, message: `this kernel has no ${type} links` }) as Error;

// A failing test must not make the next one fail: runs after the residue check, and only then.
beforeEach(() => {
  onTestFailed(() => {
    for (const name of readdirSync('/run/netns')) removeNetns(`/run/netns/${name}`);
    for (const { ifname } of linksOf()) if (ifname !== 'lo' && linkNamed(ifname) !== undefined) ip('link', 'del', ifname);
  });
  // The other end of the master's wire is a router in a namespace of its own.
  createNetns('/run/netns/wire');
  ip('link', 'add', 'm0', 'type', 'veth', 'peer', 'name', 'm1', 'netns', 'wire');
  ip('link', 'set', 'm0', 'up');
  for (const address of ['10.9.0.1/24', 'fd09::1/64'])
    inNetns('wire', 'ip', 'addr', 'add', address, 'dev', 'm1', ...(address.includes(':') ? ['nodad'] : []));
  inNetns('wire', 'ip', 'link', 'set', 'm1', 'up');
});
afterEach(() => {
  if (linkNamed('m0') !== undefined) ip('link', 'del', 'm0');
  removeNetns('/run/netns/wire');
});

describe.each(kinds)('%s', (type, plugin, conf) => {
  test('life of an attachment, or the name of what the kernel lacks and nothing left', () => {
    const one = world('life', dual);
    if (!kernelHas(type)) {
      expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(lacks(type));
      expect(() => plugin.status(one.request('STATUS', conf), one.ctx)).toThrow(lacks(type));
      plugin.del(one.request('DEL', conf), one.ctx);
      expect([podLinks(one.netns), one.heard]).toEqual([['lo'], ['DEL']]);
      return removeNetns(one.netns);
    }
    plugin.status(one.request('STATUS', conf), one.ctx);
    const result = plugin.add(one.request('ADD', conf), one.ctx);
    const link = linkNamed('eth0', one.netns);
    expect(link?.flags).toContain('UP');
    expect(inNetns(one.netns, 'cat', '/sys/class/net/eth0/ifalias')).toBe('net1/life/eth0\n');
    expect(globalAddresses(link)).toEqual(['10.9.0.5/24', 'fd09::5/64']);
    expect(link?.addr_info.filter(({ scope, tentative }) => scope === 'global' && tentative)).toEqual([]);
    expect(routesIn(one.netns).map((line) => line.replace(' linkdown', ''))).toContain('default via 10.9.0.1 dev eth0');
    expect(result).toEqual({
      cniVersion: '1.1.0',
      interfaces: [{ name: 'eth0', mac: link?.address, sandbox: one.netns }],
      ips: [
        { address: '10.9.0.5/24', interface: 0, gateway: '10.9.0.1' },
        { address: 'fd09::5/64', interface: 0 },
      ],
      routes: [{ dst: '0.0.0.0/0' }],
      dns: { nameservers: ['10.9.0.1'] },
    });
    const check = (): void => plugin.check(one.request('CHECK', conf, { prevResult: result }), one.ctx);
    check();
    inNetns(one.netns, 'ip', 'addr', 'del', '10.9.0.5/24', 'dev', 'eth0');
    expect(check).toThrow(/address 10.9.0.5\/24 is missing/);
    const repair = (apply: boolean): unknown => plugin.repair?.(one.request('CHECK', conf, { prevResult: result }), one.ctx, apply);
    const missing = ['address 10.9.0.5/24 of eth0 in the pod', 'route 0.0.0.0/0 via 10.9.0.1 on eth0 in the pod'];
    expect([repair(false), repair(true), repair(true)]).toEqual([missing, missing, []]);
    check();
    for (const more of [{ prevResult: result }, {}, { netns: '' }]) plugin.del(one.request('DEL', conf, more), one.ctx);
    expect(podLinks(one.netns)).toEqual(['lo']);
    removeNetns(one.netns);
    plugin.del(one.request('DEL', conf), one.ctx);
    plugin.gc(one.request('GC', conf, { netns: '', ifName: '', containerId: '' }), one.ctx);
    expect(one.heard).toEqual(['STATUS', 'ADD', 'CHECK', 'CHECK', 'CHECK', 'DEL', 'DEL', 'DEL', 'DEL', 'GC']);
  });

  test.each([
    [
      'fails',
      () => {
        throw new Error('no addresses today');
      },
      /no addresses today/,
    ],
    ['gives no address', () => ({ cniVersion: '1.1.0' }), /missing IP config/],
    ['gives a route that cannot be', () => ({ ...dual, routes: [{ dst: '10.77.0.0/16', gw: '172.31.0.1' }] }), /add route 10.77.0.0\/16/],
  ] as const)('when IPAM %s, neither link nor lease stays', (_, ipam, message) => {
    const one = world('rollback', ipam);
    const has = kernelHas(type);
    expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(has ? message : lacks(type));
    expect([podLinks(one.netns), one.heard]).toEqual([['lo'], has ? ['ADD', 'DEL'] : []]);
    removeNetns(one.netns);
  });

  test('a name that is taken in the pod is refused before anything; DEL (R4) leaves it to whom it belongs', () => {
    const one = world('taken', dual);
    ip('link', 'add', 'otherend', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'taken');
    expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(/interface eth0 already exists/);
    plugin.del(one.request('DEL', conf), one.ctx);
    const left = podLinks(one.netns);
    ip('link', 'del', 'otherend');
    expect([left, one.heard]).toEqual([['lo', 'eth0'], ['DEL']]);
    removeNetns(one.netns);
  });

  test('the DEL of another attachment, of the same sort, leaves this one; its own finds it under another name', () => {
    const one = world('rival', dual);
    if (!kernelHas(type)) {
      expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(lacks(type));
      return removeNetns(one.netns);
    }
    plugin.add(one.request('ADD', conf), one.ctx);
    plugin.del(one.request('DEL', { ...conf, name: 'net2' }), one.ctx);
    expect(podLinks(one.netns)).toEqual(['lo', 'eth0']);
    inNetns(one.netns, 'sh', '-c', 'ip link set eth0 down; ip link set eth0 name renamed');
    plugin.del(one.request('DEL', conf), one.ctx);
    expect(podLinks(one.netns)).toEqual(['lo']);
    removeNetns(one.netns);
  });

  test('a host that has an interface of that name is no obstacle', () => {
    const one = world('clash', dual);
    ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0peer');
    if (kernelHas(type)) {
      plugin.add(one.request('ADD', conf), one.ctx);
      expect(podLinks(one.netns)).toEqual(['lo', 'eth0']);
      plugin.del(one.request('DEL', conf), one.ctx);
    } else expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(lacks(type));
    ip('link', 'del', 'eth0');
    removeNetns(one.netns);
  });

  test.each([
    ['an mtu that is none', { mtu: 'big' }, type === 'dummy'],
    ['a dns that is none', { dns: 7 }, false],
  ])('DEL and GC after an ADD that refused %s succeed and reach IPAM (R4, P8)', (_name, extra, accepted) => {
    const one = world('refused', dual);
    if (!accepted)
      expect(() => plugin.add(one.request('ADD', { ...conf, ...extra }), one.ctx)).toThrow(expect.objectContaining({ cniCode: 7 }) as Error);
    plugin.del(one.request('DEL', { ...conf, ...extra }), one.ctx);
    plugin.gc(one.request('GC', { ...conf, ...extra }), one.ctx);
    expect(one.heard).toEqual(['DEL', 'GC']);
    removeNetns(one.netns);
  });

  test.each([
    ['after the link is gone', 'fixed', ['lo']],
    ['before the link goes, to a DHCP client that works through it', 'dhcp', ['lo', 'eth0']],
  ])('IPAM is asked to release %s', (_, ipamType, there) => {
    const one = world('order', dual);
    const seen: string[][] = [];
    const ctx: PluginContext = {
      ...one.ctx,
      delegate(...asked) {
        if (asked[1] === 'DEL') seen.push(podLinks(one.netns));
        return one.ctx.delegate(...asked);
      },
    };
    const ipam = { ...conf, ipam: { type: ipamType } };
    if (kernelHas(type)) {
      plugin.add(one.request('ADD', ipam), ctx);
      plugin.del(one.request('DEL', ipam), ctx);
      expect(seen).toEqual([there]);
    } else expect(() => plugin.add(one.request('ADD', ipam), ctx)).toThrow(lacks(type));
    removeNetns(one.netns);
  });

  test('a namespace that does not exist is named', () => {
    const one = world('nons', dual);
    expect(() => plugin.add(one.request('ADD', conf, { netns: '/run/netns/absent' }), one.ctx)).toThrow(
      expect.objectContaining({ cniCode: 8, message: expect.stringContaining('/run/netns/absent') as string }) as Error,
    );
    removeNetns(one.netns);
  });

  test('DEL leaves the link to a namespace that is about to end, unless others wait for what it holds', () => {
    const one = world('dies', dual, true);
    if (kernelHas(type)) {
      plugin.add(one.request('ADD', conf), one.ctx);
      plugin.del(one.request('DEL', conf), one.ctx);
      expect(podLinks(one.netns)).toEqual(type === 'vlan' ? ['lo'] : ['lo', 'eth0']);
    } else expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(lacks(type));
    removeNetns(one.netns);
  });
});

describe.each(kinds.filter(([type]) => ['macvlan', 'ipvlan', 'vlan'].includes(type)))('master of %s', (type, plugin, conf) => {
  test('missing: named, and nothing stays; DEL does not need it', () => {
    const one = world('nomaster', dual);
    const absent = { ...conf, master: 'm9' };
    expect(() => plugin.add(one.request('ADD', absent), one.ctx)).toThrow(/failed to lookup master "m9"/);
    expect(() => plugin.status(one.request('STATUS', absent), one.ctx)).toThrow(kernelHas(type) ? /master "m9" is not there/ : lacks(type));
    plugin.del(one.request('DEL', absent), one.ctx);
    expect([podLinks(one.netns), one.heard]).toEqual([['lo'], ['DEL']]);
    removeNetns(one.netns);
  });

  test('that went away took the link along: DEL succeeds and gives the address back', () => {
    const one = world('gone', dual);
    if (!kernelHas(type)) expect(() => plugin.add(one.request('ADD', conf), one.ctx)).toThrow(lacks(type));
    else plugin.add(one.request('ADD', conf), one.ctx);
    ip('link', 'del', 'm0');
    plugin.del(one.request('DEL', conf), one.ctx);
    expect(one.heard.at(-1)).toBe('DEL');
    removeNetns(one.netns);
  });

  test('of the default route, where none is configured', () => {
    const one = world('default', dual);
    const { master: _none, ...rest } = conf as { master: string };
    const add = (): CniResult => plugin.add(one.request('ADD', rest), one.ctx);
    if (type === 'vlan') expect(add).toThrow('"master" field is required');
    else {
      expect(add).toThrow('no default route interface found');
      ip('addr', 'add', '10.8.0.2/24', 'dev', 'm0');
      ip('route', 'add', 'default', 'via', '10.8.0.1');
      if (kernelHas(type)) {
        add();
        expect(standsOn(one.netns)).toBe('m0');
      } else expect(add).toThrow(lacks(type));
      plugin.del(one.request('DEL', rest), one.ctx);
    }
    removeNetns(one.netns);
  });

  test('by another, longer name of it', () => {
    const one = world('alt', dual);
    ip('link', 'property', 'add', 'dev', 'm0', 'altname', 'a-name-longer-than-fifteen');
    const add = (): CniResult => plugin.add(one.request('ADD', { ...conf, master: 'a-name-longer-than-fifteen' }), one.ctx);
    if (kernelHas(type)) {
      add();
      expect(standsOn(one.netns)).toBe('m0');
      plugin.del(one.request('DEL', conf), one.ctx);
    } else expect(add).toThrow(lacks(type));
    removeNetns(one.netns);
  });

  test('in the pod (linkInContainer)', () => {
    const one = world('inside', dual);
    ip('link', 'add', 'hostend', 'type', 'veth', 'peer', 'name', 'p0', 'netns', 'inside');
    const inside = { ...conf, master: 'p0', linkInContainer: true };
    const add = (): CniResult => plugin.add(one.request('ADD', inside), one.ctx);
    expect(() => plugin.add(one.request('ADD', { ...inside, master: 'm0' }), one.ctx)).toThrow(/failed to lookup master "m0"/);
    if (kernelHas(type)) {
      const prevResult = add();
      expect(linkNamed('eth0', one.netns)).toMatchObject({ link: 'p0' });
      plugin.check(one.request('CHECK', inside, { prevResult }), one.ctx);
      plugin.del(one.request('DEL', inside), one.ctx);
      expect(podLinks(one.netns).sort()).toEqual(['lo', 'p0']);
    } else expect(add).toThrow(lacks(type));
    ip('link', 'del', 'hostend');
    removeNetns(one.netns);
  });

  test('has the largest mtu there can be', () => {
    const one = world('mtu', dual);
    for (const mtu of [-1, 1501]) {
      // The reference's ipvlan takes any; so does the kernel.
      if (type === 'ipvlan' && mtu > 0) continue;
      const message = type === 'ipvlan' ? 'mtu must be a whole number' : `invalid MTU ${mtu}, must be [0, master MTU(1500)]`;
      expect(() => plugin.add(one.request('ADD', { ...conf, mtu }), one.ctx)).toThrow(message);
    }
    if (kernelHas(type)) {
      const prevResult = plugin.add(one.request('ADD', { ...conf, mtu: 1400 }), one.ctx);
      expect(linkNamed('eth0', one.netns)?.mtu).toBe(1400);
      plugin.check(one.request('CHECK', { ...conf, mtu: 1400 }, { prevResult }), one.ctx);
      plugin.del(one.request('DEL', conf), one.ctx);
    } else expect(() => plugin.add(one.request('ADD', { ...conf, mtu: 1400 }), one.ctx)).toThrow(lacks(type));
    removeNetns(one.netns);
  });
});

describe('macvlan', () => {
  const conf = { type: 'macvlan', master: 'm0' };
  const details = (netns: string): unknown =>
    (JSON.parse(inNetns(netns, 'ip', '-j', '-d', 'link', 'show', 'eth0')) as { linkinfo: unknown }[])[0]?.linkinfo;

  test('reaches what is on the wire, by both families, at once', () => {
    const one = world('wired', dual);
    within(one, () => {
      for (const address of ['10.9.0.1', 'fd09::1'])
        expect(inNetns(one.netns, 'busybox', 'ping', '-c', '1', '-W', '2', address)).toMatch(/1 packets received/);
      expect(
        inNetns(
          one.netns,
          'cat',
          '/proc/sys/net/ipv4/conf/eth0/arp_notify',
          '/proc/sys/net/ipv6/conf/eth0/ndisc_notify',
          '/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down',
        ),
      ).toBe('1\n1\n1\n');
    });
  });
  const within = (one: World, look: (result: CniResult) => void, more: object = {}, request: object = {}): void => {
    const result = macvlan.add(one.request('ADD', { ...conf, ...more }, request), one.ctx);
    look(result);
    macvlan.del(one.request('DEL', { ...conf, ...more }), one.ctx);
    removeNetns(one.netns);
  };

  test.each(['', 'bridge', 'private', 'vepa', 'passthru'])('mode %j', (mode) => {
    const one = world('mode', dual);
    within(
      one,
      (prevResult) => {
        expect(details(one.netns)).toMatchObject({ info_kind: 'macvlan', info_data: { mode: mode === '' ? 'bridge' : mode } });
        const check = (other: string): void => macvlan.check(one.request('CHECK', { ...conf, mode: other }, { prevResult }), one.ctx);
        check(mode);
        expect(() => check(mode === 'vepa' ? 'private' : 'vepa')).toThrow(/has mode/);
      },
      { mode },
    );
  });
  test('an unknown mode', () => {
    const one = world('mode', dual);
    expect(() => macvlan.add(one.request('ADD', { ...conf, mode: 'hub' }), one.ctx)).toThrow('unknown macvlan mode: "hub"');
    removeNetns(one.netns);
  });
  test('the next pod gets a passthru master at once, though the namespace of the last still lingers', () => {
    const passthru = { ...conf, mode: 'passthru' };
    for (const id of ['first', 'next']) {
      const one = world(id, dual, true);
      macvlan.add(one.request('ADD', passthru), one.ctx);
      macvlan.del(one.request('DEL', passthru), one.ctx);
    }
    for (const id of ['first', 'next']) removeNetns(`/run/netns/${id}`);
  });
  test('and when its last pod has ended and the kernel is still taking the namespace apart', () => {
    const passthru = { ...conf, mode: 'passthru' };
    const one = world('ended', dual);
    macvlan.add(one.request('ADD', passthru), one.ctx);
    const two = world('after', dual);
    removeNetns(one.netns);
    macvlan.add(two.request('ADD', passthru), two.ctx);
    const three = world('busy', dual);
    const before = performance.now();
    expect(() => macvlan.add(three.request('ADD', passthru), three.ctx)).toThrow(/failed to create macvlan/);
    expect(performance.now() - before).toBeLessThan(5_000);
    macvlan.del(two.request('DEL', passthru), two.ctx);
    for (const { netns } of [two, three]) removeNetns(netns);
  });
  test('without IPAM: layer 2, up', () => {
    const one = world('layer2', dual);
    within(
      one,
      (result) => {
        expect(result).toEqual({
          cniVersion: '1.1.0',
          interfaces: [{ name: 'eth0', mac: linkNamed('eth0', one.netns)?.address, sandbox: one.netns }],
        });
        expect(linkNamed('eth0', one.netns)?.flags).toContain('UP');
        macvlan.check(one.request('CHECK', { ...conf, ipam: {} }, { prevResult: result }), one.ctx);
      },
      { ipam: {} },
    );
    expect(one.heard).toEqual([]);
  });
  test('mac: configuration < CNI_ARGS < args < runtimeConfig', () => {
    const [a, b, c, d] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b', '02:00:00:00:00:0c', '02:00:00:00:00:0D'];
    const steps: [object, object, string][] = [
      [{ mac: a }, {}, a ?? ''],
      [{ mac: a }, { args: new Map([['MAC', b]]) }, b ?? ''],
      [{ mac: a, args: { cni: { mac: c } } }, { args: new Map([['MAC', b]]) }, c ?? ''],
      [{ mac: a, args: { cni: { mac: c } }, runtimeConfig: { mac: d } }, { args: new Map([['MAC', b]]) }, (d ?? '').toLowerCase()],
    ];
    for (const [more, request, mac] of steps) {
      const one = world('mac', dual);
      within(one, (result) => expect([result.interfaces?.[0]?.mac, linkNamed('eth0', one.netns)?.address]).toEqual([mac, mac]), more, request);
    }
    const one = world('mac', dual);
    expect(() => macvlan.add(one.request('ADD', { ...conf, mac: 'x' }), one.ctx)).toThrow('mac "x" is not a hardware address');
    removeNetns(one.netns);
  });
  test('CHECK notices another hardware address, another kind, another master', () => {
    const one = world('check', dual);
    within(one, (prevResult) => {
      const check = (more: object = {}): void => macvlan.check(one.request('CHECK', { ...conf, ...more }, { prevResult }), one.ctx);
      expect(() => check({ master: 'lo' })).toThrow(/does not stand on lo/);
      inNetns(one.netns, 'ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:77');
      expect(check).toThrow(/has the hardware address 02:00:00:00:00:77/);
      macvlan.del(one.request('DEL', conf), one.ctx);
      ip('link', 'add', 'hostend', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'check');
      expect(check).toThrow(/is not a macvlan but veth/);
      ip('link', 'del', 'hostend');
      expect(check).toThrow(/eth0 is missing/);
    });
  });
  test('a link whose making was interrupted before it got its name is found by DEL', () => {
    const one = world('staged', dual);
    const staged = stagingName({ network: 'net1', containerId: 'staged', ifName: 'eth0' });
    ip('link', 'add', 'link', 'm0', 'name', staged, 'netns', 'staged', 'type', 'macvlan');
    macvlan.del(one.request('DEL', conf), one.ctx);
    expect(podLinks(one.netns)).toEqual(['lo']);
    removeNetns(one.netns);
  });
  test('the first name of its making is taken: the next is used', () => {
    const one = world('busy', dual);
    const staged = stagingName({ network: 'net1', containerId: 'busy', ifName: 'eth0' });
    for (const netns of [[], ['netns', 'busy']]) ip('link', 'add', staged, ...netns, 'type', 'veth', 'peer', 'name', `peer${netns.length}`);
    within(one, () => expect(podLinks(one.netns)).toContain('eth0'));
    ip('link', 'del', 'peer0');
  });
  test('same link, addresses and routes as Debian’s macvlan', () => {
    const look = (netns: string): unknown => [
      details(netns),
      globalAddresses(linkNamed('eth0', netns)),
      routesIn(netns),
      linkNamed('eth0', netns)?.mtu,
    ];
    const one = world('ours', { ...dual, ips: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }] });
    let ours: unknown;
    within(one, () => (ours = look(one.netns)));
    createNetns('/run/netns/theirs');
    const env = { ...process.env, CNI_CONTAINERID: 'theirs', CNI_NETNS: '/run/netns/theirs', CNI_IFNAME: 'eth0', CNI_PATH: '/usr/lib/cni' };
    const input = JSON.stringify({
      ...conf,
      cniVersion: '1.0.0',
      name: 'net1',
      ipam: { type: 'static', addresses: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }], routes: [{ dst: '0.0.0.0/0' }] },
    });
    expect(spawnSync('/usr/lib/cni/macvlan', { env: { ...env, CNI_COMMAND: 'ADD' }, input, encoding: 'utf8' })).toMatchObject({ status: 0 });
    expect(ours).toEqual(look('/run/netns/theirs'));
    // What another implementation made has no alias: ours takes it down all the same.
    macvlan.del({ ...one.request('DEL', conf), netns: '/run/netns/theirs', containerId: 'theirs' }, one.ctx);
    expect(podLinks('/run/netns/theirs')).toEqual(['lo']);
    removeNetns('/run/netns/theirs');
  });
});

describe('ipvlan in a chain', () => {
  const conf = { type: 'ipvlan', ipam: {} };
  const previous: CniResult = { cniVersion: '1.1.0', interfaces: [{ name: 'm0' }], ips: [{ address: '10.9.0.5/24', interface: 0 }] };
  test('takes addresses and master of the plugin before', () => {
    const one = world('chained', dual);
    const add = (): CniResult => ipvlan.add(one.request('ADD', conf, { prevResult: previous }), one.ctx);
    if (kernelHas('ipvlan')) {
      expect(add().ips).toEqual([{ address: '10.9.0.5/24', interface: 0 }]);
      expect(standsOn(one.netns)).toBe('m0');
      ipvlan.del(one.request('DEL', conf), one.ctx);
    } else expect(add).toThrow(lacks('ipvlan'));
    expect(one.heard).toEqual([]);
    removeNetns(one.netns);
  });
  test.each([
    ['several interfaces', { ...previous, interfaces: [{ name: 'm0' }, { name: 'm2' }] }, /chained master failure/],
    ['no interface', { ...previous, interfaces: [] }, /chained master failure/],
    ['no addresses', { ...previous, ips: [] }, /needs an ipam section/],
  ])('%s', (_, prevResult, message) => {
    const one = world('chain', dual);
    expect(() => ipvlan.add(one.request('ADD', conf, { prevResult }), one.ctx)).toThrow(message);
    removeNetns(one.netns);
  });
  test('an unknown mode', () => {
    const one = world('mode', dual);
    expect(() => ipvlan.add(one.request('ADD', { ...conf, mode: 'l4' }), one.ctx)).toThrow('unknown ipvlan mode: "l4"');
    removeNetns(one.netns);
  });
});

test.each([-1, 4095])('vlan id %d', (vlanId) => {
  const one = world('id', dual);
  expect(() => vlan.add(one.request('ADD', { type: 'vlan', master: 'm0', vlanId }), one.ctx)).toThrow(`invalid VLAN ID ${vlanId}`);
  removeNetns(one.netns);
});
test('vlan: an id that another link of the master has is told by the kernel’s own words', () => {
  const one = world('id', dual);
  const add = (): CniResult => vlan.add(one.request('ADD', { type: 'vlan', master: 'm0', vlanId: 9 }), one.ctx);
  if (kernelHas('vlan')) {
    ip('link', 'add', 'link', 'm0', 'name', 'v9', 'type', 'vlan', 'id', '9');
    expect(add).toThrow(/failed to create vlan: .*exists/i);
    ip('link', 'del', 'v9');
  } else expect(add).toThrow(lacks('vlan'));
  removeNetns(one.netns);
});
test('vlan: a master that is down is named, and neither link nor lease stays', () => {
  const one = world('down', dual);
  ip('link', 'set', 'm0', 'down');
  const has = kernelHas('vlan');
  expect(() => vlan.add(one.request('ADD', { type: 'vlan', master: 'm0', vlanId: 9 }), one.ctx)).toThrow(
    has ? 'failed to set eth0 up: what it stands on is down' : lacks('vlan'),
  );
  expect([podLinks(one.netns), one.heard]).toEqual([['lo'], has ? ['ADD', 'DEL'] : []]);
  removeNetns(one.netns);
});
test.each(['vlan', 'dummy'] as const)('%s needs IPAM', (type) => {
  const one = world('noipam', dual);
  const plugin = type === 'vlan' ? vlan : dummy;
  expect(() => plugin.add(one.request('ADD', { type, master: 'm0', ipam: {} }), one.ctx)).toThrow(
    type === 'vlan' ? 'vlan needs an ipam section' : 'dummy interface requires an IPAM configuration',
  );
  removeNetns(one.netns);
});

describe('tap', () => {
  const tuntap = (netns: string): unknown =>
    (JSON.parse(inNetns(netns, 'ip', '-j', '-d', 'link', 'show', 'eth0')) as { linkinfo: { info_data: unknown } }[])[0]?.linkinfo.info_data;
  const life = (conf: object, look: (netns: string, result: CniResult) => void): World => {
    const one = world('tap', dual);
    const full = { type: 'tap', ...conf };
    const result = tap.add(one.request('ADD', full), one.ctx);
    look(one.netns, result);
    tap.check(one.request('CHECK', full, { prevResult: result }), one.ctx);
    tap.del(one.request('DEL', full), one.ctx);
    expect(podLinks(one.netns)).not.toContain('eth0');
    removeNetns(one.netns);
    return one;
  };

  test('owner, group, queues, mtu, mac', () => {
    life({ owner: 0, group: 0 }, (netns) =>
      expect(tuntap(netns)).toMatchObject({ type: 'tap', pi: false, persist: true, user: 'root', group: 'root', multi_queue: false }),
    );
    life({ owner: 4711, multiQueue: true, mtu: 1400, mac: '02:00:00:00:00:0A' }, (netns, result) => {
      expect(tuntap(netns)).toMatchObject({ user: 4711, multi_queue: true });
      expect(linkNamed('eth0', netns)).toMatchObject({ mtu: 1400, address: '02:00:00:00:00:0a' });
      expect(result.interfaces?.[0]?.mac).toBe('02:00:00:00:00:0a');
    });
  });
  test('a program that opens it has its other end', () => {
    life({}, (netns) => {
      const [TUNSETIFF, IFF_TAP, IFF_NO_PI, ARP] = [0x400454ca, 2, 0x1000, 0x0806];
      const request = Buffer.alloc(40);
      request.write('eth0');
      request.writeUInt16LE(IFF_TAP | IFF_NO_PI, 16);
      const fd = withNetns(netns, () => {
        const opened = openSync('/dev/net/tun', 'r+');
        ioctl(opened, TUNSETIFF, request, 'attach to eth0');
        return opened;
      });
      const ping = spawn('ip', ['netns', 'exec', netns.slice('/run/netns/'.length), 'busybox', 'ping', '-c1', '-W1', '10.9.0.1'], {
        stdio: 'ignore',
      });
      const frame = Buffer.alloc(2_000);
      let isAsked = false;
      while (!isAsked && waitReadable(fd, 2_000)) {
        readSync(fd, frame);
        isAsked = frame.readUInt16BE(12) === ARP;
      }
      ping.kill('SIGKILL');
      closeSync(fd);
      expect(isAsked).toBe(true);
    });
  });
  test('port of a bridge in the pod', () => {
    const one = world('bridged', dual);
    const conf = { type: 'tap', bridge: 'br0' };
    expect(() => tap.add(one.request('ADD', conf), one.ctx)).toThrow('failed to get bridge device br0');
    inNetns(one.netns, 'ip', 'link', 'add', 'br0', 'type', 'bridge');
    expect(() => tap.add(one.request('ADD', { ...conf, bridge: 'lo' }), one.ctx)).toThrow('is not a bridge');
    const prevResult = tap.add(one.request('ADD', conf), one.ctx);
    expect(linkNamed('eth0', one.netns)?.master).toBe('br0');
    const check = (): void => tap.check(one.request('CHECK', conf, { prevResult }), one.ctx);
    check();
    inNetns(one.netns, 'ip', 'link', 'set', 'eth0', 'nomaster');
    expect(check).toThrow('is not a port of br0');
    tap.del(one.request('DEL', conf), one.ctx);
    expect(podLinks(one.netns).sort()).toEqual(['br0', 'lo']);
    removeNetns(one.netns);
  });
  test('a setting the kernel refuses leaves no tap', () => {
    const one = world('badmac', dual);
    expect(() => tap.add(one.request('ADD', { type: 'tap', mac: 'ff:ff:ff:ff:ff:ff' }), one.ctx)).toThrow(/set the address/);
    expect([podLinks(one.netns), one.heard]).toEqual([['lo'], []]);
    removeNetns(one.netns);
  });
  test('an SELinux label is noted where there is no SELinux', () => {
    const one = life({ selinuxContext: 'system_u:system_r:svirt_t:s0' }, () => undefined);
    expect(one.notes).toEqual(
      readFileSync('/proc/filesystems', 'utf8').includes('selinuxfs') ? [] : [expect.objectContaining({ what: 'selinuxContext' })],
    );
  });
});
