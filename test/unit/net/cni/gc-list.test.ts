/** GC of a list whose plugin is not there any more: what it would have freed was DEL's duty. */
import { expect, test } from 'vitest';
import type { PlannedNetwork } from '../../../../src/model/plan.ts';
import { gcList } from '../../../../src/net/cni/list.ts';
import type { CniCall, CniServices } from '../../../../src/net/cni/services.ts';

test('the others are asked, and nothing fails', () => {
  const calls: CniCall[] = [];
  const services: CniServices = {
    plugins: new Map(),
    cacheDir: '/nonexistent',
    timeoutMs: 5_000,
    env: {},
    nowMs: () => performance.now(),
    pause: () => undefined,
    interrupted: () => 0,
    record: (call) => void calls.push(call),
    recorded: () => calls,
  };
  const network: PlannedNetwork = {
    name: 'net',
    ifName: 'eth0',
    cniVersion: '1.1.0',
    source: { path: '/etc/rkt/net.d/net.conflist', owner: 'admin' },
    confList: '{"cniVersion":"1.1.0","name":"net","plugins":[{"type":"gone"},{"type":"true"}]}',
    plugins: [
      { type: 'gone', via: '/nonexistent/gone' },
      { type: 'true', via: '/bin/true' },
    ],
    args: [],
    capabilityArgs: {},
    pluginPath: [],
    expects: { subnets: [], gateway: false, masquerade: false },
  };
  gcList(network, [], services);
  expect(calls.map(({ verb, plugin }) => `${verb} ${plugin}`)).toEqual(['GC true']);
});
