/** C1-C15: what a configuration may be. @see cni.md 1.1 */
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { lockNetwork, recordNetwork } from '../../src/state/network/record.ts';
import { sweepNetworks } from '../../src/gc/networks.ts';
import { addList } from '../../src/net/cni/list.ts';
import { Bench, pod } from './recorder.ts';

const bench = new Bench();
const list = (more: object = {}, plugins: unknown = [{ type: 'a' }]): object => ({ cniVersion: '1.1.0', name: 'net', ...more, plugins });
const faultsOf = (content: object | string): string[] => {
  bench.put('10-net.conflist', content);
  return bench.faults();
};
const typesOf = (): string[] => bench.load().networks.flatMap(({ plugins }) => plugins.map(({ type }) => type));

test('C1: one JSON object with a version', () => {
  expect(faultsOf(list())).toEqual([]);
  expect(faultsOf([list()])).not.toEqual([]);
  expect(faultsOf('{"name":"net"')).not.toEqual([]);
  expect(faultsOf(list({ cniVersion: 1 }))).toEqual([expect.stringMatching(/^cniVersion: /)]);
  expect(faultsOf(list({ cniVersion: 'one.two' }))).toEqual([expect.stringMatching(/^cniVersion: /)]);
});
test('C2: cniVersions is a list of the versions the configuration supports', () => {
  bench.put('10-net.conflist', list({ cniVersion: '0.4.0', cniVersions: ['1.0.0', '0.3.1'] }));
  expect(bench.load().networks[0]?.versions).toEqual(['0.3.1', '0.4.0', '1.0.0']);
  expect(faultsOf(list({ cniVersions: '1.0.0' }))).toEqual([expect.stringMatching(/^cniVersions: /)]);
  expect(faultsOf(list({ cniVersions: ['x'] }))).toEqual([expect.stringMatching(/^cniVersions/)]);
});
test('C3: a name begins with a letter or digit and goes on with those, "_", "." and "-"', () => {
  for (const name of ['a', '0', 'a_b.c-1']) expect(faultsOf(list({ name })), name).toEqual([]);
  for (const name of ['', '-a', '.a', 'a/b', 'a b', 'ä', '..', 7])
    expect(faultsOf(list({ name })), String(name)).toEqual([expect.stringMatching(/^name: /)]);
});
test('C5: a list with disableGC is never collected', () => {
  const cleared: string[] = [];
  for (const [name, disableGC] of [
    ['ours', false],
    ['shared', true],
  ] as const) {
    const planned = { ...bench.network([{ type: 'a' }], { disableGC }), name };
    expect(planned.disableGC ?? false).toBe(disableGC);
    lockNetwork(bench.dataDir, name)[Symbol.dispose]();
    recordNetwork(bench.dataDir, planned);
  }
  const sweep = (): void =>
    sweepNetworks(
      bench.dataDir,
      ({ name }) => cleared.push(name),
      () => false,
      (_name, error) => expect.fail(error),
    );
  sweep();
  expect(cleared).toEqual(['ours']);
});
test('C6: plugins of the sibling folder are appended', () => {
  bench.put('10-net.conflist', list());
  bench.put('net/20-c.conf', { type: 'c' });
  bench.put('net/10-b.conf', { type: 'b' });
  bench.put('net/30-no.conflist', list());
  expect(typesOf()).toEqual(['a', 'b', 'c']);
});
test('C7: loadOnlyInlinedPlugins ignores the folder, and needs plugins of its own', () => {
  bench.put('net/10-b.conf', { type: 'b' });
  bench.put('10-net.conflist', list({ loadOnlyInlinedPlugins: true }));
  expect(typesOf()).toEqual(['a']);
  const { plugins: _none, ...without } = list({ loadOnlyInlinedPlugins: true }) as { plugins: unknown };
  expect(faultsOf(without)).toEqual([expect.stringMatching(/^loadOnlyInlinedPlugins: /)]);
  const { plugins: _no, ...aggregated } = list() as { plugins: unknown };
  expect(faultsOf(aggregated)).toEqual([]);
  expect(typesOf()).toEqual(['b']);
});
test('C8, Z1: true means inlined only, as libcni has it; false and "False" merge', () => {
  bench.put('net/10-b.conf', { type: 'b' });
  for (const [flag, types] of [
    [true, ['a']],
    ['TRUE', ['a']],
    [false, ['a', 'b']],
    ['False', ['a', 'b']],
  ] as const) {
    bench.put('10-net.conflist', list({ loadOnlyInlinedPlugins: flag }));
    expect(typesOf(), String(flag)).toEqual(types);
  }
});
test('C9: aggregated plugins belong to the network of their folder, are checked, and each is called', () => {
  bench.put('10-net.conflist', list({}, [{ type: 'a', log: bench.log }]));
  bench.put('20-other.conflist', { ...list(), name: 'other' });
  bench.put('net/10-b.conf', { type: 'b', log: bench.log });
  const [network] = bench.plan('net');
  if (network === undefined) return expect.fail('not planned');
  addList(network, pod, bench.services);
  expect(bench.story()).toBe('ADD a, ADD b');
  bench.put('net/20-bad.conf', { type: 'x/y' });
  expect(bench.faults()).toEqual([expect.stringMatching(/^type: /)]);
  expect(bench.load().networks.map(({ name }) => name)).toEqual(['other']);
});
test('C10: every plugin has a type that can be a file name', () => {
  for (const plugin of [{}, { type: '' }, { type: 'a/b' }, { type: 'a\\b' }, { type: 5 }, { type: '..' }])
    expect(faultsOf(list({}, [plugin])), JSON.stringify(plugin)).toEqual([expect.stringMatching(/^plugins\[0\]\.type: /)]);
});
test('C11: what rkt does not know reaches the plugin unchanged, big numbers too', () => {
  bench.put(
    '10-net.conflist',
    `{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"a","log":"${bench.log}","x":{"big":9007199254740993,"Float":1.0,"e":1e2}}]}`,
  );
  const [network] = bench.plan('net');
  if (network === undefined) return expect.fail('not planned');
  addList(network, pod, bench.services);
  expect(bench.heard()[0]?.stdin).toContain('"x":{"big":9007199254740993,"Float":1.0,"e":1e2}');
});
test('C12: reserved keys in a file are noticed, and not passed on', () => {
  const network = bench.network([
    { type: 'a', runtimeConfig: { ips: ['1.2.3.4'] }, 'cni.dev/valid-attachments': [], 'cni.dev/x': 1, prevResult: {} },
  ]);
  expect(bench.load().notices.join()).toMatch(/runtimeConfig/);
  expect(bench.load().notices.join()).toMatch(/cni\.dev\/x/);
  addList(network, pod, bench.services);
  expect(Object.keys(bench.heard()[0]?.conf ?? {}).sort()).toEqual(['cniVersion', 'log', 'name', 'type']);
});
test('C14: keys of another version of 1.x are accepted in both directions', () => {
  const newer = { disableGC: true, cniVersions: ['1.0.0'], loadOnlyInlinedPlugins: false, fromTheFuture: { x: 1 } };
  expect(faultsOf(list({ ...newer, cniVersion: '1.0.0' }))).toEqual([]);
  expect(faultsOf({ cniVersion: '1.1.0', name: 'net', plugins: [{ type: 'a' }] })).toEqual([]);
});
test('C15: a single plugin in a .conf or .json is a list of one', () => {
  bench.put('10-x.conf', { cniVersion: '0.2.0', name: 'x', type: 'a', log: bench.log });
  bench.put('20-y.json', { name: 'y', type: 'b' });
  expect(bench.load().networks.map(({ name, plugins, versions }) => [name, plugins.map(({ type }) => type), versions])).toEqual([
    ['x', ['a'], ['0.2.0']],
    ['y', ['b'], ['0.1.0']],
  ]);
  const [network] = bench.plan('x');
  if (network === undefined) return expect.fail('not planned');
  addList(network, pod, bench.services);
  expect(bench.heard()[0]?.conf).toMatchObject({ cniVersion: '0.2.0', name: 'x', type: 'a' });
  expect(existsSync(bench.cacheDir)).toBe(true);
});
