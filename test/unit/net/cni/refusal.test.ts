/** What an ADD that was refused for its version made: nothing from there on. */
import { expect, test } from 'vitest';
import type { PlannedNetwork } from '../../../../src/model/plan.ts';
import { refusedFrom } from '../../../../src/net/cni/refusal.ts';
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
])('%s', (_, calls, index) => {
  expect(refusedFrom(network, attachment, calls)).toBe(index);
});
