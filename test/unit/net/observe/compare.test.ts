import { describe, expect, test } from 'vitest';
import type { PlannedNetwork } from '../../../../src/model/plan.ts';
import { type Attached, compareAttachment, differenceText } from '../../../../src/net/observe/compare.ts';
import { diagnose, failedCalls } from '../../../../src/net/observe/diagnose.ts';
import { parseListeners } from '../../../../src/net/observe/listeners.ts';
import type { AttachmentState, LinkState } from '../../../../src/net/observe/types.ts';

const plugins = [
  { type: 'bridge', bridge: 'br0', isGateway: true, ipam: { type: 'host-local' } },
  { type: 'portmap', capabilities: { portMappings: true } },
];
const network: PlannedNetwork = {
  name: 'net',
  ifName: 'eth0',
  cniVersion: '1.1.0',
  source: { path: '/etc/net.conflist', owner: 'admin' },
  confList: JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins }),
  plugins: [
    { type: 'bridge', via: 'builtin', ipam: { type: 'host-local', via: 'builtin' } },
    { type: 'portmap', via: 'builtin' },
  ],
  args: [],
  capabilityArgs: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
  pluginPath: [],
  expects: { bridge: 'br0', subnets: ['10.1.0.0/24', 'fd00::/64'], gateway: true, masquerade: true },
};
const attached: Attached = {
  network,
  containerId: 'cid',
  netns: '/run/netns/pod',
  result: {
    cniVersion: '1.1.0',
    interfaces: [
      { name: 'br0', mac: '0a:00:00:00:00:01' },
      { name: 'veth1', mac: '0a:00:00:00:00:02' },
      { name: 'eth0', mac: '0a:00:00:00:00:AA', sandbox: '/run/netns/pod' },
    ],
    ips: [
      { address: '10.1.0.2/24', gateway: '10.1.0.1', interface: 2 },
      { address: 'fd00::2/64', gateway: 'fd00::1', interface: 2 },
    ],
    routes: [{ dst: '0.0.0.0/0' }, { dst: 'fd01::5/64', gw: 'fd00::9' }],
  },
};
const link = (name: string, more: Partial<LinkState>): LinkState => ({
  name,
  index: 5,
  kind: 'veth',
  mac: '0a:00:00:00:00:02',
  up: true,
  peer: 2,
  alias: '',
  addresses: [],
  routes: [],
  ...more,
});
const eth0 = link('eth0', {
  index: 2,
  peer: 5,
  mac: '0a:00:00:00:00:aa',
  addresses: ['10.1.0.2/24', 'fd00::2/64', 'fe80::1/64'],
  routes: [{ dst: '10.1.0.0/24' }, { dst: '0.0.0.0/0', gateway: '10.1.0.1' }, { dst: 'fd01::/64', gateway: 'fd00::9' }],
});
const veth = link('veth1', { master: 'br0', alias: 'net/cid/eth0' });
const bridge = link('br0', { index: 3, kind: 'bridge', peer: 0, mac: 'ff:ff:ff:ff:ff:ff', addresses: ['10.1.0.1/24', 'fd00::1/64'] });
const well: AttachmentState = {
  pod: { links: [eth0], listeners: [{ protocol: 'tcp', address: '', port: 80 }] },
  hostLinks: [bridge, veth],
  elements: [],
  missingElements: [],
  tableDamage: [],
  dropping: [],
  leases: [
    { address: '10.1.0.2', containerId: 'cid', ifName: 'eth0', path: '/x' },
    { address: 'fd00::2', containerId: 'cid', ifName: undefined, path: '/y' },
  ],
  cache: '/var/lib/cni/results/net-cid-eth0',
  forwarding: { 4: '1', 6: '1' },
  towards: { '10.1.0.2': 'br0', 'fd00::2': 'br0' },
  routeLocalnet: { device: 'br0', value: '1' },
};
const inPod = (changes: Partial<LinkState>): AttachmentState => ({ ...well, pod: { listeners: [], links: [{ ...eth0, ...changes }] } });
const texts = (state: AttachmentState, what = attached): string[] => compareAttachment(what, state).map(differenceText);

test('as it was made: no difference, no finding; a bridge may have drifted to another MAC', () => {
  expect(texts(well)).toEqual([]);
  expect(diagnose(attached, well)).toEqual([]);
});

