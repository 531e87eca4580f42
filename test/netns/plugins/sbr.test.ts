import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { plugin } from '../../../cni-plugins/sbr/plugin.ts';
import { tryLock } from '../../../src/host/flock.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import type { PluginRequest } from '../../../src/model/cni/plugin.ts';
import type { CniCommand, CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, askAtOnce, makeExecutables } from './executable.ts';
import { withFailing } from './failing.ts';
import { inNetns, world, type World } from './world.ts';

useHost();

let one: World;
let before: string[];
const sh = (script: string): string => inNetns(one.netns, 'sh', '-c', script);
const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
const rules = (): string[] => lines(sh('ip -4 rule; ip -6 rule')).flatMap((line) => /from (?!all)(.*?)(?: proto \d+)?$/.exec(line)?.[1] ?? []);
/** Unicast routes of every table, as ip tells them. */
const routes = (): string[] =>
  lines(sh('ip -4 route show table all; ip -6 route show table all'))
    .filter((line) => !/^(local|broadcast|multicast|anycast) |dev lo/.test(line))
    .sort();
const table = (number: number): string[] => routes().filter((line) => line.includes(` table ${number} `) || line.endsWith(` table ${number}`));

beforeEach(() => {
  one = world('pod', { cniVersion: '1.1.0' });
  execFileSync('sh', [
    '-c',
    'ip link add host0 type veth peer name eth0 netns pod; ip link add host1 type veth peer name net1 netns pod; ip link set host0 up; ip link set host1 up',
  ]);
  sh(`ip link set lo up; for i in eth0 net1; do echo 0 > /proc/sys/net/ipv6/conf/$i/accept_dad; ip link set $i up; done
      ip addr add 10.0.0.2/24 dev eth0; ip route add default via 10.0.0.1 dev eth0
      ip addr add 192.168.1.209/24 dev net1; ip route add 192.168.2.0/24 via 192.168.1.2 mtu 1300
      ip -6 addr add fd01::209/64 dev net1 nodad; ip -6 route add fd02::/64 via fd01::2`);
  before = routes();
});
afterEach(() => {
  execFileSync('sh', ['-c', 'ip link del host0; ip link del host1 2>/dev/null || :']);
  removeNetns(one.netns);
});
const v4 = { address: '192.168.1.209/24', gateway: '192.168.1.1', interface: 0 };
const v6 = { address: 'fd01::209/64', gateway: 'fd01::1', interface: 0 };
const resultOf = (...ips: NonNullable<CniResult['ips']>): CniResult => ({
  cniVersion: '1.1.0',
  interfaces: [
    { name: 'net1', sandbox: '/run/netns/pod' },
    { name: 'eth0', sandbox: '/run/netns/pod' },
  ],
  ips,
});
const both = resultOf(v4, v6);
const request = (command: CniCommand, conf: object = {}, more: Partial<PluginRequest> = {}): PluginRequest =>
  one.request(command, { type: 'sbr', ipam: undefined, ...conf }, { ifName: 'net1', prevResult: both, ...more });
const add = (conf: object = {}, more: Partial<PluginRequest> = {}): CniResult => plugin.add(request('ADD', conf, more), one.ctx);
const del = (more: Partial<PluginRequest> = {}, conf: object = {}): void =>
  plugin.del(request('DEL', conf, { prevResult: undefined, ...more }), one.ctx);

