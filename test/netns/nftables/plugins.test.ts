/** portmap and firewall as plugins: what they write, find missing, remove; without packets (packets.test.ts has those). */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { plugin as firewall } from '../../../cni-plugins/firewall/plugin.ts';
import { plugin as portmap } from '../../../cni-plugins/portmap/plugin.ts';
import { checkMasquerade, ensureMasquerade, gcMasquerade, removeMasquerade } from '../../../cni-plugins/skel/masquerade.ts';
import { elementsOf } from '../../../src/host/nftables/table.ts';
import { setNames } from '../../../src/model/ruleset.ts';
import { context, request, resultOf } from './request.ts';
import type { PluginNote } from '../../../src/model/cni/plugin.ts';
import { cidr } from '../../rig/addresses.ts';

useHost();
beforeEach(() => {
  execFileSync('sh', [
    '-c',
    'ip link add br0 type bridge; ip addr add 10.88.0.1/24 dev br0; ip link set br0 up; ip link add br1 type bridge; ip addr add 10.89.0.1/24 dev br1; ip link set br1 up',
  ]);
});
afterEach(() => {
  execFileSync('sh', ['-c', 'ip link del br0; ip link del br1; nft flush ruleset']);
});
const nobody = context([]);
const ports = { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } };
const comments = (): string[] => [...new Set(setNames.flatMap(elementsOf).map((element) => element.comment))].sort();
const tables = (): string => execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });

