/** The name server as an executable and in process; its life through the verbs. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plugin } from '../../../cni-plugins/dnsname/plugin.ts';
import { sleepMs } from '../../../src/host/clock.ts';
import type { CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, makeExecutables } from './executable.ts';
import { ip, world, type World } from './world.ts';
import { removeNetns } from '../../../src/host/netns.ts';

useHost();
let dir = '';
beforeAll(() => {
  dir = makeExecutables('dnsname');
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const prevResult = (host: number): CniResult => ({
  cniVersion: '1.1.0',
  interfaces: [{ name: 'dns0' }, { name: 'veth1' }, { name: 'eth0', sandbox: '/run/netns/x' }],
  ips: [{ address: `10.71.0.${host}/24`, gateway: '10.71.0.1', interface: 2 }],
  dns: { search: ['corp.example'], options: ['ndots:1'] },
});
const conf = (...names: string[]): object => ({ type: 'dnsname', ipam: undefined, args: { cni: { names } } });
const hosts = (): Record<string, string> =>
  Object.fromEntries(readdirSync('/run/rkt/dns/net1/hosts').map((name) => [name, readFileSync(`/run/rkt/dns/net1/hosts/${name}`, 'utf8')]));
const lookUp = (name: string): string => {
  try {
    return execFileSync('busybox', ['nslookup', name, '10.71.0.1'], { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
};
/** The server hears of names by a signal and by its directory, and reads them when it gets to it: within two seconds they are as they should be. */
const untilKnown = (name: string, answer: RegExp): void => {
  for (const deadline = performance.now() + 2_000; !answer.test(lookUp(name)) && performance.now() < deadline;) sleepMs(20);
  expect(lookUp(name)).toMatch(answer);
};
const untilUnknown = (name: string): void => {
  for (const deadline = performance.now() + 2_000; lookUp(name).includes('Name:') && performance.now() < deadline;) sleepMs(20);
  expect(lookUp(name)).not.toContain('Name:');
};
const withBridge = (work: (one: World) => void): void => {
  ip('link', 'add', 'dns0', 'type', 'bridge');
  ip('addr', 'add', '10.71.0.1/24', 'dev', 'dns0');
  ip('link', 'set', 'dns0', 'up');
  const one = world('pod1', { cniVersion: '1.1.0' });
  try {
    work(one);
  } finally {
    removeNetns(one.netns);
    ip('link', 'del', 'dns0');
  }
};

describe('in process', () => {
  test('ADD publishes and passes the result on; a second pod; DEL of each; nothing is left', () => {
    withBridge((one) => {
      const first = one.request('ADD', conf('web', 'Web', 'bad name'), { prevResult: prevResult(2) });
      expect(plugin.add(first, one.ctx)).toEqual({
        ...prevResult(2),
        dns: { nameservers: ['10.71.0.1'], search: ['rkt.internal', 'corp.example'], options: ['ndots:1'] },
      });
      expect(one.notes).toEqual([{ what: 'name', detail: '"bad name" is no host name and is left out' }]);
      plugin.add(first, one.ctx);
      const second = { ...first, containerId: 'pod2', prevResult: prevResult(3), args: new Map([['K8S_POD_NAME', 'db-0']]) };
      plugin.add({ ...second, conf: { ...second.conf, args: {}, runtimeConfig: { aliases: { net1: ['db', 'db.prod'] } } } }, one.ctx);
      expect(hosts()).toEqual({ 'pod1,eth0': '10.71.0.2 web\n', 'pod2,eth0': '10.71.0.3 db-0 db db.prod\n' });
      for (const name of ['web.rkt.internal', 'db.prod', 'db-0']) untilKnown(name, /10\.71\.0\.[23]/);
      plugin.del(first, one.ctx);
      untilUnknown('web.rkt.internal');
      plugin.del(second, one.ctx);
      plugin.del(second, one.ctx);
      expect(existsSync('/run/rkt')).toBe(false);
    });
  });
  test('settings that changed reach the running server; CHECK and repair see what is missing', () => {
    withBridge((one) => {
      const req = one.request('ADD', conf('web'), { prevResult: prevResult(2) });
      plugin.add(req, one.ctx);
      const other = { ...req, conf: { ...req.conf, domainName: 'new.internal' } };
      plugin.check(req, one.ctx);
      expect(() => plugin.check(other, one.ctx)).toThrow(/name server/);
      plugin.add(other, one.ctx);
      untilKnown('web.new.internal', /10\.71\.0\.2/);
      rmSync('/run/rkt/dns/net1/hosts/pod1,eth0');
      expect(plugin.repair?.(other, one.ctx, false)).toEqual(['the names of the pod in the name server']);
      expect(plugin.repair?.(other, one.ctx, true)).toHaveLength(1);
      expect(plugin.repair?.(other, one.ctx, true)).toEqual([]);
      plugin.gc(one.request('GC', {}, { validAttachments: [{ containerID: 'pod1', ifname: 'eth0' }] }), one.ctx);
      expect(hosts()).toHaveProperty('pod1,eth0');
      plugin.gc(one.request('GC', {}), one.ctx);
      expect(existsSync('/run/rkt')).toBe(false);
    });
  });
  test('an ADD that fails leaves nothing: no gateway; an address that is nobody’s to listen on is waited for', () => {
    withBridge((one) => {
      const { dns: _none, ...bare } = prevResult(2);
      const without = { ...bare, ips: [{ address: '10.71.0.2/24' }] };
      expect(() => plugin.add(one.request('ADD', conf('web'), { prevResult: without }), one.ctx)).toThrow(/needs a gateway/);
      const wrong = one.request('ADD', { ...conf('web'), remoteServers: ['nonsense'] }, { prevResult: prevResult(2) });
      expect(() => plugin.add(wrong, one.ctx)).toThrow(/is not an IP address/);
      expect(existsSync('/run/rkt')).toBe(false);
      plugin.del(wrong, one.ctx);
    });
  });
});

test('the executable leaves the same files, result and server', () => {
  withBridge((one) => {
    const stdin = (verb: string): string =>
      JSON.stringify({ ...conf('web'), name: 'net1', cniVersion: '1.1.0', ...(verb === 'DEL' ? {} : { prevResult: prevResult(2) }) });
    const call = (verb: string) =>
      ask(`${dir}/dnsname`, { COMMAND: verb, CONTAINERID: 'pod1', NETNS: one.netns, IFNAME: 'eth0', PATH: dir }, stdin(verb));
    const files = () => {
      untilKnown('web.rkt.internal', /10\.71\.0\.2/);
      return { hosts: hosts(), conf: readFileSync('/run/rkt/dns/net1/dnsmasq.conf', 'utf8'), answer: lookUp('web.rkt.internal') };
    };
    const added = call('ADD');
    expect(added.status, added.stdout).toBe(0);
    const outside = files();
    expect(call('CHECK').status).toBe(0);
    expect(call('DEL').status).toBe(0);
    expect(existsSync('/run/rkt')).toBe(false);
    const req = one.request('ADD', conf('web'), { prevResult: prevResult(2) });
    const result = plugin.add(req, one.ctx);
    expect(added.json).toEqual(JSON.parse(JSON.stringify(result)));
    expect(files()).toEqual(outside);
    plugin.del(req, one.ctx);
  });
});
