/** V1-V13: which version is spoken. @see cni.md 1.2 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseRequest, perform } from '../../src/model/cni/request.ts';
import { parseVersion, versionsOfReply } from '../../src/model/cni/version.ts';
import { cniVersions } from '../../src/model/cni/types.ts';
import { builtinPlugins } from '../../src/compose/plugins.ts';
import { versionsOf } from '../../src/net/cni/find.ts';
import { addList, delList, gcList } from '../../src/net/cni/list.ts';
import { Bench, pod } from './recorder.ts';

const bench = new Bench();
const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_NETNS: '/x', CNI_IFNAME: 'eth0', CNI_PATH: '/x' };
const add = () => addList(bench.network([{ type: 'a' }, { type: 'b' }]), pod, bench.services);

test('V1: the highest version that the list names and rkt speaks', () => {
  expect(bench.network([{ type: 'a' }], { cniVersion: '0.3.1', cniVersions: ['1.0.0', '0.4.0'] }).cniVersion).toBe('1.0.0');
  expect(bench.network([{ type: 'a' }], { cniVersion: '1.0.0', cniVersions: ['9.9.9', '0.4.0'] }).cniVersion).toBe('1.0.0');
  expect(bench.network([{ type: 'a' }], { cniVersion: '0.3.1' }).cniVersion).toBe('0.3.1');
});
test('V2, D9: of those, one that every plugin speaks', () => {
  const versions = { [join(bench.plugins, 'a')]: ['0.4.0', '1.0.0', '1.1.0'], [join(bench.plugins, 'b')]: ['0.4.0', '1.0.0'] };
  expect(bench.network([{ type: 'a' }, { type: 'b' }], { cniVersions: ['1.0.0', '1.1.0'] }, 'net', { versions }).cniVersion).toBe('1.0.0');
});
test('V3, Z7: the chosen version is in every request, and not the newest one', () => {
  const network = bench.network([{ type: 'a' }, { type: 'b' }], { cniVersion: '0.4.0', cniVersions: ['1.0.0'] });
  const result = addList(network, pod, bench.services);
  delList(network, pod, bench.services, result);
  expect(bench.heard().map(({ conf }) => conf['cniVersion'])).toEqual(['1.0.0', '1.0.0', '1.0.0', '1.0.0']);
});
test('V4: every plugin of ours refuses a version it does not support with code 1', () => {
  expect(builtinPlugins.size).toBeGreaterThan(5);
  for (const plugin of builtinPlugins.values()) {
    const request = parseRequest(env, '{"cniVersion":"2.0.0","name":"n"}');
    const context = { delegate: () => undefined, note: () => undefined };
    expect(() => perform(plugin, request, context), plugin.type).toThrow(expect.objectContaining({ cniCode: 1 }));
  }
});
test('V5: no version is 0.1.0', () => {
  expect(parseRequest(env, '{"name":"n"}').conf.cniVersion).toBe('0.1.0');
  bench.put('10-x.conf', { name: 'x', type: 'a', log: bench.log });
  expect(bench.plan('x')[0]?.cniVersion).toBe('0.1.0');
});
test('V6, V7: VERSION is asked with CNI_COMMAND and told a version on stdin', () => {
  process.env['RECORD_DIR'] = bench.log;
  try {
    expect(versionsOf(join(bench.plugins, 'a'))).toEqual([...cniVersions]);
  } finally {
    delete process.env['RECORD_DIR'];
  }
  expect(bench.heard()).toMatchObject([{ verb: 'VERSION', conf: { cniVersion: '1.1.0' } }]);
});
test('V9: a plugin that does not know VERSION speaks 0.1.0', () => {
  bench.answer('b', 'VERSION', { code: 4, msg: 'unknown CNI_COMMAND: VERSION' }, 'fail');
  process.env['RECORD_DIR'] = bench.log;
  try {
    expect(versionsOf(join(bench.plugins, 'b'))).toEqual(['0.1.0']);
  } finally {
    delete process.env['RECORD_DIR'];
  }
});
test('V10: an answer without a list means something only for 0.2.0', () => {
  expect(versionsOfReply({ cniVersion: '0.2.0' })).toEqual(['0.1.0', '0.2.0']);
  for (const reply of [{ cniVersion: '1.0.0' }, { supportedVersions: ['1.0.0'] }, [], null]) expect(() => versionsOfReply(reply)).toThrow();
});
test('V11: a version is supported when it is listed as it is written', () => {
  const versions = { [join(bench.plugins, 'a')]: ['1.0', '1', '0.4.0'] };
  expect(bench.network([{ type: 'a' }], { cniVersion: '1.0.0', cniVersions: ['0.4.0'] }, 'net', { versions }).cniVersion).toBe('0.4.0');
});
test('V12: what a version does not have is not used with it', () => {
  const at = (cniVersion: string): string[] => {
    const before = bench.heard().length;
    const network = bench.network([{ type: 'a' }, { type: 'b' }], { cniVersion });
    const result = addList(network, pod, bench.services);
    delList(network, pod, bench.services, result);
    gcList(network, [], bench.services);
    return bench
      .heard()
      .slice(before)
      .map(({ verb, type, conf }) => `${verb} ${type}${conf['prevResult'] === undefined ? '' : ' prev'}`);
  };
  expect(at('0.2.0')).toEqual(['ADD a', 'ADD b', 'DEL b', 'DEL a']);
  expect(at('0.3.1')).toEqual(['ADD a', 'ADD b prev', 'DEL b', 'DEL a']);
  expect(at('0.4.0')).toEqual(['ADD a', 'ADD b prev', 'DEL b prev', 'DEL a prev']);
  expect(at('1.0.0')).toEqual(['ADD a', 'ADD b prev', 'DEL b prev', 'DEL a prev']);
  expect(at('1.1.0')).toEqual(['ADD a', 'ADD b prev', 'DEL b prev', 'DEL a prev', 'GC a', 'GC b']);
});
test('V13: one to three numbers', () => {
  expect(['', '1', '1.1', '1.1.0'].map(parseVersion)).toEqual([
    [0, 1, 0],
    [1, 0, 0],
    [1, 1, 0],
    [1, 1, 0],
  ]);
  for (const text of ['asdf.', '.x', '0.', '..', '1.2.3.4.5', '1.2.3.4', '1.0.0-rc1']) expect(parseVersion(text), text).toBeUndefined();
});
test('K11: the cached result is given in the version of the configuration', () => {
  bench.answer('b', 'ADD', { cniVersion: '1.0.0', interfaces: [{ name: 'b0', mtu: 1400 }], ips: [{ address: '10.9.0.3/24', interface: 0 }] });
  const network = bench.network([{ type: 'a' }, { type: 'b' }], { cniVersion: '0.4.0' });
  addList(network, pod, bench.services);
  delList(network, pod, bench.services, undefined);
  expect(bench.heard().at(-1)?.conf['prevResult']).toEqual({
    cniVersion: '0.4.0',
    interfaces: [{ name: 'b0' }],
    ips: [{ version: '4', interface: 0, address: '10.9.0.3/24' }],
    dns: {},
  });
  expect(add()).toMatchObject({ cniVersion: '1.1.0', interfaces: [{ name: 'b0', mtu: 1400 }] });
});
