/** R1-R40 and where libcni differs: the life of an attachment as plugins see it. @see cni.md 1.4, 2.3b */
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { isContainerId, isIfName } from '../../src/model/ids.ts';
import { commandOf } from '../../src/model/cni/request.ts';
import { sweepNetworks } from '../../src/gc/networks.ts';
import { lockNetwork, recordNetwork } from '../../src/state/network/record.ts';
import { netnsExists, removeNetns } from '../../src/host/netns.ts';
import { addList, delList, gcList } from '../../src/net/cni/list.ts';
import { networkSteps } from '../../src/stage0/prepare/steps.ts';
import { cachedAttachments } from '../../src/net/cni/cache.ts';
import { useHost } from '../rig/host.ts';
import { PodNetwork, podId, podNetns } from './pod.ts';
import { Bench, pod } from './recorder.ts';

useHost();
const bench = new Bench();
const network = new PodNetwork(bench);
afterEach(() => {
  network.leave();
  removeNetns(podNetns);
});
const two = (more: object = {}, options: Parameters<Bench['network']>[3] = {}) => bench.network([{ type: 'a' }, { type: 'b' }], more, 'net', options);
const three = () => bench.network([{ type: 'a' }, { type: 'b' }, { type: 'c' }]);
const failing = { code: 100, msg: 'no luck today' };

