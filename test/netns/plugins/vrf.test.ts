/** Where the kernel has VRF all of it is tested; where it has not, that it says so and leaves nothing. */
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { plugin } from '../../../cni-plugins/vrf/plugin.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import type { PluginRequest } from '../../../src/model/cni/plugin.ts';
import type { CniCommand, CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, makeExecutables } from './executable.ts';
import { globalAddresses, inNetns, linkNamed, world, type World } from './world.ts';

useHost();

let one: World;
/** The kernel has VRF devices. */
let hasVrf = false;
const sh = (script: string): string => inNetns(one.netns, 'sh', '-c', script);
const state = (): string =>
  sh('ip -o link; ip -o addr; ip route show table all; ip -6 route show table all; ip rule').replaceAll(/ state \S+|expires \S+/g, '');
beforeEach(() => {
  one = world('pod', { cniVersion: '1.1.0' });
  execFileSync('sh', ['-c', 'ip link add host0 type veth peer name eth0 netns pod; ip link set host0 up']);
  sh(
    'ip link set lo up; ip link set eth0 up; ip addr add 10.0.0.2/24 dev eth0; ip route add default via 10.0.0.1; ip -6 addr add fd01::2/64 dev eth0 nodad; ip -6 route add default via fd01::1',
  );
  hasVrf = spawnSync('ip', ['-n', 'pod', 'link', 'add', 'probe', 'type', 'vrf', 'table', '9']).status === 0;
  if (hasVrf) sh('ip link del probe');
});
afterEach(() => {
  execFileSync('ip', ['link', 'del', 'host0']);
  removeNetns(one.netns);
});
const result: CniResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'eth0', sandbox: '/run/netns/pod' }],
  ips: [{ address: '10.0.0.2/24', interface: 0 }],
};
const request = (command: CniCommand, conf: object = {}, more: Partial<PluginRequest> = {}): PluginRequest =>
  one.request(command, { type: 'vrf', ipam: undefined, vrfname: 'blue', ...conf }, { prevResult: result, ...more });
const add = (conf: object = {}, more: Partial<PluginRequest> = {}): CniResult => plugin.add(request('ADD', conf, more), one.ctx);
const del = (conf: object = {}, more: Partial<PluginRequest> = {}): void =>
  plugin.del(request('DEL', conf, { prevResult: undefined, ...more }), one.ctx);
/** Runs `act` where there is VRF; elsewhere the same must be refused by name, with nothing changed. */
function whereVrf(act: () => void): void {
  if (hasVrf) {
    act();
    return;
  }
  const before = state();
  const refusal = expect.objectContaining({ cniCode: 50, message: 'this kernel has no VRF devices (CONFIG_NET_VRF)' }) as Error;
  expect(() => add()).toThrow(refusal);
  expect(() => plugin.status(request('STATUS'), one.ctx)).toThrow(refusal);
  del();
  expect(state()).toBe(before);
}