describe('portmap', () => {
  test('without mappings passes the result through and touches nothing', () => {
    expect(portmap.add(request('ADD', 'p1'), nobody)).toEqual(resultOf('p1'));
    portmap.check(request('CHECK', 'p1'), nobody);
    expect(tables()).toBe('');
  });
  test('unchained is an error', () => {
    expect(() => portmap.add({ ...request('ADD', 'p1', ports), prevResult: undefined }, nobody)).toThrow('must be called as chained plugin');
  });
  test('CHECK fails once an element is gone; DEL is idempotent, with and without result, and after the table went', () => {
    portmap.add(request('ADD', 'p1', ports), nobody);
    portmap.check(request('CHECK', 'p1', ports), nobody);
    execFileSync('nft', ['delete', 'element', 'inet', 'rkt', 'ports4', '{ tcp . 8080 }']);
    expect(() => portmap.check(request('CHECK', 'p1', ports), nobody)).toThrow(
      'host port 8080/tcp of net/p1/eth0 is missing from ports4 of table inet rkt',
    );
    portmap.del({ ...request('DEL', 'p1', ports), prevResult: resultOf('p1') }, nobody);
    expect(comments()).toEqual([]);
    portmap.del(request('DEL', 'p1'), nobody);
    execFileSync('nft', ['flush', 'ruleset']);
    portmap.del({ ...request('DEL', 'p1', ports), prevResult: resultOf('p1') }, nobody);
    expect(tables()).toBe('');
  });
  test('DEL with settings that ADD would refuse still removes', () => {
    portmap.add(request('ADD', 'p1', ports), nobody);
    portmap.del({ ...request('DEL', 'p1', { ...ports, backend: 'gone', conditionsV4: ['x'] }), prevResult: resultOf('p1') }, nobody);
    expect(comments()).toEqual([]);
  });
  test('DEL of one network leaves the ports of the other', () => {
    portmap.add(request('ADD', 'p1', ports), nobody);
    const other = {
      ...request('ADD', 'p1', { runtimeConfig: { portMappings: [{ hostPort: 8081, containerPort: 80, protocol: 'tcp' }] }, name: 'other' }),
      prevResult: resultOf('q1'),
    };
    portmap.add(other, nobody);
    portmap.del({ ...other, command: 'DEL' }, nobody);
    portmap.check(request('CHECK', 'p1', ports), nobody);
    expect(comments()).toEqual(['net/p1/eth0']);
  });
  test('a taken port names its holder and leaves nothing', () => {
    portmap.add(request('ADD', 'p1', ports), nobody);
    const wanted = {
      runtimeConfig: {
        portMappings: [
          { hostPort: 9090, containerPort: 80, protocol: 'udp' },
          { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
        ],
      },
    };
    expect(() => portmap.add(request('ADD', 'q1', wanted), nobody)).toThrow(
      expect.objectContaining({ cniCode: 100, message: 'host port 8080/tcp is already published by net/p1/eth0' }),
    );
    expect(comments()).toEqual(['net/p1/eth0']);
  });
  test('another network of the same container may ask for a port it has: noted, left where it is, in CHECK and repair as well', () => {
    portmap.add(request('ADD', 'p1', ports), nobody);
    const more = [...ports.runtimeConfig.portMappings, { hostPort: 9090, containerPort: 90, protocol: 'udp' }];
    const joined = resultOf('q1');
    const secondResult = { ...joined, interfaces: joined.interfaces?.map((one) => (one.name === 'eth0' ? { ...one, name: 'eth1' } : one)) ?? [] };
    const second = { ...request('ADD', 'p1', { runtimeConfig: { portMappings: more }, name: 'other' }), ifName: 'eth1', prevResult: secondResult };
    const notes: PluginNote[] = [];
    portmap.add(second, context(notes));
    expect(notes.filter(({ what }) => what === 'port').map(({ detail }) => detail)).toEqual(
      ['', ''].map(() => 'host port 8080/tcp leads to this container already, published by net/p1/eth0'),
    );
    expect(comments()).toEqual(['net/p1/eth0', 'other/p1/eth1']);
    portmap.check({ ...second, command: 'CHECK' }, nobody);
    expect(portmap.repair?.(second, nobody, true)).toEqual([]);
    // The port of its own is looked for, and a port that somebody else has meanwhile is missed.
    execFileSync('nft', ['flush', 'map', 'inet', 'rkt', 'ports4']);
    expect(() => portmap.check({ ...second, command: 'CHECK' }, nobody)).toThrow(/host port (8080|9090)/);
    portmap.del({ ...request('DEL', 'p1', ports), prevResult: resultOf('p1') }, nobody);
    expect(portmap.repair?.(second, nobody, true)).not.toEqual([]);
    portmap.check({ ...second, command: 'CHECK' }, nobody);
    portmap.del({ ...second, command: 'DEL' }, nobody);
    expect(comments()).toEqual([]);
  });
  test('the same host port twice in one pod is refused', () => {
    const wanted = {
      runtimeConfig: {
        portMappings: [
          { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
          { hostPort: 8080, containerPort: 81, protocol: 'tcp', hostIP: '0.0.0.0' },
        ],
      },
    };
    expect(() => portmap.add(request('ADD', 'p1', wanted), nobody)).toThrow('host port 8080/tcp is mapped twice');
    expect(tables()).toBe('');
  });
  test('an ADD that cannot finish takes its elements back', () => {
    execFileSync('ip', ['addr', 'flush', 'dev', 'br0']);
    expect(() => portmap.add(request('ADD', 'p1', ports), nobody)).toThrow(/no route to the pod's address 10.88.0.2/);
    expect(comments()).toEqual([]);
  });
  test('GC removes what is not valid, of this network only, and the table with the last element', () => {
    portmap.add(request('ADD', 'p1', ports), nobody);
    const q1 = { runtimeConfig: { portMappings: [{ hostPort: 8081, containerPort: 80, protocol: 'tcp' }] } };
    portmap.add(request('ADD', 'q1', q1), nobody);
    portmap.gc({ ...request('GC', ''), conf: { name: 'ne', cniVersion: '1.1.0', type: 'portmap' } }, nobody);
    expect(comments()).toEqual(['net/p1/eth0', 'net/q1/eth0']);
    portmap.gc(
      request('GC', '', {}, [
        { containerID: 'p1', ifname: 'eth0' },
        { containerID: 'q1', ifname: 'eth1' },
      ]),
      nobody,
    );
    expect(comments()).toEqual(['net/p1/eth0']);
    portmap.gc(request('GC', ''), nobody);
    expect(tables()).toBe('');
    portmap.gc(request('GC', ''), nobody);
  });
  test('STATUS is fine where nftables is', () => portmap.status(request('STATUS', ''), nobody));
});

describe('firewall', () => {
  test('CHECK, DEL, GC', () => {
    expect(firewall.add(request('ADD', 'p1', { ingressPolicy: 'same-bridge' }), nobody)).toEqual(resultOf('p1'));
    firewall.check(request('CHECK', 'p1', { ingressPolicy: 'same-bridge' }), nobody);
    execFileSync('nft', ['flush', 'set', 'inet', 'rkt', 'closed6']);
    expect(() => firewall.check(request('CHECK', 'p1', { ingressPolicy: 'same-bridge' }), nobody)).toThrow(
      'net/p1/eth0 is missing from closed6 of table inet rkt',
    );
    firewall.del(request('DEL', 'p1'), nobody);
    firewall.del(request('DEL', 'p1'), nobody);
    expect(comments()).toEqual([]);
    firewall.add(request('ADD', 'p1'), nobody);
    firewall.gc(request('GC', ''), nobody);
    expect(tables()).toBe('');
  });
  test('backends of others are accepted and noted; unknown ones and policies are not', () => {
    const notes: { what: string; detail: string }[] = [];
    firewall.add(request('ADD', 'p1', { backend: 'firewalld', FirewalldZone: 'trusted' }), context(notes));
    expect(notes.map((note) => note.what)).toEqual(['backend', 'firewalldZone']);
    expect(() => firewall.add(request('ADD', 'p1', { backend: 'ufw' }), nobody)).toThrow('unrecognized firewall backend type: "ufw"');
    expect(() => firewall.add(request('ADD', 'p1', { ingressPolicy: 'closed' }), nobody)).toThrow('unknown ingress policy: "closed"');
    expect(() => firewall.add({ ...request('ADD', 'p1'), prevResult: undefined }, nobody)).toThrow('missing prevResult from earlier plugin');
  });
  test('a pod whose address an older pod had: the old one’s late DEL does not open or close anything', () => {
    firewall.add(request('ADD', 'p1', { ingressPolicy: 'isolated' }), nobody);
    const heir = { ...request('ADD', 'p1', { ingressPolicy: 'isolated' }), containerId: 'heir' };
    firewall.add(heir, nobody);
    firewall.del({ ...request('DEL', 'p1'), prevResult: resultOf('p1') }, nobody);
    firewall.check({ ...heir, command: 'CHECK' }, nobody);
    expect(comments()).toEqual(['net/heir/eth0']);
  });
});

describe('masquerade for interface plugins', () => {
  const key = (containerId: string) => ({ network: 'net', containerId, ifName: 'eth0' });
  test('ensure, check, remove, gc; each twice', () => {
    const addresses = [cidr('10.88.0.2/24'), cidr('fd88::2/64')];
    for (let round = 0; round < 2; round++) ensureMasquerade(key('a'), addresses);
    ensureMasquerade(key('b'), [cidr('10.88.0.3/24')]);
    checkMasquerade(key('a'), addresses);
    expect(() => checkMasquerade(key('b'), addresses)).toThrow(/masquerade of net\/b\/eth0 is missing from set masq4/);
    for (let round = 0; round < 2; round++) removeMasquerade(key('a'));
    expect(comments()).toEqual(['net/b/eth0']);
    for (let round = 0; round < 2; round++) gcMasquerade('net', []);
    expect(comments()).toEqual([]);
    expect(tables()).toBe('');
    expect(() => removeMasquerade(key('a'), addresses)).not.toThrow();
  });
});
