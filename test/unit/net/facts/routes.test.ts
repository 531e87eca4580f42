import { expect, test } from 'vitest';
import { parseRoutes4, parseRoutes6 } from '../../../../src/net/facts/routes.ts';

test('/proc/net/route', () => {
  const text = [
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT',
    'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0',
    'eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'veth1\t021C10AC\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0',
    'tun0\t000010AC\t0100080A\t0003\t0\t0\t50\t0000F0FF\t0\t0\t0',
    '*\t0000000A\t00000000\t0200\t0\t0\t0\t000000FF\t0\t0\t0',
    '*\t0000000A\t00000000\t0201\t0\t0\t0\t000000FF\t0\t0\t0',
    '*\t0000630A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0',
    '',
  ].join('\n');
  expect(parseRoutes4(text)).toEqual([
    { destination: '0.0.0.0/0', device: 'eth0', kind: 'route', gateway: '192.0.2.1' },
    { destination: '192.0.2.0/24', device: 'eth0', kind: 'route' },
    { destination: '172.16.28.2/32', device: 'veth1', kind: 'route' },
    { destination: '172.16.0.0/12', device: 'tun0', kind: 'route', gateway: '10.8.0.1' },
    { destination: '10.0.0.0/8', device: '', kind: 'reject' },
    { destination: '10.99.0.0/16', device: '', kind: 'reject' },
  ]);
});

test('/proc/net/ipv6_route', () => {
  const none = '00000000000000000000000000000000';
  const line = (destination: string, prefix: string, gateway: string, flags: string, device: string): string =>
    `${destination} ${prefix} ${none} 00 ${gateway} 00000100 00000001 00000000 ${flags} ${device.padStart(8)}`;
  const text = [
    line('fd000000000000000000000000000000', '40', none, '00000001', 'eth0'),
    line('fe800000000000000000000000000000', '40', none, '00000001', 'eth0'),
    line(none, '00', 'fd000000000000000000000000000001', '00000003', 'eth0'),
    line('fd000000000000000000000000000002', '80', none, '80200001', 'eth0'),
    line('fd000000000000000000000000000000', '80', none, '00100001', 'eth0'),
    line('ff000000000000000000000000000000', '08', none, '00000001', 'eth0'),
    line(none, '00', none, '00200200', 'lo'),
    line('fd010000000000000000000000000000', '30', none, '00200200', 'lo'),
    '',
  ].join('\n');
  expect(parseRoutes6(text)).toEqual([
    { destination: 'fd00::/64', device: 'eth0', kind: 'route' },
    { destination: '::/0', device: 'eth0', kind: 'route', gateway: 'fd00::1' },
    { destination: 'fd01::/48', device: '', kind: 'reject' },
  ]);
});
