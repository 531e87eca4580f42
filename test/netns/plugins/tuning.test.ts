import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { plugin } from '../../../cni-plugins/tuning/plugin.ts';
import { removeNetns } from '../../../src/host/netns.ts';
import type { PluginRequest } from '../../../src/model/cni/plugin.ts';
import type { CniCommand, CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, makeExecutables } from './executable.ts';
import { withFailing } from './failing.ts';
import { inNetns, linkNamed, world, type World } from './world.ts';

useHost();

const kept = '/run/cni/tuning';
const file = join(kept, 'pod_eth0.json');
let one: World;
let before: ReturnType<typeof look>;
const in_ = (...command: string[]): string => inNetns(one.netns, ...command);
const sysctl = (key: string): string => in_('cat', `/proc/sys/${key}`).trim();
/** What tuning can change, as ip and cat see it. */
const look = () => {
  const script = 'ip -o link show eth0; cd /proc/sys/net; cat core/somaxconn ipv4/conf/eth0/arp_filter ipv4/tcp_rmem';
  const [link = '', somaxconn, filter, rmem] = in_('sh', '-c', script).trim().split('\n');
  return { link: link.replaceAll(/^\d+: |@if\d+/g, ''), somaxconn, filter, rmem };
};
beforeEach(() => {
  one = world('pod', { cniVersion: '1.1.0' });
  execFileSync('ip', ['link', 'add', 'host0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'pod']);
  in_('ip', 'link', 'set', 'eth0', 'up', 'address', '02:00:00:00:00:01');
  before = look();
});
afterEach(() => {
  execFileSync('ip', ['link', 'del', 'host0']);
  removeNetns(one.netns);
});
const result: CniResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'host0' }, { name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/pod' }],
};
const request = (command: CniCommand, conf: object, more: Partial<PluginRequest> = {}): PluginRequest =>
  one.request(command, { type: 'tuning', ipam: undefined, ...conf }, { prevResult: result, ...more });
const add = (conf: object, more: Partial<PluginRequest> = {}): CniResult => plugin.add(request('ADD', conf, more), one.ctx);
const del = (more: Partial<PluginRequest> = {}, conf: object = {}): void =>
  plugin.del(request('DEL', conf, { prevResult: undefined, ...more }), one.ctx);
const check = (conf: object, more: Partial<PluginRequest> = {}): void => plugin.check(request('CHECK', conf, more), one.ctx);

const everything = {
  sysctl: { 'net.core.somaxconn': '500', 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net/ipv4/tcp_rmem': '4096 87380 1000000' },
  mac: 'C2-B0-57-49-47-F1',
  promisc: true,
  mtu: 1454,
  allmulti: true,
  txQLen: 77,
};

describe('ADD and DEL', () => {
  test('every setting; DEL puts every one back, twice without complaint', () => {
    expect(add(everything)).toEqual({
      ...result,
      interfaces: [{ name: 'host0' }, { name: 'eth0', mac: 'c2:b0:57:49:47:f1', sandbox: '/run/netns/pod' }],
    });
    expect(look().link).toMatch(/PROMISC.* mtu 1454 .*qlen 77.*c2:b0:57:49:47:f1/);
    expect(look().link).toContain('ALLMULTI');
    expect(look()).toMatchObject({ somaxconn: '500', filter: '1', rmem: '4096\t87380\t1000000' });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      mac: '02:00:00:00:00:01',
      promisc: false,
      mtu: 1500,
      allmulti: false,
      txQLen: 1000,
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    check(everything);
    for (let time = 0; time < 2; time++) del();
    expect(look()).toEqual(before);
    expect(readdirSync(kept)).toEqual([]);
  });
  test('nothing configured, nothing kept', () => {
    expect(add({ promisc: false, mtu: 0, mac: '' })).toEqual(result);
    expect(look()).toEqual(before);
    expect(readdirSync(kept)).toEqual([]);
  });
  test.each([
    [{ mac: '02:00:00:00:00:0a' }, 'a'],
    [{ mac: '02:00:00:00:00:0a', args: 'MAC' }, 'b'],
    [{ mac: '02:00:00:00:00:0a', args: 'MAC', runtimeConfig: { mac: '02:00:00:00:00:0c' } }, 'c'],
    [{ runtimeConfig: { mac: '02:00:00:00:00:0c' }, args: { cni: { mac: '0200.0000.000d' } } }, 'd'],
  ])('MAC: configuration < CNI_ARGS < runtimeConfig < args: %j', (conf, last) => {
    const { args, ...rest } = conf as { args?: unknown };
    const more = args === 'MAC' ? { args: new Map([['MAC', '02:00:00:00:00:0b']]) } : {};
    expect(add({ ...rest, ...(typeof args === 'object' ? { args } : {}) }, more).interfaces?.[1]?.mac).toBe(`02:00:00:00:00:0${last}`);
    expect(linkNamed('eth0', one.netns)?.address).toBe(`02:00:00:00:00:0${last}`);
    del();
    expect(look()).toEqual(before);
  });
  test('args.cni wins over the configuration, setting by setting', () => {
    add({
      mtu: 1300,
      promisc: true,
      sysctl: { 'net.core.somaxconn': '500' },
      args: { cni: { mtu: 1301, promisc: false, allmulti: true, txQLen: 5, sysctl: { 'net.core.somaxconn': '501' } } },
    });
    expect(look().link).toMatch(/mtu 1301.*qlen 5/);
    expect(look().link).not.toContain('PROMISC');
    expect(look().somaxconn).toBe('501');
    del();
    expect(look()).toEqual(before);
  });
  test('a setting that somebody changed meanwhile is left to them', () => {
    add({ sysctl: { 'net.core.somaxconn': '500' }, mtu: 1400 });
    in_('sh', '-c', 'echo 600 > /proc/sys/net/core/somaxconn');
    del();
    expect(look()).toEqual({ ...before, somaxconn: '600' });
  });
  test.each([
    ['without namespace', { netns: '' }],
    ['with a namespace that is gone', { netns: '/run/netns/none' }],
  ])('DEL %s forgets what was kept', (_, more) => {
    add({ mtu: 1400 });
    del(more, { sysctl: { 'net.core.somaxconn': 7 }, mac: 5 });
    expect(readdirSync(kept)).toEqual([]);
  });
  test('DEL without the link, with a damaged file, and in a dying namespace', () => {
    add({ mtu: 1400 });
    in_('ip', 'link', 'set', 'eth0', 'down', 'name', 'eth9');
    del();
    expect(readdirSync(kept)).toEqual([]);
    in_('ip', 'link', 'set', 'eth9', 'name', 'eth0');
    writeFileSync(file, '{"mtu": 14');
    del();
    expect(one.notes).toEqual([{ what: 'restore', detail: expect.any(String) }]);
    add({ mtu: 1401 });
    plugin.del(request('DEL', {}), { ...one.ctx, netnsDies: true });
    expect(look().link).toContain('mtu 1401');
    expect(readdirSync(kept)).toEqual([]);
  });
  test('what the reference saved is put back', () => {
    writeFileSync(file, JSON.stringify({ mac: '02:00:00:00:00:09', promisc: true, mtu: 1300, allmulti: true }));
    del();
    expect(look().link).toMatch(/ALLMULTI,PROMISC|PROMISC.*ALLMULTI/);
    expect(look().link).toMatch(/mtu 1300 .*02:00:00:00:00:09/);
  });
  test('a file of that name that belongs to another attachment is neither used nor lost', () => {
    const other = { containerId: 'a_b', ifName: 'c' };
    in_('ip', 'link', 'set', 'eth0', 'name', 'b_c');
    const conf = { mtu: 1400 };
    add(conf, { ifName: 'b_c', containerId: 'a' });
    del(other);
    expect(readdirSync(kept)).toEqual(['a_b_c.json']);
    expect(() => add({ sysctl: { 'net.core.somaxconn': '1' } }, other)).toThrow(/in the file of net1\/a\/b_c/);
    del({ ifName: 'b_c', containerId: 'a' });
    in_('ip', 'link', 'set', 'b_c', 'name', 'eth0');
    expect(look()).toEqual(before);
  });
  test('an interface whose name is a replacement pattern', () => {
    in_('ip', 'link', 'set', 'eth0', 'down', 'name', '$&.1');
    add({ sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1' } }, { ifName: '$&.1' });
    expect(sysctl('net/ipv4/conf/$&.1/arp_filter')).toBe('1');
    del({ ifName: '$&.1' });
    in_('ip', 'link', 'set', '$&.1', 'name', 'eth0');
  });
  test('GC forgets what is not valid of its own network', () => {
    add({ mtu: 1400 });
    writeFileSync(join(kept, 'old_eth0.json'), '{"mtu":1}');
    writeFileSync(join(kept, 'bad_eth0.json'), '{"mt');
    const gc = (more: Partial<PluginRequest>, conf = {}): void =>
      plugin.gc(request('GC', conf, { containerId: '', netns: '', ifName: '', ...more }), one.ctx);
    gc({ validAttachments: [{ containerID: 'pod', ifname: 'eth0' }] });
    gc({}, { name: 'net' });
    expect(readdirSync(kept)).toHaveLength(3);
    gc({});
    expect(readdirSync(kept).sort()).toEqual(['bad_eth0.json', 'old_eth0.json']);
    gc({}, { dataDir: '/run/nowhere' });
    for (const name of readdirSync(kept)) rmSync(join(kept, name));
  });
});

describe('refused, with nothing changed or kept', () => {
  test.each([
    [{ sysctl: { 'kernel.core_pattern': '|/x' } }, /invalid net sysctl key: "kernel.core_pattern"/, 7],
    [{ sysctl: { 'net/../kernel/core_pattern': 'x' } }, /invalid net sysctl key/, 7],
    [{ sysctl: { 'net....kernel': 'x' } }, /invalid net sysctl key/, 7],
    [{ sysctl: { net: 'x' } }, /invalid net sysctl key/, 7],
    [{ sysctl: { 'net.core.somaxconn': 500 } }, /sysctl.net.core.somaxconn must be a string/, 7],
    [{ sysctl: { 'net.core.somaxconn': '1', 'net/core/somaxconn': '2' } }, /the same setting/, 7],
    [{ mac: 'aa:bb' }, /invalid args aa:bb for MAC addr/, 7],
    [{ mac: '01:00:00:00:00:01' }, /group address/, 7],
    [{ mtu: -1 }, /mtu must be a whole number/, 7],
    [{ dataDir: 'run' }, /dataDir must be an absolute path/, 7],
    [{ sysctl: { 'net.core.somaxconn': '500', 'net.ipv4.nothing': '1' } }, /cannot set sysctl net.ipv4.nothing/, 5],
    [{ sysctl: { 'net.core.somaxconn': '500', 'net.ipv4.tcp_rmem': 'many' } }, /cannot set sysctl net.ipv4.tcp_rmem to "many"/, 5],
    [{ sysctl: { 'net.core.somaxconn': '500' }, mtu: 70_000 }, /set MTU 70000/, undefined],
    [{ dataDir: '/proc/none', mtu: 1400 }, /cannot save old values/, 5],
  ])('%j', (conf, message, cniCode) => {
    expect(() => add(conf)).toThrow(
      expect.objectContaining({ message: expect.stringMatching(message) as string, ...(cniCode === undefined ? {} : { cniCode }) }),
    );
    expect(look()).toEqual(before);
    expect(readdirSync(kept)).toEqual([]);
  });
  test('unchained; no namespace; no interface', () => {
    expect(() => add({}, { prevResult: undefined })).toThrow('Required prevResult missing');
    expect(() => add({}, { netns: '/run/netns/none' })).toThrow(expect.objectContaining({ cniCode: 8 }));
    expect(() => add({ mtu: 1400 }, { ifName: 'eth7' })).toThrow('failed to get "eth7"');
  });
  test('a refusal half-way puts all of it back', () => {
    withFailing('set all-multicast', () => expect(() => add(everything)).toThrow('set all-multicast'));
    expect(look()).toEqual(before);
    expect(readdirSync(kept)).toEqual([]);
  });
  test('a key that is there twice, which no decoded object shows', () => {
    const text = '{"sysctl":{"net.core.somaxconn":"1","net.core.somaxconn":"2"}}';
    expect(() => add(JSON.parse(text) as object, { confText: text })).toThrow(/duplicated sysctl keys are not allowed: "net.core.somaxconn"/);
    const nested = '{"args":{"CNI":{"x":1,"x":2,"sysctl":{"net.a":"1","net.a":"1"}}}}';
    expect(() => add({}, { confText: nested })).toThrow(/"net.a"/);
    expect(add({}, { confText: '{"args":{"cni":{"x":1,"x":2}},"x":1,"x":2}' })).toEqual(result);
  });
});

describe('CHECK', () => {
  test.each([
    ['mac', 'ip link set eth0 address 02:00:00:00:00:77', /Ethernet of eth0/],
    ['promisc', 'ip link set eth0 promisc off', /promisc of eth0/],
    ['mtu', 'ip link set eth0 mtu 1300', /MTU of eth0/],
    ['allmulti', 'ip link set eth0 allmulticast off', /all-multicast/],
    ['txQLen', 'ip link set eth0 txqueuelen 9', /queue length/],
    ['sysctl', 'echo 1 > /proc/sys/net/core/somaxconn', /somaxconn is 500, current value is 1/],
    ['the interface', 'ip link set eth0 down; ip link set eth0 name eth5', /failed to get "eth0"/],
  ])('sees a change of %s', (_, command, message) => {
    add(everything);
    in_('sh', '-c', command);
    expect(() => check(everything)).toThrow(message);
    del();
  });
  test('a MAC that a later plugin chose, and promiscuous mode that nobody asked us for, are no faults (32)', () => {
    add({ mac: '02:00:00:00:00:0a' });
    in_('ip', 'link', 'set', 'eth0', 'address', '02:00:00:00:00:0b', 'promisc', 'on');
    check({ mac: '02:00:00:00:00:0a' }, { prevResult: { ...result, interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:0B', sandbox: one.netns }] } });
    del();
  });
});

describe('the allowlist', () => {
  beforeEach(() => {
    execFileSync('mount', ['-t', 'tmpfs', 'none', '/etc/cni']);
    mkdirSync('/etc/cni/tuning');
  });
  afterEach(() => {
    execFileSync('umount', ['/etc/cni']);
  });
  const allow = (...lines: string[]): void => writeFileSync('/etc/cni/tuning/allowlist.conf', lines.join('\n'));
  test('keys are matched as written; what is not on it is refused, all of it named', () => {
    allow('', ' ^net\\.ipv4\\.conf\\.IFNAME\\.[a-z_]*$ ', '^net.core.somaxconn$');
    add({ sysctl: { 'net.ipv4.conf.IFNAME.arp_filter': '1', 'net.core.somaxconn': '500' } });
    del();
    expect(() => add({ sysctl: { 'net.ipv4.conf.eth0.arp_filter': '1', 'net.ipv4.ip_forward': '1', 'net.core.somaxconn': '500' } })).toThrow(
      /^Sysctl net.ipv4.conf.eth0.arp_filter, net.ipv4.ip_forward is not allowed/,
    );
    expect(look()).toEqual(before);
    allow();
    expect(() => add({ sysctl: { 'net.core.somaxconn': '500' } })).toThrow(/is not allowed/);
    plugin.status(request('STATUS', {}), one.ctx);
  });
  test('a line that is no expression refuses everything, and STATUS says so', () => {
    allow('net.*', '[[:alpha:]]');
    expect(() => add({ sysctl: { 'net.core.somaxconn': '500' } })).toThrow(/is not understood/);
    expect(() => plugin.status(request('STATUS', {}), one.ctx)).toThrow(expect.objectContaining({ cniCode: 50 }));
    expect(look()).toEqual(before);
  });
});

describe('as an executable', () => {
  let dir = '';
  beforeAll(() => (dir = makeExecutables('tuning')));
  afterAll(() => rmSync(dir, { recursive: true }));
  test('leaves, keeps and answers the same as in process; DEL of the one undoes ADD of the other', () => {
    const here = add(everything);
    const [inProcess, keptHere] = [look(), readFileSync(file, 'utf8')];
    del();
    const { sysctl: settings, ...attributes } = everything;
    const stdin = JSON.stringify({ ...request('ADD', { ...attributes, sysctl: settings }).conf, prevResult: result });
    const env = { CONTAINERID: 'pod', NETNS: one.netns, IFNAME: 'eth0', PATH: dir };
    const there = ask(join(dir, 'tuning'), { ...env, COMMAND: 'ADD' }, stdin);
    expect(there.json).toEqual(here);
    expect(look()).toEqual(inProcess);
    expect(readFileSync(file, 'utf8')).toBe(keptHere);
    expect(ask(join(dir, 'tuning'), { ...env, COMMAND: 'CHECK' }, stdin)).toMatchObject({ status: 0, stdout: '' });
    del();
    expect(look()).toEqual(before);
    add(everything);
    expect(ask(join(dir, 'tuning'), { ...env, COMMAND: 'DEL' }, stdin)).toMatchObject({ status: 0, stdout: '' });
    expect(look()).toEqual(before);
    const twice = stdin.replace('"net.core.somaxconn":"500"', '"net.core.somaxconn":"500","net.core.somaxconn":"501"');
    expect(ask(join(dir, 'tuning'), { ...env, COMMAND: 'ADD' }, twice).json).toMatchObject({
      code: 7,
      msg: expect.stringContaining('duplicated sysctl keys') as string,
    });
  });
  test('Debian’s tuning makes the same of an interface, and ours undoes it', () => {
    const attributes = { mac: 'c2:b0:57:49:47:f1', promisc: true, mtu: 1454, allmulti: true, sysctl: { 'net.core.somaxconn': '500' } };
    add(attributes);
    const ours = look();
    del();
    const stdin = JSON.stringify({ ...request('ADD', attributes).conf, cniVersion: '1.0.0', prevResult: { ...result, cniVersion: '1.0.0' } });
    expect(ask('/usr/lib/cni/tuning', { CONTAINERID: 'pod', NETNS: one.netns, IFNAME: 'eth0', PATH: dir, COMMAND: 'ADD' }, stdin).status).toBe(0);
    expect(look()).toEqual(ours);
    del();
    expect(look()).toEqual({ ...before, somaxconn: '500' });
  });
});
