import { describe, expect, test } from 'vitest';
import { isCreatedByRkt } from '../../../../src/net/conf/created.ts';
import { parseList } from '../../../../src/net/conf/parse.ts';
import { defineNetwork } from '../../../../src/net/create/define.ts';
import type { DefinitionFacts, NetworkRequest } from '../../../../src/net/create/request.ts';
import type { RuntimeError } from '../../../../src/model/errors.ts';

const existing = (name: string, bridge: string, subnet: string) => {
  const plugin = { type: 'bridge', bridge, isGateway: true, ipam: { type: 'host-local', subnet } };
  const parsed = parseList(
    { path: `/etc/rkt/net.d/${name}.conflist`, text: JSON.stringify({ cniVersion: '1.0.0', name, plugins: [plugin] }) },
    'admin',
    () => [],
  );
  return 'ok' in parsed ? parsed.ok : expect.fail(JSON.stringify(parsed.faults));
};
const facts: DefinitionFacts = {
  routes: [
    { destination: '0.0.0.0/0', device: 'eth0', kind: 'route', gateway: '192.168.1.1' },
    { destination: '10.89.0.0/24', device: 'vpn0', kind: 'route' },
  ],
  pluginPath: ['/etc/rkt/net.d'],
  executables: { macvlan: '/usr/lib/cni/macvlan', 'host-local': '/usr/lib/cni/host-local', dhcp: '/usr/lib/cni/dhcp' },
  versions: {},
  configs: { networks: [existing('old', 'rkt-taken', '10.89.1.0/24')], faulty: [], notices: [] },
  builtinTypes: ['bridge', 'ptp', 'host-local', 'portmap', 'firewall', 'dnsname'],
  links: ['lo', 'eth0'],
  files: ['20-old.conflist'],
  directory: '/etc/rkt/net.d',
  hasDnsmasq: true,
  globalId: '0123456789',
};
const request = (over: Partial<NetworkRequest> = {}): NetworkRequest => ({
  name: 'web',
  driver: 'bridge',
  subnets: [],
  gateways: [],
  ranges: [],
  ipv6: false,
  isolate: false,
  internal: false,
  mtu: undefined,
  dns: undefined,
  parent: undefined,
  ...over,
});
const define = (over: Partial<NetworkRequest> = {}, more: Partial<DefinitionFacts> = {}) => {
  const defined = defineNetwork(request(over), { ...facts, ...more });
  return { ...defined, list: JSON.parse(defined.text) as { plugins: { type: string; ipam?: object }[] } };
};
const faultsOf = (over: Partial<NetworkRequest>, more: Partial<DefinitionFacts> = {}): string[] => {
  try {
    define(over, more);
  } catch (error) {
    const { code, message, details } = error as RuntimeError;
    expect(code).toBe('ERR_NET_DEFINITION');
    return details.length === 0 ? [message] : [...details];
  }
  return expect.fail('nothing was refused');
};

describe('what is chosen', () => {
  test('the first subnet of the pool that neither a route nor a network has, the next number, a bridge of the name', () => {
    const { subnets, path, bridge, text, list } = define();
    expect([subnets, path, bridge]).toEqual([['10.89.2.0/24'], '/etc/rkt/net.d/21-web.conflist', 'rkt-web']);
    expect(isCreatedByRkt(text)).toBe(true);
    expect(list.plugins.map(({ type }) => type)).toEqual(['bridge', 'portmap', 'firewall', 'dnsname']);
  });
  test('IPv6: a subnet below our own global ID, and a way out for both families', () => {
    const { subnets, list } = define({ ipv6: true });
    expect(subnets).toEqual(['10.89.2.0/24', 'fd01:2345:6789::/64']);
    expect(list.plugins[0]?.ipam).toMatchObject({ routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }] });
  });
  test('only IPv6', () => expect(define({ subnets: ['fd00:1::/64'] }).subnets).toEqual(['fd00:1::/64']));
  test('a bridge whose name is taken or too long is numbered', () => {
    expect(define({ name: 'taken' }).bridge).toBe('rkt1');
    expect(define({ name: 'a-very-long-network-name' }).bridge).toBe('rkt1');
  });
  test('a full pool is a fault', () => {
    const routes = [{ destination: '10.88.0.0/14', device: 'vpn0', kind: 'route' as const }];
    expect(faultsOf({}, { routes })).toEqual([expect.stringContaining('no free IPv4 subnet is left in 10.89.0.0/16')]);
  });
  test('the halves of a VPN’s default route take nothing', () => {
    const routes = [{ destination: '0.0.0.0/1', device: 'vpn0', kind: 'route' as const }];
    expect(define({}, { routes }).subnets).toEqual(['10.89.0.0/24']);
  });
});