describe('ADD', () => {
  test('each address has a rule and a table with the interface’s routes; other interfaces keep theirs', () => {
    expect(add()).toEqual(both);
    expect(rules()).toEqual(['192.168.1.209 lookup 100', 'fd01::209 lookup 101']);
    expect(table(100)).toEqual([
      '192.168.1.0/24 dev net1 table 100 proto kernel scope link src 192.168.1.209',
      '192.168.2.0/24 via 192.168.1.2 dev net1 table 100 mtu 1300',
      'default via 192.168.1.1 dev net1 table 100',
    ]);
    expect(table(101).map((line) => line.replace(/ (metric|pref|proto) .*/, ''))).toEqual([
      'default via fd01::1 dev net1 table 101',
      'fd01::/64 dev net1 table 101',
      'fd02::/64 via fd01::2 dev net1 table 101',
      'fe80::/64 dev net1 table 101',
    ]);
    const main = routes().filter((line) => !line.includes(' table '));
    expect(main.filter((line) => line.includes('net1'))).toEqual([expect.stringMatching(/^fe80::\/64 /)]);
    expect(main.filter((line) => line.includes('eth0'))).toEqual(before.filter((line) => line.includes('eth0')));
    expect(sh('ip route get 8.8.8.8 from 192.168.1.209')).toContain('via 192.168.1.1 dev net1 table 100');
    expect(sh('ip route get 8.8.8.8')).toContain('via 10.0.0.1 dev eth0');
    expect(sh('ip -6 route get fd99::1 from fd01::209')).toContain('via fd01::1 dev net1');
    plugin.check(request('CHECK'), one.ctx);
  });
  test('tables in use, by a rule or a route, and those with a name of their own are passed over', () => {
    sh(
      'ip rule add from 1.2.3.4 lookup 100; ip route add 1.2.3.4/32 dev eth0 table 102; for t in $(seq 103 251); do ip rule add from 9.9.9.9 lookup $t pref $t; done',
    );
    add();
    expect(rules().filter((line) => line.startsWith('192') || line.startsWith('fd'))).toEqual(['192.168.1.209 lookup 101', 'fd01::209 lookup 256']);
  });
  test('a table of the configuration: rules only', () => {
    add({ table: 5000 });
    expect(rules()).toEqual(['192.168.1.209 lookup 5000', 'fd01::209 lookup 5000']);
    expect(routes()).toEqual(before);
    plugin.check(request('CHECK', { table: 5000 }), one.ctx);
    expect(() => plugin.check(request('CHECK', { table: 5001 }), one.ctx)).toThrow(/rule for 192.168.1.209 is missing/);
    del({}, { table: 4999 });
    del({ ifName: 'eth0' });
    del({ ifName: 'eth0' }, { table: 5000 });
    expect(rules()).toHaveLength(2);
    del({}, { table: 5000 });
    expect(rules()).toEqual([]);
    add({ table: 5000 });
    sh('ip link del net1');
    del({}, { table: 5000 });
    expect(rules()).toEqual([]);
  });
  test('gateways of the configuration win over those of the result and of routes', () => {
    sh('ip route add default via 192.168.1.7 metric 5 dev net1');
    add({ gateways: ['fd01::99', '192.168.1.99'] });
    expect([...table(100), ...table(101)].filter((line) => line.startsWith('default')).map((line) => line.split(' ')[2])).toEqual([
      '192.168.1.99',
      'fd01::99',
    ]);
  });
  test('source hints: the subnet stays reachable without a source, and gets the right one', () => {
    add({ addSourceHints: true });
    const main = routes().filter((line) => !line.includes(' table ') && line.includes('net1'));
    expect(main).toEqual([
      '192.168.1.0/24 dev net1 proto kernel scope link src 192.168.1.209',
      expect.stringMatching(/^fd01::\/64 dev net1 src fd01::209 metric 256/),
      expect.stringMatching(/^fe80::/),
    ]);
    expect(sh('ip -6 route get fd01::7')).toContain('src fd01::209');
  });
  test('addresses of one interface only, those without an index included', () => {
    add({}, { prevResult: resultOf({ address: '192.168.1.209/24' }, { address: '10.0.0.2/24', interface: 1 }) });
    expect(rules()).toEqual(['192.168.1.209 lookup 100']);
  });
});

describe('DEL', () => {
  test.each([
    ['with interface, without result', '', {}],
    ['without interface, with result', 'ip link del net1', { prevResult: both }],
    ['without interface and result', 'ip link del net1', {}],
    ['without its addresses and result', 'ip addr flush dev net1', {}],
  ])('%s, twice; rules of others stay', (_, command, more) => {
    sh('ip rule add from 10.0.0.2 lookup 77; ip rule add from 192.168.1.209 lookup 78');
    add();
    sh(command);
    for (let time = 0; time < 2; time++) del(more);
    expect(rules().sort()).toEqual(['10.0.0.2 lookup 77', '192.168.1.209 lookup 78']);
    expect(table(100)).toEqual([]);
  });
  test('another attachment of the pod keeps what it has', () => {
    add();
    const other = { ifName: 'eth0', prevResult: resultOf({ address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 1 }) };
    add({}, other);
    del();
    expect(rules()).toEqual(['10.0.0.2 lookup 102']);
    expect(table(102)).toHaveLength(2);
    plugin.check(request('CHECK', {}, other), one.ctx);
  });
  test.each([
    ['no namespace', { netns: '' }],
    ['a namespace that is gone', { netns: '/run/netns/none' }],
  ])('%s is fine, whatever the configuration', (_, more) => del(more, { gateways: 7, table: 'x' }));
  test('a namespace that is about to die is left alone', () => {
    add();
    plugin.del(request('DEL'), { ...one.ctx, netnsDies: true });
    expect(rules()).toHaveLength(2);
    plugin.gc(request('GC'), one.ctx);
    plugin.status(request('STATUS'), one.ctx);
  });
});

describe('CHECK misses', () => {
  test.each([
    ['a rule', 'ip rule del from 192.168.1.209', /rule for 192.168.1.209/],
    ['the default route', 'ip -6 route del default table 101', /default route of fd01::209 is missing from table 101/],
    ['the interface', 'ip link set net1 down; ip link set net1 name net9', /Cannot find network interface net1/],
  ])('%s', (_, command, message) => {
    add();
    sh(command);
    expect(() => plugin.check(request('CHECK'), one.ctx)).toThrow(message);
  });
});

