import { describe, expect, test } from 'vitest';
import { readConf } from '../../../cni-plugins/dhcp/conf.ts';
import { parseLease, resultOf } from '../../../cni-plugins/dhcp/lease.ts';
import type { PluginRequest } from '../../../src/model/cni/plugin.ts';

const leaseText = (fields: Record<string, string>): string =>
  Object.entries({ uptime: '100.5', ip: '10.4.0.9', mask: '24', lease: '3600', serverid: '10.4.0.1', ...fields })
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
const result = (fields: Record<string, string>, options = { priority: 0, suppressGateway: false }) => {
  const lease = parseLease(leaseText(fields));
  if (lease === undefined) throw new Error('no lease');
  return resultOf(lease, options);
};

describe('a lease as a result', () => {
  test('the router is gateway and default route', () =>
    expect(result({ router: '10.4.0.1 10.4.0.2', dns: '1.1.1.1' })).toEqual({
      cniVersion: '1.1.0',
      ips: [{ address: '10.4.0.9/24', gateway: '10.4.0.1' }],
      routes: [{ dst: '0.0.0.0/0', gw: '10.4.0.1' }],
    }));
  test('without a router there is neither', () => expect(result({})).toEqual({ cniVersion: '1.1.0', ips: [{ address: '10.4.0.9/24' }] }));
  test('option 33 by class, then the default route; what is no destination is left out', () =>
    expect(
      result({ router: '10.4.0.1', routes: '10.1.2.3/10.4.0.2 172.16.9.9/10.4.0.3 192.168.9.0/10.4.0.8 224.0.0.1/10.4.0.4 0.0.0.0/10.4.0.5 x/y' })
        .routes,
    ).toEqual([
      { dst: '10.0.0.0/8', gw: '10.4.0.2' },
      { dst: '172.16.0.0/16', gw: '10.4.0.3' },
      { dst: '192.168.9.0/24', gw: '10.4.0.8' },
      { dst: '0.0.0.0/0', gw: '10.4.0.1' },
    ]));
  test('option 121 replaces option 33 and the default route, not the gateway', () =>
    expect(
      result({ router: '10.4.0.1', routes: '192.168.9.0/10.4.0.8', staticroutes: '10.5.0.0/16 10.4.0.9 10.4.1.0/24 0.0.0.0 odd' }),
    ).toMatchObject({
      ips: [{ gateway: '10.4.0.1' }],
      routes: [
        { dst: '10.5.0.0/16', gw: '10.4.0.9' },
        { dst: '10.4.1.0/24', gw: '0.0.0.0' },
      ],
    }));
  test('priority is of every route; suppress drops gateway and default routes', () => {
    const routes = { router: '10.4.0.1', staticroutes: '10.5.0.0/16 10.4.0.9 0.0.0.0/0 10.4.0.1' };
    expect(result(routes, { priority: 7, suppressGateway: false }).routes?.map(({ priority }) => priority)).toEqual([7, 7]);
    expect(result(routes, { priority: 0, suppressGateway: true })).toEqual({
      cniVersion: '1.1.0',
      ips: [{ address: '10.4.0.9/24' }],
      routes: [{ dst: '10.5.0.0/16', gw: '10.4.0.9' }],
    });
  });
  test('no subnet mask', () => expect(() => result({ mask: '' })).toThrow('DHCP option Subnet Mask not found in DHCPACK'));
  test('when it ends', () => {
    expect(parseLease(leaseText({}))?.expiresUptimeSeconds).toBe(3700.5);
    expect(parseLease(leaseText({ lease: '4294967295' }))?.expiresUptimeSeconds).toBe(Number.POSITIVE_INFINITY);
    expect(parseLease(leaseText({ lease: '' }))?.expiresUptimeSeconds).toBe(Number.POSITIVE_INFINITY);
  });
  test.each(['', 'ip=10.4.0.9\n', leaseText({ ip: 'x' }), leaseText({ uptime: '', ip: '' })])('no lease: %j', (text) =>
    expect(parseLease(text)).toBeUndefined(),
  );
});