describe('one thing at a time', () => {
  test.each<[string, AttachmentState, string[]]>([
    ['namespace', { ...well, pod: undefined }, ['missing: network namespace /run/netns/pod']],
    ['interface', { ...well, pod: { links: [], listeners: [] } }, ['missing: interface eth0 in the pod']],
    ['down', inPod({ up: false }), ['changed: interface eth0 in the pod was up is down']],
    ['MAC', inPod({ mac: '0a:00:00:00:00:bb' }), ['changed: MAC address of eth0 in the pod was 0a:00:00:00:00:aa is 0a:00:00:00:00:bb']],
    ['address gone', inPod({ addresses: ['fd00::2/64'] }), ['missing: address 10.1.0.2/24 on eth0 in the pod']],
    [
      'another prefix length',
      inPod({ addresses: ['10.1.0.2/16', 'fd00::2/64'] }),
      ['changed: address of eth0 in the pod was 10.1.0.2/24 is 10.1.0.2/16'],
    ],
    ['link-local is no replacement', inPod({ addresses: ['10.1.0.2/24', 'fe80::1/64'] }), ['missing: address fd00::2/64 on eth0 in the pod']],
    [
      'routes',
      inPod({ routes: [{ dst: '0.0.0.0/0', gateway: '10.1.0.77' }] }),
      ['changed: route to 0.0.0.0/0 in the pod was via 10.1.0.1 is via 10.1.0.77', 'missing: route to fd01::/64 via fd00::9 in the pod'],
    ],
    ['bridge gone', { ...well, hostLinks: [veth] }, ['missing: bridge br0']],
    ['host end gone', { ...well, hostLinks: [bridge] }, ['missing: host end veth1 of eth0']],
    ['another bridge', { ...well, hostLinks: [bridge, { ...veth, master: 'docker0' }] }, ['changed: bridge of host end veth1 was br0 is docker0']],
    [
      'a host end of somebody else',
      { ...well, hostLinks: [bridge, { ...veth, index: 77 }] },
      ['changed: other end of veth1 was eth0 of the pod is another interface'],
    ],
    [
      'gateway',
      { ...well, hostLinks: [{ ...bridge, addresses: ['10.9.0.1/24', 'fd00::1/64'] }, veth] },
      ['changed: gateway address on br0 was 10.1.0.1 is 10.9.0.1/24'],
    ],
    [
      'way',
      { ...well, towards: { '10.1.0.2': 'eth9', 'fd00::2': undefined } },
      [
        "changed: the host's way to 10.1.0.2 was through br0 is through eth9",
        "changed: the host's way to fd00::2 was through br0 is none (no route)",
      ],
    ],
    [
      'forwarding',
      { ...well, forwarding: { 4: '0', 6: '0' } },
      ['changed: net.ipv4.ip_forward was 1 is 0', 'changed: net.ipv6.conf.all.forwarding was 1 is 0'],
    ],
    ['a kernel without IPv6', { ...well, forwarding: { 4: '1', 6: undefined } }, []],
    ['localnet', { ...well, routeLocalnet: { device: 'br0', value: '0' } }, ['changed: net.ipv4.conf.br0.route_localnet was 1 is 0']],
    [
      'table',
      { ...well, tableDamage: ['table inet rkt does not exist'] },
      ['missing: nftables: table inet rkt does not exist, and with it the rules of every pod'],
    ],
    [
      'lease',
      { ...well, leases: [{ address: '10.1.0.2', containerId: 'other', ifName: 'eth0', path: '/x' }] },
      ['changed: holder of the lease of 10.1.0.2 was cid/eth0 is other/eth0', 'missing: lease of fd00::2 in host-local\'s store of network "net"'],
    ],
    ['cache', { ...well, cache: undefined }, ['missing: libcni cache entry of net/cid/eth0']],
  ])('%s', (_name, state, expected) => expect(texts(state)).toEqual(expected));
});

test('a list that makes the host no router promises neither forwarding nor a way, unless ports are published', () => {
  const plain = { ...attached, network: { ...network, expects: { ...network.expects, gateway: false }, capabilityArgs: {} } };
  const state = { ...well, forwarding: { 4: '0', 6: '0' }, towards: {} };
  expect(texts(state, plain)).toEqual([]);
  const published = { ...plain, network: { ...plain.network, capabilityArgs: network.capabilityArgs } };
  expect(texts(state, published)).toEqual([
    "changed: the host's way to 10.1.0.2 was through br0 is none (no route)",
    "changed: the host's way to fd00::2 was through br0 is none (no route)",
  ]);
});