test('R1: the namespace is made before any plugin is called', () => {
  expect(networkSteps('x', { mode: 'contained', networks: [two()], warnings: [] }, []).map(({ kind }) => kind)).toEqual([
    'netns.create',
    'network.attach',
  ]);
  network.join(two());
  expect(bench.heard()[0]?.env['CNI_NETNS']).toBe(podNetns);
  expect(netnsExists(podNetns)).toBe(true);
});
test('R2: one plugin at a time for one container, over all its networks', () => {
  writeFileSync(join(bench.log, 'slow'), '');
  bench.put('20-two.conflist', { cniVersion: '1.0.0', name: 'two', plugins: [{ type: 'c', log: bench.log }] });
  two();
  network.join(...bench.plan('all'));
  network.leave();
  const heard = bench.heard();
  expect(bench.story()).toBe('ADD a, ADD b, ADD c, DEL c, DEL b, DEL a');
  for (const [i, one] of heard.entries()) if (i > 0) expect(one.startNs, bench.story()).toBeGreaterThanOrEqual(heard[i - 1]?.endNs ?? 0n);
});
test('R3: gc waits for nobody who attaches or detaches, and touches nothing meanwhile', () => {
  const planned = two();
  const cleared: string[] = [];
  const sweep = (): void =>
    sweepNetworks(
      bench.dataDir,
      ({ name }) => cleared.push(name),
      () => false,
      (_name, error) => expect.fail(error),
    );
  {
    using held = lockNetwork(bench.dataDir, 'net');
    void held;
    recordNetwork(bench.dataDir, planned);
    sweep();
    expect(cleared).toEqual([]);
  }
  sweep();
  expect(cleared).toEqual(['net']);
});
test('R4, D4: a failed ADD is followed by DEL of the whole list', () => {
  bench.answer('b', 'ADD', failing, 'fail');
  expect(() => network.join(two())).toThrow('no luck today');
  expect(bench.story()).toBe('ADD a, ADD b, DEL b, DEL a');
});
test('R5: DEL may be repeated', () => {
  const planned = two();
  const result = addList(planned, pod, bench.services);
  delList(planned, pod, bench.services, result);
  delList(planned, pod, bench.services, undefined);
  expect(bench.story()).toBe('ADD a, ADD b, DEL b, DEL a, DEL b, DEL a');
});
test('R6, Z10: DEL has the configuration of ADD, whatever net.d says now', () => {
  network.join(bench.network([{ type: 'a', mark: 'then' }]));
  bench.put('10-net.conflist', { cniVersion: '1.1.0', name: 'net', plugins: [{ type: 'b', mark: 'now' }] });
  expect(network.leave()).toEqual([]);
  expect(bench.story()).toBe('ADD a, DEL a');
  expect(bench.heard()[1]?.conf['mark']).toBe('then');
});
test('R7: the namespace is removed by the runtime', () => {
  network.join(two());
  expect(network.leave()).toEqual([]);
  expect([netnsExists(podNetns), existsSync(podNetns)]).toEqual([false, false]);
});
test("R8: plugins run in the host's namespace", () => {
  network.join(two());
  network.leave();
  const own = readlinkSync('/proc/thread-self/ns/net');
  expect(bench.heard().map(({ namespace }) => namespace)).toEqual([own, own, own, own]);
});
test('R9: parameters by environment, configuration by stdin, result by stdout; stderr is a log', () => {
  expect(addList(two(), pod, bench.services).interfaces).toEqual([{ name: 'b0' }]);
  expect(bench.heard()[0]?.env['CNI_COMMAND']).toBe('ADD');
  expect(bench.heard()[0]?.conf['type']).toBe('a');
  expect(bench.calls.map(({ stderr }) => stderr)).toEqual(['a says hello to the log\n', 'b says hello to the log\n']);
});
test('R10, Z2: six commands', () => {
  for (const command of ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION']) expect(commandOf({ CNI_COMMAND: command })).toBe(command);
  for (const command of ['add', 'UPDATE', '']) expect(() => commandOf({ CNI_COMMAND: command })).toThrow(expect.objectContaining({ cniCode: 4 }));
});
test('R11, Z8: a container ID is a letter or digit and then those, "_", "." and "-"', () => {
  for (const id of ['a', '0', 'a_b.c-D', podId]) expect(isContainerId(id), id).toBe(true);
  for (const id of ['', '-a', '_a', '.a', 'a/b', 'a b', 'ä']) {
    expect(isContainerId(id), id).toBe(false);
    expect(() => addList(two(), { containerId: id, netns: '' }, bench.services), id).toThrow('container ID');
  }
  expect(bench.story()).toBe('');
});
test('D2: names are looked at before any plugin is called, for DEL as for ADD', () => {
  const planned = two();
  expect(() => delList(planned, { containerId: '../x', netns: '' }, bench.services, undefined)).toThrow('container ID');
  expect(() => delList({ ...planned, ifName: 'a/b' }, pod, bench.services, undefined)).toThrow('interface name');
  expect(() => delList({ ...planned, name: '../x' }, pod, bench.services, undefined)).toThrow('network name');
  expect(bench.story()).toBe('');
});
test('R12: CNI_NETNS is a path, and empty for DEL when the namespace is gone', () => {
  network.join(two());
  removeNetns(podNetns);
  expect(network.leave()).toEqual([]);
  expect(bench.heard().map(({ env }) => env['CNI_NETNS'])).toEqual([podNetns, podNetns, '', '']);
});
test('R13: an interface name has 1 to 15 bytes without "/", ":" and white space', () => {
  for (const name of ['a', 'fifteen-bytes-x', 'eth0.1@x']) expect(isIfName(name), name).toBe(true);
  for (const name of ['', '.', '..', 'sixteen-bytes-xx', 'a/b', 'a:b', 'a b', 'a\u2003b', 'üüüüüüüü']) expect(isIfName(name), name).toBe(false);
  expect(() => addList({ ...two(), ifName: 'a:b' }, pod, bench.services)).toThrow('interface name');
});
test('R14, R35: CNI_ARGS are K=V;K2=V2 and go to every plugin', () => {
  addList(two({}), pod, bench.services);
  const [planned] = bench.plan('net:IP=10.9.0.9;K8S_POD_NAME=x');
  if (planned === undefined) return expect.fail('not planned');
  const result = addList(planned, { ...pod, containerId: 'other' }, bench.services);
  delList(planned, { ...pod, containerId: 'other' }, bench.services, result);
  const args = 'IgnoreUnknown=1;IP=10.9.0.9;K8S_POD_NAME=x';
  expect(bench.heard().map(({ env }) => env['CNI_ARGS'])).toEqual(['', '', args, args, args, args]);
});
test('R15, R36: CNI_PATH is the search path; the first directory that has a plugin gives it', () => {
  const first = join(bench.dir, 'first');
  mkdirSync(first);
  writeFileSync(join(first, 'b'), `#!/bin/sh\n: > ${bench.log}/first\necho '{"cniVersion":"1.1.0"}'\n`, { mode: 0o755 });
  const planned = two({}, { path: [first, bench.plugins] });
  expect(planned.plugins.map(({ via }) => via)).toEqual([join(bench.plugins, 'a'), join(first, 'b')]);
  addList(planned, pod, bench.services);
  expect(existsSync(join(bench.log, 'first'))).toBe(true);
  expect(bench.heard().map(({ env }) => env['CNI_PATH'])).toEqual([`${first}:${bench.plugins}`]);
});
test('R16: each verb has the variables it needs', () => {
  const planned = two();
  const result = addList(planned, pod, bench.services);
  delList(planned, pod, bench.services, result);
  gcList(planned, [], bench.services);
  const names = (verb: string): string[] => Object.keys(bench.heard().find((one) => one.verb === verb)?.env ?? {}).sort();
  const attachment = ['CNI_ARGS', 'CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_PATH'];
  expect([names('ADD'), names('DEL')]).toEqual([attachment, attachment]);
  expect(bench.heard()[0]?.env).toMatchObject({ CNI_CONTAINERID: 'pod-1', CNI_IFNAME: 'eth0' });
});
test('D8: GC has no variables of an attachment, not even empty ones', () => {
  gcList(two(), [], bench.services);
  expect(bench.heard().map(({ env }) => Object.keys(env).sort())).toEqual([
    ['CNI_COMMAND', 'CNI_PATH'],
    ['CNI_COMMAND', 'CNI_PATH'],
  ]);
});
test('R17: the interfaces of a pod have names of their own', () => {
  two();
  bench.put('20-two.conflist', { cniVersion: '1.0.0', name: 'two', plugins: [{ type: 'c', log: bench.log }] });
  network.join(...bench.plan('all'));
  const attachments = bench.heard().map(({ type, env }) => `${type} ${env['CNI_CONTAINERID'] ?? ''} ${env['CNI_IFNAME'] ?? ''}`);
  expect(attachments).toEqual([`a ${podId} eth0`, `b ${podId} eth0`, `c ${podId} eth1`]);
});
test('R18: ADD in order, each with the result of the one before; the first error ends it', () => {
  addList(three(), pod, bench.services);
  expect(bench.story()).toBe('ADD a, ADD b, ADD c');
  const names = bench.heard().map(({ conf }) => (conf['prevResult'] as { interfaces: { name: string }[] } | undefined)?.interfaces[0]?.name);
  expect(names).toEqual([undefined, 'a0', 'b0']);
  bench.answer('b', 'ADD', failing, 'fail');
  expect(() => addList(three(), { ...pod, containerId: 'x' }, bench.services)).toThrow('no luck today');
  expect(bench.story()).toBe('ADD a, ADD b, ADD c, ADD a, ADD b');
});
test('R18: a plugin that is not there is an error', () => {
  expect(() => bench.network([{ type: 'a' }, { type: 'not-there' }])).toThrow('not-there');
});
test('R19: the final result is kept where libcni keeps it', () => {
  addList(two(), pod, bench.services);
  const file = join(bench.cacheDir, 'results/net-pod-1-eth0');
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ kind: 'cniCacheV1', networkName: 'net', result: { interfaces: [{ name: 'b0' }] } });
  expect(statSync(file).mode & 0o777).toBe(0o600);
});
test('R20, R21: DEL in reverse, each plugin with the final result', () => {
  const planned = three();
  addList(planned, pod, bench.services);
  delList(planned, pod, bench.services, undefined);
  const dels = bench.heard().filter(({ verb }) => verb === 'DEL');
  expect(dels.map(({ type }) => type)).toEqual(['c', 'b', 'a']);
  expect(dels.map(({ conf }) => (conf['prevResult'] as { interfaces: { name: string }[] }).interfaces[0]?.name)).toEqual(['c0', 'c0', 'c0']);
  expect(readdirSync(join(bench.cacheDir, 'results'))).toEqual([]);
});
test('R20, D3, Z9: a DEL that fails is reported, the others are called all the same, and what is needed for the next try stays', () => {
  const planned = three();
  addList(planned, pod, bench.services);
  bench.answer('b', 'DEL', failing, 'fail');
  expect(() => delList(planned, pod, bench.services, undefined)).toThrow('no luck today');
  expect(bench.story()).toBe('ADD a, ADD b, ADD c, DEL c, DEL b, DEL a');
  bench.heal('b', 'DEL');
  delList(planned, pod, bench.services, undefined);
  expect(bench.heard().at(-1)?.conf['prevResult']).toMatchObject({ interfaces: [{ name: 'c0' }] });
});
test('R25: GC to every plugin in order; errors are collected, not waited for', () => {
  bench.answer('a', 'GC', { code: 100, msg: 'first' }, 'fail');
  bench.answer('b', 'GC', { code: 100, msg: 'second' }, 'fail');
  expect(() => gcList(three(), [], bench.services)).toThrow(/first.*second/s);
  expect(bench.story()).toBe('GC a, GC b, GC c');
  expect(bench.heard().every(({ conf }) => conf['prevResult'] === undefined)).toBe(true);
});
test('R26, Z6, D7: GC says which attachments are valid, by both names, also when none is', () => {
  const valid = [{ containerID: 'x', ifname: 'eth0' }];
  gcList(bench.network([{ type: 'a' }]), valid, bench.services);
  gcList(bench.network([{ type: 'a' }]), [], bench.services);
  expect(bench.heard().map(({ conf }) => [conf['cni.dev/valid-attachments'], conf['cni.dev/attachments']])).toEqual([
    [valid, valid],
    [[], []],
  ]);
});
test('R27: what ends an attachment is DEL', () => {
  network.join(two());
  expect(network.leave()).toEqual([]);
  expect(bench.story()).toBe('ADD a, ADD b, DEL b, DEL a');
});
test('R29, R31: name and version are set; the first ADD has no prevResult', () => {
  addList(bench.network([{ type: 'a', name: 'other', cniVersion: '0.1.0', prevResult: { cniVersion: '1.1.0' } }]), pod, bench.services);
  expect(bench.heard()[0]?.conf).toMatchObject({ name: 'net', cniVersion: '1.1.0' });
  expect(bench.heard()[0]?.conf).not.toHaveProperty('prevResult');
});
test('R30, Z4: runtimeConfig is what the plugin declares and the runtime has; else there is none', () => {
  const capabilities = { portMappings: true, ips: false, bandwidth: true };
  const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' as const }];
  const planned = bench.network([{ type: 'a' }, { type: 'b', capabilities }, { type: 'c', capabilities: { mac: true } }], {}, 'net', { ports });
  const result = addList(planned, pod, bench.services);
  delList(planned, pod, bench.services, result);
  const of = (verb: string) =>
    bench
      .heard()
      .filter((one) => one.verb === verb)
      .map(({ conf }) => conf['runtimeConfig']);
  expect(of('ADD')).toEqual([undefined, { portMappings: ports }, undefined]);
  expect(of('DEL')).toEqual([undefined, { portMappings: ports }, undefined]);
});
test('R32, Z5, D1: capabilities are not in the request', () => {
  const planned = bench.network([{ type: 'a', capabilities: { portMappings: true } }]);
  addList(planned, pod, bench.services);
  gcList(planned, [], bench.services);
  expect(bench.heard().map(({ conf }) => Object.hasOwn(conf, 'capabilities'))).toEqual([false, false]);
});
test('R33: keys that begin with cni.dev/ come from the runtime only', () => {
  const planned = bench.network([{ type: 'a', 'cni.dev/valid-attachments': ['mine'], 'cni.dev/x': 1 }]);
  addList(planned, pod, bench.services);
  gcList(planned, [], bench.services);
  expect(bench.heard().map(({ conf }) => Object.keys(conf).filter((key) => key.startsWith('cni.dev/')))).toEqual([
    [],
    ['cni.dev/valid-attachments', 'cni.dev/attachments'],
  ]);
});
test('R34: args of a configuration reach the plugin, and a plugin may ignore them', () => {
  const args = { cni: { labels: [{ key: 'a', value: 'b' }] } };
  expect(addList(bench.network([{ type: 'a', args }]), pod, bench.services)).toMatchObject({ interfaces: [{ name: 'a0' }] });
  expect(bench.heard()[0]?.conf['args']).toEqual(args);
});
test('R37: what is passed besides follows the conventions: capability arguments by their names, addresses also as IP=', () => {
  const ports = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' as const, hostIP: '127.0.0.1' }];
  const plugin = { type: 'a', capabilities: { portMappings: true, ips: true, mac: true } };
  addList(bench.network([plugin], {}, 'net:ip=10.9.0.9,mac=02:00:00:00:00:09,IP=10.9.0.9', { ports }), pod, bench.services);
  expect(bench.heard()[0]).toMatchObject({
    conf: { runtimeConfig: { portMappings: ports, ips: ['10.9.0.9'], mac: '02:00:00:00:00:09' } },
    env: { CNI_ARGS: 'IgnoreUnknown=1;IP=10.9.0.9' },
  });
});
test('R38: "try again later" is tried again', () => {
  bench.answer('a', 'ADD', { code: 11, msg: 'not yet' }, 'once');
  expect(addList(bench.network([{ type: 'a' }]), pod, bench.services)).toMatchObject({ interfaces: [{ name: 'a0' }] });
  expect(bench.story()).toBe('ADD a, ADD a');
});
test('R39: a DEL that finds the container unknown has nothing to do', () => {
  bench.answer('b', 'DEL', { code: 3, msg: 'never heard of it' }, 'fail');
  const planned = two();
  const result = addList(planned, pod, bench.services);
  delList(planned, pod, bench.services, result);
  expect(bench.story()).toBe('ADD a, ADD b, DEL b, DEL a');
});
test('R40: the exit status decides, not what was printed', () => {
  bench.answer('a', 'ADD', { cniVersion: '1.1.0', interfaces: [{ name: 'a0' }] }, 'fail');
  expect(() => addList(bench.network([{ type: 'a' }]), pod, bench.services)).toThrow('failed');
  bench.answer('b', 'ADD', { cniVersion: '1.1.0', code: 7, msg: 'an error object and yet success' });
  expect(addList(bench.network([{ type: 'b' }]), pod, bench.services)).toEqual({ cniVersion: '1.1.0' });
});
test('Z3: an error object is read from stdout; without one, what stderr says is told', () => {
  bench.answer('a', 'ADD', failing, 'fail');
  expect(() => addList(bench.network([{ type: 'a' }]), pod, bench.services)).toThrow(/no luck today.*code 100/);
  bench.answer('b', 'ADD', '', 'fail');
  expect(() => addList(bench.network([{ type: 'b' }]), pod, bench.services)).toThrow('b says hello to the log');
});
test('D5: the journal announces an attachment before its first plugin runs', () => {
  writeFileSync(
    join(bench.plugins, 'looks'),
    `#!/bin/sh\n[ "$CNI_COMMAND" = ADD ] && [ ! -e ${bench.log}/journal-then ] && cp ${network.journalPath} ${bench.log}/journal-then\necho '{"cniVersion":"1.1.0"}'\n`,
    { mode: 0o755 },
  );
  network.join(bench.network([{ type: 'looks' }]));
  const then = readFileSync(join(bench.log, 'journal-then'), 'utf8').trim().split('\n');
  expect(then.map((line) => JSON.parse(line) as object).at(-1)).toMatchObject({ at: 'intent', step: { kind: 'network.attach', containerId: podId } });
});
test('D6: when it cannot be seen what others use, nothing is collected', () => {
  const planned = two();
  lockNetwork(bench.dataDir, 'net')[Symbol.dispose]();
  recordNetwork(bench.dataDir, planned);
  writeFileSync(join(bench.cacheDir, 'results'), 'a file where a directory should be');
  const [cleared, reports]: [string[], string[]] = [[], []];
  const used = (name: string): boolean => cachedAttachments(bench.cacheDir, name).length > 0;
  sweepNetworks(
    bench.dataDir,
    ({ name }) => cleared.push(name),
    used,
    (name, error) => reports.push(`${name}: ${error}`),
  );
  expect([cleared, reports]).toEqual([[], [expect.stringMatching(/^net: .*ENOTDIR/)]]);
});
test('D10: an ADD whose result cannot be kept has failed, and is undone', () => {
  writeFileSync(join(bench.cacheDir, 'results'), 'a file where a directory should be');
  expect(() => network.join(two())).toThrow('result cache');
  expect(bench.story()).toBe('ADD a, ADD b, DEL b, DEL a');
});
