/** A list's DEL as data: order, what a foreign plugin is run with, whose addresses. */
import { describe, expect, test } from 'vitest';
import { plugin as bridge } from '../../../../cni-plugins/bridge/plugin.ts';
import { plugin as firewall } from '../../../../cni-plugins/firewall/plugin.ts';
import { plugin as hostLocal } from '../../../../cni-plugins/host-local/plugin.ts';
import { plugin as portmap } from '../../../../cni-plugins/portmap/plugin.ts';
import type { CniResult } from '../../../../src/model/cni/types.ts';
import type { PlannedNetwork, PlannedPlugin } from '../../../../src/model/plan.ts';
import { encodeRelease, type ReleaseOp } from '../../../../src/model/release.ts';
import { releaseList } from '../../../../src/net/cni/release.ts';
import type { CniServices } from '../../../../src/net/cni/services.ts';

const services: CniServices = {
  plugins: new Map([bridge, firewall, hostLocal, portmap].map((plugin) => [plugin.type, plugin])),
  cacheDir: '/var/lib/cni',
  timeoutMs: 30_000,
  env: { SECRET: 'of the caller' },
  nowMs: () => 0,
  pause: () => undefined,
  interrupted: () => 0,
  record: () => undefined,
  recorded: () => [],
};
const result: CniResult = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'rkt0' }, { name: 'veth1' }, { name: 'eth0', sandbox: '/run/netns/pod' }],
  ips: [
    { address: '10.1.0.2/24', gateway: '10.1.0.1', interface: 2 },
    { address: 'fd00::2/64', interface: 2 },
  ],
};
const portMappings = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' as const },
  { hostPort: 53, containerPort: 53, protocol: 'udp' as const },
  { hostPort: 54, containerPort: 54, protocol: 'udp' as const },
];
function network(plugins: readonly PlannedPlugin[]): PlannedNetwork {
  const confs = plugins.map(({ type, ipam }) => ({
    type,
    ...(ipam === undefined ? {} : { ipam: { type: ipam.type, dataDir: '/d' } }),
    capabilities: { portMappings: true },
  }));
  return {
    name: 'net',
    ifName: 'eth0',
    cniVersion: '1.0.0',
    source: { path: '/net.d/net.conflist', owner: 'admin' },
    confList: JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: confs }),
    plugins,
    args: [],
    capabilityArgs: { portMappings },
    pluginPath: ['/opt/cni/bin'],
    expects: { subnets: [], gateway: false, masquerade: false },
  };
}
const release = (...plugins: PlannedPlugin[]): ReleaseOp[] =>
  releaseList(network(plugins), { containerId: 'pod', netns: '/run/netns/pod' }, services, result);
const ofHostLocal = { type: 'host-local', via: 'builtin' };
const kinds = (ops: readonly ReleaseOp[]): string[] => ops.map(({ op }) => op);

describe('our plugins', () => {
  test('in reverse; one walk over conntrack a family; the lease under the store’s lock, before the index; the cache entry last', () => {
    const ops = release(
      { type: 'bridge', via: 'builtin', ipam: ofHostLocal },
      { type: 'portmap', via: 'builtin', runtimeConfig: { portMappings } },
      { type: 'firewall', via: 'builtin' },
    );
    expect(kinds(ops)).toEqual(['elements', 'elements', 'flows', 'flows', 'elements', 'unlink', 'unlink']);
    expect(ops.slice(-2)).toEqual([
      {
        op: 'unlink',
        lock: '/d/net/lock',
        dated: '/d/net',
        files: [
          { path: '/d/net/10.1.0.2', content: 'pod\r\neth0' },
          { path: '/d/net/fd00::2', content: 'pod\r\neth0' },
          { path: '/d/.rkt-index/net/pod:eth0' },
        ],
      },
      { op: 'unlink', files: [{ path: '/var/lib/cni/results/net-pod-eth0' }, { path: '/var/lib/cni/results/.net-pod-eth0.tmp' }] },
    ]);
    for (const op of ops) if (op.op === 'elements') expect(Buffer.from(op.comment).toString()).toContain('net/pod/eth0\0');
  });

  test('a foreign IPAM is run alone', () => {
    const ops = release({ type: 'bridge', via: 'builtin', ipam: { type: 'dhcp', via: '/opt/cni/bin/dhcp' } });
    expect(kinds(ops)).toEqual(['elements', 'run', 'unlink']);
    expect(ops[1]).toMatchObject({ path: '/opt/cni/bin/dhcp', env: { CNI_COMMAND: 'DEL' } });
  });
});

test('a foreign plugin gets the DEL that gc would send it; nothing of the caller’s environment is kept', () => {
  const [first, second, third] = release({ type: 'one', via: '/opt/cni/bin/one' }, { type: 'two', via: '/opt/cni/bin/two' });
  expect([first, second, third?.op]).toEqual([
    {
      op: 'run',
      path: '/opt/cni/bin/two',
      env: { CNI_COMMAND: 'DEL', CNI_PATH: '/opt/cni/bin', CNI_CONTAINERID: 'pod', CNI_NETNS: '/run/netns/pod', CNI_IFNAME: 'eth0', CNI_ARGS: '' },
      stdin: expect.stringContaining('"prevResult"') as unknown,
      timeoutMs: 30_000,
    },
    expect.objectContaining({ path: '/opt/cni/bin/one' }),
    'unlink',
  ]);
});

test('the file: magic, then code, length and body of each', () => {
  const bytes = encodeRelease([
    { op: 'unmount', path: '/a' },
    { op: 'run', path: '/p', env: { A: 'ü' }, stdin: 'in', timeoutMs: 258 },
  ]);
  expect(bytes.toString('hex')).toBe(
    [
      Buffer.from('rktrel1\n').toString('hex'),
      '04000000' + '07000000' + '03000000' + '2f6100',
      '06000000' + '1a000000' + '02010000' + '03000000' + '2f7000' + '02000000' + '696e' + '05000000' + '413dc3bc00',
    ].join(''),
  );
});