describe('refused, with nothing changed', () => {
  test.each([
    [{ gateways: ['1.1.1.1', '::1', '2.2.2.2'] }, /cannot contain more than 2 entries/],
    [{ gateways: ['gw'] }, /invalid static gateway IP address: gw/],
    [{ gateways: ['1.1.1.1', '2.2.2.2'] }, /multiple IPv4 addresses: 1.1.1.1 and 2.2.2.2/],
    [{ table: 'x' }, /table must be a whole number/],
    [{ gateways: ['172.31.0.1'] }, /add route 0.0.0.0\/0 via 172.31.0.1/],
  ])('%j', (conf, message) => {
    expect(() => add(conf)).toThrow(message);
    expect([rules(), routes()]).toEqual([[], before]);
  });
  test('unchained, without addresses, without namespace', () => {
    expect(() => add({}, { prevResult: undefined })).toThrow('This plugin must be called as chained plugin');
    expect(() => add({}, { prevResult: resultOf() })).toThrow('No IP addresses supplied on interface: net1');
    expect(() => add({}, { netns: '/run/netns/none' })).toThrow(expect.objectContaining({ cniCode: 8 }));
  });
  test.each([
    'add rule from fd01::209',
    'add route 192.168.2.0/24',
    'add route ::/0',
    'add route fd02::/64',
    'delete route 192.168.1.0/24',
    'delete route fd01::/64',
  ])('a failure at "%s" undoes what was done', (step) => {
    withFailing(step, () => expect(() => add()).toThrow(step));
    expect([rules(), routes()]).toEqual([[], before]);
  });
});

describe('as an executable', () => {
  let dir = '';
  beforeAll(() => (dir = makeExecutables('sbr')));
  afterAll(() => rmSync(dir, { recursive: true }));
  const env = (ifName: string): Record<string, string> => ({ CONTAINERID: 'pod', NETNS: one.netns, IFNAME: ifName, PATH: dir });
  const stdin = (result: CniResult, version = '1.1.0'): string =>
    JSON.stringify({ ...request('ADD').conf, cniVersion: version, prevResult: { ...result, cniVersion: version } });
  test('leaves and answers the same as in process, and as Debian’s but for link-local routes', () => {
    const only4 = resultOf(v4);
    const here = add({}, { prevResult: only4 });
    const inProcess = [rules(), routes()];
    del();
    sh(
      'ip -6 route flush dev net1 table main proto boot; ip route add 192.168.1.0/24 dev net1 proto kernel scope link src 192.168.1.209; ip route add 192.168.2.0/24 via 192.168.1.2 mtu 1300; ip -6 route add fd02::/64 via fd01::2',
    );
    expect(routes()).toEqual(before);
    expect(ask(join(dir, 'sbr'), { ...env('net1'), COMMAND: 'ADD' }, stdin(only4)).json).toEqual(here);
    expect([rules(), routes()]).toEqual(inProcess);
    expect(ask(join(dir, 'sbr'), { ...env('net1'), COMMAND: 'DEL' }, stdin(only4))).toMatchObject({ status: 0, stdout: '' });
    expect(rules()).toEqual([]);
    sh('ip route add 192.168.1.0/24 dev net1 proto kernel scope link src 192.168.1.209; ip route add 192.168.2.0/24 via 192.168.1.2 mtu 1300');
    expect(ask('/usr/lib/cni/sbr', { ...env('net1'), COMMAND: 'ADD' }, stdin(only4, '1.0.0')).status).toBe(0);
    const v4Routes = (list: string[]): string[] => list.filter((line) => !line.includes(':'));
    expect([rules(), v4Routes(routes())]).toEqual([inProcess[0], v4Routes(inProcess[1] ?? [])]);
  });
  test('two at once do not take the same table', async () => {
    const other = resultOf({ address: '10.0.0.2/24', gateway: '10.0.0.1', interface: 1 });
    const answers = await Promise.all([
      askAtOnce(join(dir, 'sbr'), { ...env('net1'), COMMAND: 'ADD' }, stdin(both)),
      askAtOnce(join(dir, 'sbr'), { ...env('eth0'), COMMAND: 'ADD' }, stdin(other)),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([0, 0]);
    expect(new Set(rules().map((line) => line.split(' ').at(-1)))).toEqual(new Set(['100', '101', '102']));
  });
  test('a namespace that somebody has locked is waited for', async () => {
    const held = tryLock(one.netns, 'exclusive');
    const asked = askAtOnce(join(dir, 'sbr'), { ...env('net1'), COMMAND: 'ADD' }, stdin(both));
    await new Promise((done) => setTimeout(done, 600));
    expect(rules()).toEqual([]);
    held?.release();
    expect((await asked).status).toBe(0);
    expect(rules()).toHaveLength(2);
  });
});