const request = (ipam: object | undefined, more: Partial<PluginRequest> = {}): PluginRequest => ({
  command: 'ADD',
  containerId: 'c1',
  netns: '/run/netns/x',
  ifName: 'eth0',
  args: new Map([['K8S_POD_NAME', 'web-0']]),
  path: [],
  prevResult: undefined,
  validAttachments: [],
  conf: { name: 'n1', cniVersion: '1.1.0', type: 'bridge', ...(ipam === undefined ? {} : { ipam: { type: 'dhcp', ...ipam } }) },
  ...more,
});
const provided = (ipam: object, more: Partial<PluginRequest> = {}): Record<number, string> =>
  Object.fromEntries([...readConf(request(ipam, more)).provide].map(([number, bytes]) => [number, bytes.toString('latin1')]));

describe('configuration', () => {
  test('defaults', () =>
    expect(readConf(request({}))).toMatchObject({ timeoutMs: 20_000, priority: 0, suppressGateway: false, request: [1, 3, 33, 121], notes: [] }));
  test('the client identifier: type 0, container, network, interface, cut to what an option holds', () => {
    expect(provided({})).toEqual({ 61: '\0c1/n1/eth0' });
    expect(provided({}, { containerId: 'x'.repeat(300) })[61]).toBe(`\0${'x'.repeat(254)}`);
  });
  test('provide: by name or number, from CNI_ARGS when they have it, and in the place of our identifier', () =>
    expect(
      provided({
        provide: [
          { option: 'host-name', value: 'ignored', fromArg: 'K8S_POD_NAME' },
          { option: 'user-class', value: 'kept', fromArg: 'NOT_THERE' },
          { option: '60', value: 'rkt' },
          { option: 'dhcp-client-identifier', value: 'me' },
          { option: '66', value: '' },
        ],
      }),
    ).toEqual({ 12: 'web-0', 77: 'kept', 60: 'rkt', 61: 'me' }));
  test('request: besides the defaults, or instead of them', () => {
    expect(readConf(request({ request: [{ option: '42' }, { option: 'routers' }] })).request).toEqual([1, 3, 33, 42, 121]);
    expect(readConf(request({ request: [{ option: '42', skipDefault: true }, { option: 'subnet-mask' }] })).request).toEqual([1, 42]);
    expect(readConf(request({ request: [{ skipDefault: true }] })).request).toEqual([]);
  });
  test('the socket of a daemon that there is not', () =>
    expect(readConf(request({ daemonSocketPath: '/run/x.sock' })).notes).toMatchObject([{ what: 'dhcp' }]));
  test.each<[object | undefined, number, string]>([
    [undefined, 7, "IPAM config missing 'ipam' key"],
    [{ provide: [{ option: 'tftp', value: 'x' }] }, 7, 'Can not parse option "tftp"'],
    [{ request: [{ option: '256' }] }, 7, 'Can not parse option "256"'],
    [{ request: [{}] }, 7, 'Can not parse option ""'],
    [{ provide: [{ option: '53', value: 'x' }] }, 2, `option "53" is the protocol's own`],
    [{ provide: [{ option: '60', value: 'é'.repeat(128) }] }, 7, 'value too long for option "60"'],
    [{ suppress: ['dns'] }, 7, 'unknown suppress value "dns" (supported: "gateway")'],
    [{ timeoutMs: 10 }, 7, 'ipam.timeoutMs must be a whole number from 1000 to 600000, not 10'],
    [{ priority: -1 }, 7, 'ipam.priority must be'],
  ])('%j', (ipam, code, message) =>
    expect(() => readConf(request(ipam))).toThrow(expect.objectContaining({ cniCode: code, message: expect.stringContaining(message) as string })),
  );
});