describe('what the flags make', () => {
  test('gateway and range reach host-local; the range leaves out what no pod can have', () => {
    const { list } = define({ subnets: ['10.5.0.0/24'], gateways: ['10.5.0.254'], ranges: ['10.5.0.128/25'] });
    expect(list.plugins[0]?.ipam).toMatchObject({
      ranges: [[{ subnet: '10.5.0.0/24', rangeStart: '10.5.0.128', rangeEnd: '10.5.0.254', gateway: '10.5.0.254' }]],
    });
  });
  test('internal: no masquerade, no way out, no published ports, closed to other networks', () => {
    const { list } = define({ internal: true });
    expect(list.plugins.map(({ type }) => type)).toEqual(['bridge', 'firewall', 'dnsname']);
    expect(list.plugins[0]).not.toHaveProperty('ipMasq');
    expect(list.plugins[0]?.ipam).not.toHaveProperty('routes');
    expect(list.plugins[1]).toMatchObject({ ingressPolicy: 'same-bridge' });
    expect(list.plugins[2]).toMatchObject({ forward: false });
  });
  test('isolated ptp is closed to every pod', () =>
    expect(define({ driver: 'ptp', isolate: true }).list.plugins.at(-1)).toMatchObject({ ingressPolicy: 'isolated' }));
  test('macvlan has neither bridge nor rules', () => {
    const { list, bridge } = define({ driver: 'macvlan', parent: 'eth0', subnets: ['192.168.1.0/24'], gateways: ['192.168.1.1'] });
    expect([list.plugins.map(({ type }) => type), bridge]).toEqual([['macvlan'], undefined]);
    expect(list.plugins[0]).toMatchObject({ master: 'eth0', mode: 'bridge' });
  });
  test('macvlan without a subnet asks the DHCP server of the parent’s network', () => {
    const { list, subnets } = define({ driver: 'macvlan', parent: 'eth0' });
    expect([list.plugins[0]?.ipam, subnets]).toEqual([{ type: 'dhcp' }, []]);
  });
  test.each([
    ['8.8.8.0/24', true],
    ['100.64.0.0/10', false],
    ['192.168.0.0/15', true],
    ['198.18.0.0/24', false],
    ['2606:4700::/64', true],
    ['fd00:1::/64', false],
  ])('%s: addresses of somebody on the Internet? %s', (subnet, isPublic) => {
    expect(define({ subnets: [subnet] }).warnings.some((warning) => warning.includes(`subnet ${subnet} is of the public Internet`))).toBe(isPublic);
  });
  test('no dnsmasq: no name server, and it is said unless it was meant', () => {
    const silent = define({ dns: false }, { hasDnsmasq: false });
    const told = define({}, { hasDnsmasq: false });
    expect([silent.warnings, told.warnings]).toEqual([[], [expect.stringContaining('dnsmasq is not installed')]]);
    expect(told.list.plugins.map(({ type }) => type)).not.toContain('dnsname');
  });
});

describe('what is refused', () => {
  test.each<[string, Partial<NetworkRequest>, RegExp]>([
    ['no name', { name: '../x' }, /is no network name/],
    ['a reserved name', { name: 'host' }, /means something else/],
    ['a taken name', { name: 'old' }, /already: \/etc\/rkt\/net.d\/old.conflist/],
    ['a name that is too long for a file', { name: 'n'.repeat(201) }, /longer than 200/],
    ['host bits', { subnets: ['10.5.0.1/24'] }, /did you mean 10.5.0.0\/24/],
    ['too small', { subnets: ['10.5.0.0/31'] }, /too small/],
    ['loopback', { subnets: ['127.0.0.0/24'] }, /hosts cannot have/],
    ['link-local IPv6', { subnets: ['fe80::/64'] }, /hosts cannot have/],
    ['two of a family', { subnets: ['10.5.0.0/24', '10.6.0.0/24'] }, /more than one IPv4 subnet/],
    ['a host route’s subnet', { subnets: ['10.89.0.128/25'] }, /overlaps the route 10.89.0.0\/24 on device vpn0/],
    ['another network’s subnet', { subnets: ['10.89.0.0/16'] }, /of network "old"/],
    ['a gateway outside', { subnets: ['10.5.0.0/24'], gateways: ['10.6.0.1'] }, /is in no --subnet/],
    ['the broadcast address as gateway', { subnets: ['10.5.0.0/24'], gateways: ['10.5.0.255'] }, /is no address for a host/],
    ['two gateways', { subnets: ['10.5.0.0/24'], gateways: ['10.5.0.1', '10.5.0.2'] }, /given twice/],
    ['a range that is larger', { subnets: ['10.5.0.0/24'], ranges: ['10.5.0.0/16'] }, /larger than its subnet/],
    ['a range without an address', { subnets: ['10.5.0.0/24'], ranges: ['10.5.0.255/32'] }, /holds no address/],
    ['an MTU too small for IPv6', { ipv6: true, mtu: '1000' }, /too small for IPv6/],
    ['an MTU that is none', { mtu: '9000x' }, /not a number/],
    ['macvlan with an IPv6 subnet of our own', { driver: 'macvlan', parent: 'eth0', ipv6: true }, /macvlan needs --subnet/],
    ['macvlan by DHCP without a way out', { driver: 'macvlan', parent: 'eth0', internal: true }, /--internal needs --subnet/],
    ['an unknown parent', { driver: 'macvlan', parent: 'eth9', subnets: ['192.168.1.0/24'] }, /no interface of this machine: eth0/],
    ['a name server without a bridge', { driver: 'ptp', dns: true }, /needs a bridge/],
  ])('%s', (_, over, expected) => {
    expect(faultsOf(over).join('\n')).toMatch(expected);
  });
  test('everything at once', () => expect(faultsOf({ name: 'old', subnets: ['x'], gateways: ['y'], mtu: '0', parent: 'eth0' })).toHaveLength(5));
  test('a plugin that is not installed', () => {
    const macvlan = { driver: 'macvlan', parent: 'eth0', subnets: ['192.168.1.0/24'] } as const;
    expect(faultsOf(macvlan, { executables: {} }).join('\n')).toContain('plugin "macvlan"');
  });
});
