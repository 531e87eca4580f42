import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { plugin } from '../../../cni-plugins/host-device/plugin.ts';
import { plugin as macvlan } from '../../../cni-plugins/macvlan/plugin.ts';
import { mount, umount } from '../../../src/host/linux.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import type { PluginContext } from '../../../src/model/cni/plugin.ts';
import type { CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { globalAddresses, inNetns, ip, linkNamed, linksOf, routesIn, world, type World } from './world.ts';

useHost();

const dual: CniResult = {
  cniVersion: '1.1.0',
  ips: [{ address: '10.9.0.5/24', gateway: '10.9.0.1' }, { address: 'fd09::5/64' }],
  routes: [{ dst: '0.0.0.0/0' }],
};
const conf = { type: 'host-device', device: 'dev0' };
const layer2 = { ...conf, ipam: {} };

interface Described {
  ifname: string;
  address: string;
  ifalias?: string;
  altnames?: string[];
  flags: string[];
}
const described = (netns?: string): Described[] =>
  JSON.parse(netns === undefined ? ip('-j', 'link') : inNetns(netns, 'ip', '-j', 'link')) as Described[];
const names = (netns?: string): string[] => linksOf(netns).map(({ ifname }) => ifname);
const add = (one: World, more: object = conf, request: object = {}): CniResult => plugin.add(one.request('ADD', more, request), one.ctx);
const del = (one: World, more: object = conf, request: object = {}): void => plugin.del(one.request('DEL', more, request), one.ctx);
/** What the kernel does with a physical device when its namespace ends. The name is the pod's, or dev and a number where that is taken. */
const fallBack = (netns: string, name: string): void => {
  inNetns(netns, 'ip', 'link', 'set', 'eth0', 'netns', `${process.pid}`, 'name', name);
  removeNetns(netns);
};

const mac = '02:00:00:00:0d:00';
beforeEach(() => {
  onTestFailed(() => {
    for (const name of readdirSync('/run/netns')) removeNetns(`/run/netns/${name}`);
    for (const { ifname } of linksOf()) if (ifname !== 'lo' && linkNamed(ifname) !== undefined) ip('link', 'del', ifname);
  });
  ip('link', 'add', 'dev0', 'address', mac, 'type', 'veth', 'peer', 'name', 'wire0');
  ip('link', 'set', 'dev0', 'up');
});
afterEach(() => {
  if (linkNamed('wire0') !== undefined) ip('link', 'del', 'wire0');
});
/** As it was before anybody took it, but down. */
function expectHome(): void {
  const device = described().find(({ address }) => address === mac);
  expect(device).toMatchObject({ ifname: 'dev0' });
  expect([device?.ifalias, device?.altnames]).toEqual([undefined, undefined]);
}

describe('life', () => {
  test('in as the pod’s interface, with addresses; back under its own name, down', () => {
    const one = world('life', dual);
    const result = add(one);
    expect(result).toEqual({
      cniVersion: '1.1.0',
      interfaces: [{ name: 'eth0', mac, sandbox: one.netns }],
      ips: [
        { address: '10.9.0.5/24', interface: 0, gateway: '10.9.0.1' },
        { address: 'fd09::5/64', interface: 0 },
      ],
      routes: [{ dst: '0.0.0.0/0' }],
    });
    expect(names()).toEqual(['lo', 'wire0']);
    expect(described(one.netns)[1]).toMatchObject({ ifname: 'eth0', ifalias: 'dev0', altnames: ['rkt:net1:life:eth0'] });
    expect(globalAddresses(linkNamed('eth0', one.netns))).toEqual(['10.9.0.5/24', 'fd09::5/64']);
    expect(routesIn(one.netns)[1]).toMatch(/^default via 10.9.0.1 dev eth0/);
    const check = (): void => plugin.check(one.request('CHECK', conf, { prevResult: result }), one.ctx);
    check();
    inNetns(one.netns, 'ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:01');
    expect(check).toThrow(/has the hardware address/);
    inNetns(one.netns, 'ip', 'link', 'set', 'eth0', 'address', mac);
    del(one);
    expectHome();
    expect(linkNamed('dev0')?.flags).not.toContain('UP');
    del(one);
    del(one, conf, { netns: '' });
    expect(names(one.netns)).toEqual(['lo']);
    removeNetns(one.netns);
    del(one);
    expect(one.heard).toEqual(['ADD', 'CHECK', 'CHECK', 'DEL', 'DEL', 'DEL', 'DEL']);
  });
  test('without IPAM: layer 2', () => {
    const one = world('layer2', dual);
    expect(add(one, layer2)).toEqual({ cniVersion: '1.1.0', interfaces: [{ name: 'eth0', mac, sandbox: one.netns }] });
    expect(linkNamed('eth0', one.netns)?.flags).toContain('UP');
    del(one, layer2);
    expect(one.heard).toEqual([]);
    removeNetns(one.netns);
  });
  test('DEL brings it back also when the namespace is about to end (a virtual device would end with it), and under whatever name the pod gave it', () => {
    const one = world('dies', dual, true);
    add(one);
    inNetns(one.netns, 'sh', '-c', 'ip link set eth0 down; ip link set eth0 name uplink');
    del(one);
    expectHome();
    removeNetns(one.netns);
  });
  test.each([
    ['after the device is back', 'fixed', ['lo']],
    ['before the device goes, to a DHCP client that works through it', 'dhcp', ['lo', 'eth0']],
  ])('IPAM is asked to release %s', (_, ipamType, there) => {
    const one = world('order', dual);
    const seen: string[][] = [];
    const ctx: PluginContext = {
      ...one.ctx,
      delegate(...asked) {
        if (asked[1] === 'DEL') seen.push(names(one.netns));
        return one.ctx.delegate(...asked);
      },
    };
    const ipam = { ...conf, ipam: { type: ipamType } };
    plugin.add(one.request('ADD', ipam), ctx);
    plugin.del(one.request('DEL', ipam), ctx);
    expect(seen).toEqual([there]);
    removeNetns(one.netns);
  });
  test('a device that is on its way back from a pod that has ended is waited for', async () => {
    const one = world('late', dual);
    ip('link', 'set', 'dev0', 'down');
    ip('link', 'set', 'dev0', 'name', 'away0');
    const child = spawn('sh', ['-c', 'sleep 0.4; ip link set away0 name dev0']);
    const ended = new Promise((done) => child.on('close', done));
    add(one);
    del(one);
    await ended;
    expectHome();
    removeNetns(one.netns);
  });
  test('a pod that has an interface of the device’s own name, and a host that has one of the pod’s', () => {
    const one = world('same', dual);
    inNetns(one.netns, 'ip', 'link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'x');
    ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'y');
    add(one);
    expect(names(one.netns).sort()).toEqual(['dev0', 'eth0', 'lo', 'x']);
    del(one);
    expectHome();
    expect(names(one.netns).sort()).toEqual(['dev0', 'lo', 'x']);
    ip('link', 'del', 'eth0');
    removeNetns(one.netns);
  });
  test('its name is taken on the host: DEL says so, gives the address back, and leaves the device with the pod; later it succeeds', () => {
    for (const inPod of [false, true]) {
      const one = world('conflict', dual);
      if (inPod) inNetns(one.netns, 'ip', 'link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'x');
      add(one);
      ip('link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'other');
      expect(() => del(one)).toThrow('failed to move link: the host has another interface dev0');
      expect(linkNamed('eth0', one.netns)).toMatchObject({ address: mac, flags: expect.arrayContaining(['UP']) as string[] });
      expect(one.heard).toEqual(['ADD', 'DEL']);
      ip('link', 'del', 'other');
      del(one);
      expectHome();
      removeNetns(one.netns);
    }
  });
});

describe('ADD that fails', () => {
  test.each([
    [
      'IPAM fails',
      () => {
        throw new Error('no addresses today');
      },
      /no addresses today/,
    ],
    ['IPAM gives no address', () => ({ cniVersion: '1.1.0' }), /missing IP config/],
    ['a route cannot be', () => ({ ...dual, routes: [{ dst: '10.77.0.0/16', gw: '172.31.0.1' }] }), /add route 10.77.0.0\/16/],
  ] as const)('%s: the device is back as it was, and up', (_, ipam, message) => {
    const one = world('rollback', ipam);
    expect(() => add(one)).toThrow(message);
    expectHome();
    expect(linkNamed('dev0')?.flags).toContain('UP');
    expect([names(one.netns), one.heard]).toEqual([['lo'], ['ADD', 'DEL']]);
    removeNetns(one.netns);
  });
  test('the pod has an interface of that name: nothing was touched, and the DEL that follows (R4) touches nothing', () => {
    const one = world('taken', dual);
    macvlan.add(one.request('ADD', { type: 'macvlan', master: 'wire0', ipam: {} }), one.ctx);
    expect(() => add(one)).toThrow(/eth0 already exists/);
    del(one);
    expect(names(one.netns)).toEqual(['lo', 'eth0']);
    expect(linkNamed('dev0')?.flags).toContain('UP');
    removeNetns(one.netns);
  });
  test('the device is with another attachment: neither that ADD nor its DEL takes it away', () => {
    const one = world('holder', dual);
    const two = world('late', dual);
    add(one);
    expect(() => add(two)).toThrow('failed to find host device: no link with device "dev0"');
    del(two);
    del(two, conf, { netns: one.netns });
    expect(linkNamed('eth0', one.netns)?.address).toBe(mac);
    inNetns(one.netns, 'sh', '-c', 'ip link set eth0 down; ip link set eth0 name uplink');
    expect(() => add(one)).toThrow(/is in \/run\/netns\/holder already, as uplink/);
    del(one);
    expectHome();
    for (const { netns } of [one, two]) removeNetns(netns);
  });
  test.each([
    ['nothing', {}, 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"'],
    ['a relative kernelpath', { kernelpath: 'devices/x' }, 'kernel device path "devices/x" must be absolute and begin with /sys/devices/'],
    ['a kernelpath that leads out', { kernelpath: '/sys/devices/../class' }, 'must be absolute and begin with'],
    ['a hwaddr that is none', { hwaddr: 'zz' }, 'hwaddr "zz" is not a hardware address'],
    ['a hwaddr nobody has', { hwaddr: '02:00:00:00:00:99' }, 'no link with hwaddr 02:00:00:00:00:99'],
    ['an absent PCI device', { pciBusID: '0000:99:00.0' }, 'no link with pciBusID 0000:99:00.0'],
    ['an unknown deviceID', { runtimeConfig: { deviceID: 'nowhere' } }, 'runtime config DeviceID nowhere not found or unsupported'],
    ['a pciBusID that leads out', { pciBusID: '../..' }, 'is not the address of a device'],
    ['lo', { device: 'lo' }, 'lo cannot be given to a pod'],
  ])('configuration: %s', (_, more, message) => {
    const one = world('conf', dual);
    const bad = { type: 'host-device', ...more };
    expect(() => add(one, bad)).toThrow(message);
    del(one, bad);
    plugin.gc(one.request('GC', bad), one.ctx);
    expect(one.heard).toEqual(['DEL', 'GC']);
    removeNetns(one.netns);
  });
});

describe('a device that fell back to the host when its namespace ended', () => {
  const gc = (one: World, alive: boolean, network = 'net1'): void =>
    plugin.gc(one.request('GC', { ...conf, name: network }, { validAttachments: alive ? [{ containerID: 'fallen', ifname: 'eth0' }] : [] }), one.ctx);
  test.each(['eth0', 'dev7'])('as %s: DEL gives it its name back', (name) => {
    const one = world('fallen', dual);
    add(one);
    fallBack(one.netns, name);
    expect(names()).toContain(name);
    del(one);
    expectHome();
  });
  test('GC gives it its name back, of its own network, when the attachment is not valid any more', () => {
    const one = world('fallen', dual);
    add(one);
    fallBack(one.netns, 'eth0');
    gc(one, true);
    gc(one, false, 'net2');
    expect(names()).toContain('eth0');
    gc(one, false);
    expectHome();
    gc(one, false);
    expect(one.heard.filter((command) => command === 'GC')).toHaveLength(4);
  });
  test('the next ADD that names it finds it', () => {
    const one = world('fallen', dual);
    add(one);
    fallBack(one.netns, 'dev7');
    const two = world('next', dual);
    add(two);
    expect(described(two.netns)[1]).toMatchObject({ ifname: 'eth0', ifalias: 'dev0', altnames: ['rkt:net1:next:eth0'] });
    del(two);
    expectHome();
    removeNetns(two.netns);
  });
  test('an attachment of the same name takes it up again', () => {
    const one = world('fallen', dual);
    add(one, { ...conf, hwaddr: mac });
    fallBack(one.netns, 'eth0');
    const again = world('fallen', dual);
    add(again, { type: 'host-device', hwaddr: mac.toUpperCase() });
    del(again);
    expectHome();
    removeNetns(again.netns);
  });
  test('long names of network and container fit into its mark, and are told apart', () => {
    const long = { ...conf, name: 'n'.repeat(200) };
    const ids = ['a', 'b'].map((end) => `${'c'.repeat(120)}${end}`);
    const one = world('long', dual);
    add(one, long, { containerId: ids[0] });
    del(one, long, { containerId: ids[1], ifName: 'eth0' });
    expect(names(one.netns)).toContain('eth0');
    const [mark = ''] = described(one.netns)[1]?.altnames ?? [];
    expect(mark.length).toBeLessThan(128);
    del(one, long, { containerId: ids[0] });
    expectHome();
    removeNetns(one.netns);
  });
});

describe('named by the bus', () => {
  const buses = ['/sys/bus'];
  beforeEach(() => {
    // Only the part of sysfs that is asked for.
    for (const path of buses) mount('rig', path, 'tmpfs', 0, '');
  });
  afterEach(() => {
    for (const path of buses) umount(path);
  });
  const device = (bus: string, id: string, ...below: string[]): string => {
    const path = `/sys/bus/${bus}/devices/${id}`;
    mkdirSync([path, ...below].join('/'), { recursive: true });
    return path;
  };
  test.each([
    ['pciBusID', ['pci', '0000:03:00.0', 'net', 'dev0'], { pciBusID: '0000:03:00.0' }],
    ['virtio below PCI', ['pci', '0000:03:00.0', 'virtio1', 'net', 'dev0'], { pciBusID: '0000:03:00.0' }],
    [
      'runtimeConfig before the configuration',
      ['pci', '0000:03:00.0', 'net', 'dev0'],
      { device: 'wire0', runtimeConfig: { deviceID: '0000:03:00.0' } },
    ],
    ['runtimeConfig, auxiliary bus', ['auxiliary', 'mlx5_core.sf.4', 'net', 'dev0'], { runtimeConfig: { deviceID: 'mlx5_core.sf.4' } }],
    ['kernelpath', ['virtual', 'any'], { kernelpath: '/sys/devices/virtual' }],
  ] as const)('%s', (_, [bus, id, ...below], more) => {
    device(bus, id, ...below);
    const pciID = bus === 'pci' ? id : undefined;
    const one = world('bus', dual);
    const named = { type: 'host-device', ...more };
    const result = add(one, named);
    expect(result.interfaces?.[0]).toEqual({ name: 'eth0', mac, sandbox: one.netns, ...(pciID === undefined ? {} : { pciID }) });
    plugin.check(one.request('CHECK', named, { prevResult: result }), one.ctx);
    del(one, named);
    expectHome();
    removeNetns(one.netns);
  });
  test.each(['vfio-pci', 'uio_pci_generic', 'igb_uio'])('driven by %s: addresses, and no link is moved', (driver) => {
    const path = device('pci', '0000:03:00.0', 'net', 'dev0');
    symlinkSync(`/sys/bus/pci/drivers/${driver}`, `${path}/driver`);
    const one = world('dpdk', dual);
    const named = { type: 'host-device', pciBusID: '0000:03:00.0' };
    const prevResult = add(one, named);
    expect(prevResult.interfaces).toBeUndefined();
    expect(prevResult.ips).toEqual([{ address: '10.9.0.5/24', gateway: '10.9.0.1' }, { address: 'fd09::5/64' }]);
    plugin.check(one.request('CHECK', named, { prevResult }), one.ctx);
    del(one, named);
    expect([names(one.netns), names().sort(), one.heard]).toEqual([['lo'], ['dev0', 'lo', 'wire0'], ['ADD', 'CHECK', 'DEL']]);
    removeNetns(one.netns);
  });
});

test('what Debian’s host-device moved ours brings back, and the other way round', () => {
  const env = { ...process.env, CNI_CONTAINERID: 'both', CNI_NETNS: '/run/netns/both', CNI_IFNAME: 'eth0', CNI_PATH: '/usr/lib/cni' };
  const input = JSON.stringify({ cniVersion: '1.0.0', name: 'net1', ...conf });
  const theirs = (command: string): unknown =>
    spawnSync('/usr/lib/cni/host-device', { env: { ...env, CNI_COMMAND: command }, input, encoding: 'utf8' }).status;
  const one = world('both', dual);
  expect(theirs('ADD')).toBe(0);
  del(one, layer2);
  expectHome();
  execFileSync('ip', ['link', 'set', 'dev0', 'up']);
  add(one, layer2);
  expect(theirs('DEL')).toBe(0);
  expect(names()).toContain('dev0');
  // Theirs leaves alias and mark behind: GC, and the next ADD, take them away.
  plugin.gc(one.request('GC', layer2), one.ctx);
  expectHome();
  removeNetns(one.netns);
});
