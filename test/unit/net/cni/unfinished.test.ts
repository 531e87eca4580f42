/** What the recorded calls tell of an ADD that did not get to its end. */
import { expect, test } from 'vitest';
import type { PlannedNetwork } from '../../../../src/model/plan.ts';
import { unfinishedAdd } from '../../../../src/net/cni/unfinished.ts';
import type { CniCall } from '../../../../src/net/cni/services.ts';

const network: PlannedNetwork = {
  name: 'net',
  ifName: 'eth0',
  cniVersion: '1.1.0',
  source: { path: '/etc/rkt/net.d/net.conflist', owner: 'admin' },
  confList: '{}',
  plugins: ['a', 'b', 'c'].map((type) => ({ type, via: `/opt/cni/bin/${type}` })),
  args: [],
  capabilityArgs: {},
  pluginPath: [],
  expects: { subnets: [], gateway: false, masquerade: false },
};
const attachment = { containerId: 'pod', netns: '/run/netns/pod' };
function call(verb: CniCall['verb'], plugin: string, code?: number, more: Partial<CniCall> = {}): CniCall {
  const env = { CNI_CONTAINERID: 'pod', CNI_IFNAME: 'eth0' };
  const stdout = code === undefined ? '' : JSON.stringify({ code, msg: 'no' });
  return {
    verb,
    network: 'net',
    plugin,
    via: plugin,
    env,
    stdin: '',
    stdout,
    stderr: '',
    ms: 1,
    exit: code === undefined ? 0 : 1,
    notes: [],
    ...more,
  };
}

test.each<[string, CniCall[], number]>([
  ['the first plugin refused', [call('ADD', 'a', 1)], 0],
  ['the second one did', [call('ADD', 'a'), call('ADD', 'b', 1)], 1],
  ['on stderr, as the specification’s overview has it', [call('ADD', 'a', 1, { stdout: '', stderr: '{"code":1,"msg":"no"}' })], 0],
  ['DELs behind it say nothing about ADD', [call('ADD', 'a', 1), call('DEL', 'c', 1), call('DEL', 'b')], 0],
  ['it failed for another reason', [call('ADD', 'a', 7)], Infinity],
  ['it said nothing', [call('ADD', 'a', 1, { stdout: 'oops' })], Infinity],
  ['it was killed before it was recorded', [call('ADD', 'a')], Infinity],
  ['a later ADD got on', [call('ADD', 'a', 1), call('ADD', 'a')], Infinity],
  ['it was another interface', [call('ADD', 'a', 1, { env: { CNI_CONTAINERID: 'pod', CNI_IFNAME: 'eth1' } })], Infinity],
  ['it was another network', [call('ADD', 'a', 1, { network: 'other' })], Infinity],
  ['nothing is known', [], Infinity],
])('refused: %s', (_, calls, index) => {
  expect(unfinishedAdd(network, attachment, calls).refusedFrom).toBe(index);
});

const said = (name: string): Partial<CniCall> => ({ stdout: JSON.stringify({ cniVersion: '1.1.0', interfaces: [{ name }] }) });
test.each<[string, CniCall[], string | undefined]>([
  ['that of the last that succeeded', [call('ADD', 'a', undefined, said('a0')), call('ADD', 'b', undefined, said('b0')), call('ADD', 'c', 7)], 'b0'],
  ['a delegate’s is not the list’s', [call('ADD', 'a', undefined, said('a0')), call('ADD', 'ipam', undefined, said('x'))], 'a0'],
  ['none before the first', [call('ADD', 'a', 7)], undefined],
  ['a second try of DEL has it, too', [call('ADD', 'a', undefined, said('a0')), call('ADD', 'b', 7), call('DEL', 'b', 7)], 'a0'],
  ['an attachment that was undone is another one', [call('ADD', 'a', undefined, said('a0')), call('DEL', 'b'), call('DEL', 'a')], undefined],
  ['nor is it in a later one’s', [call('ADD', 'a', undefined, said('a0')), call('DEL', 'a'), call('ADD', 'a', 7)], undefined],
  ['one that is no result is passed over', [call('ADD', 'a', undefined, said('a0')), call('ADD', 'b', undefined, { stdout: 'oops' })], 'a0'],
  ['one that is cut off', [call('ADD', 'a', undefined, { stdout: '{"cniVersion":"1.1.0","interf' })], undefined],
])('result: %s', (_, calls, name) => {
  expect(unfinishedAdd(network, attachment, calls).result?.interfaces?.[0]?.name).toBe(name);
});