describe('findings that are no changes', () => {
  const whats = (what: Attached, state: AttachmentState): string[] => diagnose(what, state).map((finding) => finding.what);
  test('an address that IPAM took from elsewhere, a gateway beside the subnet', () => {
    const odd = { ...attached, result: { ...attached.result, ips: [{ address: '10.7.0.2/24', gateway: '10.1.0.1', interface: 2 }] } };
    expect(whats(odd, well)).toEqual(
      expect.arrayContaining([
        'address 10.7.0.2/24 of eth0 is in no subnet of network "net" (10.1.0.0/24)',
        'gateway 10.1.0.1 of eth0 is not in the subnet of its address 10.7.0.2/24',
      ]),
    );
    const ranges = { ...odd, network: { ...network, capabilityArgs: { ipRanges: [] } } };
    expect(whats(ranges, well).join()).not.toContain('is in no subnet');
  });
  test('a chain of somebody else that drops by default, unless it knows the pod or is of another family', () => {
    const dropping = (family: 'inet' | 'ip' | 'ip6', knowsPod: boolean): AttachmentState => ({
      ...well,
      dropping: [{ chain: `${family} filter FORWARD`, family, knowsPod }],
    });
    expect(whats(attached, dropping('ip', false))).toEqual([
      'chain ip filter FORWARD drops what none of its rules accepts, and no rule of its table speaks of the pod',
    ]);
    expect(whats(attached, dropping('ip', true))).toEqual([]);
    const only4 = { ...attached, result: { ...attached.result, ips: (attached.result.ips ?? []).slice(0, 1), routes: [{ dst: '0.0.0.0/0' }] } };
    expect([whats(only4, dropping('ip6', false)), whats(only4, dropping('inet', false)).length]).toEqual([[], 1]);
    const bridged = { ...attached, network: { ...network, expects: { ...network.expects, gateway: false } } };
    expect(whats(bridged, dropping('ip', false))).toEqual([]);
  });
  test('who listens', () => {
    const listening = (...addresses: string[]): AttachmentState => ({
      ...well,
      pod: { links: [eth0], listeners: addresses.map((address) => ({ protocol: 'tcp', address, port: 80 })) },
    });
    expect(whats(attached, listening())).toEqual(['nothing in the pod listens on tcp 80']);
    expect(whats(attached, listening('127.0.0.1'))).toEqual(['the pod listens on tcp 80 only at 127.0.0.1']);
    expect(whats(attached, listening('127.0.0.1', '10.1.0.2'))).toEqual([]);
    const udp = {
      ...attached,
      network: { ...network, capabilityArgs: { portMappings: [{ hostPort: 53, containerPort: 80, protocol: 'udp' as const }] } },
    };
    expect(whats(udp, listening(''))).toEqual(['nothing in the pod listens on udp 80']);
  });
  test('calls that failed last', () => {
    const call = (verb: 'ADD' | 'CHECK' | 'DEL', exit: number, stdout = '', stderr = '') => ({
      verb,
      network: 'net',
      plugin: 'x',
      via: '/x',
      env: {},
      stdin: '',
      stdout,
      stderr,
      ms: 1,
      exit,
      notes: [],
    });
    expect(failedCalls([call('ADD', 1), call('ADD', 0), call('CHECK', 1)])).toEqual([]);
    const failed = failedCalls([call('ADD', 1, '{"code":11,"msg":"later","details":"d"}'), call('DEL', -1, '', 'oops')]);
    expect(failed.map(({ what, effect }) => [what, effect])).toEqual([
      ['the last ADD of plugin x of network "net" failed with status 1', 'it said: later; d'],
      ['the last DEL of plugin x of network "net" failed (it did not end by itself)', 'it said: oops'],
    ]);
  });
});

test('/proc/net/tcp and tcp6: only listening sockets, addresses in host order', () => {
  const head = '  sl  local_address rem_address   st\n';
  expect(
    parseListeners(
      `${head}   0: 0100007F:1F90 00000000:0000 0A 0\n   1: 00000000:0050 00000000:0000 0A 0\n   2: 0200A8C0:0051 0300A8C0:0052 01 0\n   3: 000080FE00000000FF005450B6AD1DFE:0016 00:0 0A\n`,
      'tcp',
    ),
  ).toEqual([
    { protocol: 'tcp', address: '127.0.0.1', port: 8080 },
    { protocol: 'tcp', address: '', port: 80 },
    { protocol: 'tcp', address: 'fe80::5054:ff:fe1d:adb6', port: 22 },
  ]);
  expect(parseListeners(`${head} 0: 00000000:0035 00000000:0000 07 0\n 1: 00000000:0036 00000001:0001 01 0\n`, 'udp')).toEqual([
    { protocol: 'udp', address: '', port: 53 },
  ]);
});