test('the interface becomes part of the VRF with addresses and routes; DEL removes the VRF', () => {
  whereVrf(() => {
    expect(add()).toEqual(result);
    expect(linkNamed('eth0', one.netns)).toMatchObject({ master: 'blue' });
    expect(globalAddresses(linkNamed('eth0', one.netns))).toEqual(['10.0.0.2/24', 'fd01::2/64']);
    expect(sh('ip route show vrf blue')).toContain('default via 10.0.0.1 dev eth0');
    expect(sh('ip -6 route show vrf blue')).toContain('default via fd01::1 dev eth0');
    expect(sh('ip -d link show blue')).toContain('vrf table 1 ');
    plugin.check(request('CHECK'), one.ctx);
    plugin.status(request('STATUS'), one.ctx);
    for (let time = 0; time < 2; time++) del();
    expect(linkNamed('blue', one.netns)).toBeUndefined();
    expect(() => plugin.check(request('CHECK'), one.ctx)).toThrow('VRF blue is missing');
  });
});
test('a VRF that others are part of stays, and so does one that was there before', () => {
  whereVrf(() => {
    execFileSync('ip', ['link', 'add', 'host1', 'type', 'veth', 'peer', 'name', 'net1', 'netns', 'pod']);
    add({ table: 77 });
    add({ table: 77 }, { ifName: 'net1' });
    expect(() => add({ table: 78 }, { ifName: 'net1' })).toThrow(/VRF blue already exist with different routing table 77|has already a master/);
    del();
    expect(linkNamed('blue', one.netns)).toBeDefined();
    del({}, { ifName: 'net1' });
    expect(linkNamed('blue', one.netns)).toBeUndefined();
    sh('ip link add blue type vrf table 5');
    add();
    expect(() => add()).toThrow('interface eth0 has already a master set: blue');
    sh('ip link set eth0 nomaster');
    expect(() => plugin.check(request('CHECK'), one.ctx)).toThrow('Failed to find eth0 associated to vrf blue');
    del();
    expect(linkNamed('blue', one.netns)).toBeDefined();
    execFileSync('ip', ['link', 'del', 'host1']);
  });
});
test('a name that is another link’s', () => {
  whereVrf(() => {
    expect(() => add({ vrfname: 'lo' })).toThrow('Netlink lo is not a VRF');
    del({ vrfname: 'lo' });
    expect(linkNamed('lo', one.netns)).toBeDefined();
  });
});
test('a missing interface is an error of ADD and none of DEL (34)', () => {
  whereVrf(() => {
    expect(() => add({}, { ifName: 'eth7' })).toThrow('could not get link by name eth7');
    expect(linkNamed('blue', one.netns)).toBeUndefined();
    del({}, { ifName: 'eth7' });
  });
});
describe('everywhere', () => {
  test.each([
    [{ vrfname: '' }, /expected to have a valid vrf name/],
    [{ vrfname: 'much too long a name' }, /vrfname must be an interface name/],
    [{ table: -1 }, /table must be a whole number/],
  ])('refused: %j', (conf, message) =>
    expect(() => add(conf)).toThrow(expect.objectContaining({ cniCode: 7, message: expect.stringMatching(message) as string })),
  );
  test('unchained, and without namespace', () => {
    expect(() => add({}, { prevResult: undefined })).toThrow('missing prevResult from earlier plugin');
    expect(() => add({}, { netns: '/run/netns/none' })).toThrow(expect.objectContaining({ cniCode: 8 }));
  });
  test.each([{}, { netns: '' }, { netns: '/run/netns/none' }])('DEL with %j, whatever the configuration, and GC', (more) => {
    del({ vrfname: 7, table: 'x' }, more);
    del({}, more);
    plugin.gc(request('GC'), one.ctx);
  });
});
describe('as an executable', () => {
  let dir = '';
  beforeAll(() => (dir = makeExecutables('vrf')));
  afterAll(() => rmSync(dir, { recursive: true }));
  test('answers and leaves the same as in process', () => {
    const env = { CONTAINERID: 'pod', NETNS: one.netns, IFNAME: 'eth0', PATH: dir };
    const stdin = JSON.stringify({ ...request('ADD').conf, prevResult: result });
    let here: unknown;
    try {
      here = add();
    } catch (error) {
      here = { cniVersion: '1.1.0', code: 50, msg: (error as Error).message };
    }
    const inProcess = sh('ip -o -br link; ip route show table all').replaceAll(/@if\d+/g, '');
    del();
    expect(ask(join(dir, 'vrf'), { ...env, COMMAND: 'ADD' }, stdin).json).toEqual(here);
    expect(sh('ip -o -br link; ip route show table all').replaceAll(/@if\d+/g, '')).toBe(inProcess);
    expect(ask(join(dir, 'vrf'), { ...env, COMMAND: 'DEL' }, stdin)).toMatchObject({ status: 0, stdout: '' });
  });
});
