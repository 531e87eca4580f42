import { describe, expect, test } from 'vitest';
import type { PortFacts } from '../../../../src/net/facts/types.ts';
import { settlePorts } from '../../../../src/net/plan/ports.ts';
import { parsePortArgs, resolvePorts } from '../../../../src/net/ports.ts';
import type { PlannedNetwork } from '../../../../src/model/plan.ts';

const network = (...subnets: string[]): PlannedNetwork =>
  ({
    name: 'n',
    capabilityArgs: {},
    expects: { subnets, gateways: ['10.1.0.1', 'fd01::1'], gateway: true, masquerade: true },
  }) as unknown as PlannedNetwork;
const dual = network('10.1.0.0/24', 'fd01::/64');
const four = network('10.1.0.0/24');
const machine: PortFacts = {
  addresses: ['127.0.0.1', '192.0.2.1', '::1', '2001:db8::1'],
  nonlocal: [],
  sockets: [],
  published: [],
  choice: { first: 50_000, last: 50_003, start: 50_002 },
  sctp: true,
  warnings: [],
};
const settle = (values: string[], facts: Partial<PortFacts> = {}, on = dual) =>
  settlePorts(resolvePorts(parsePortArgs(values), []), on, [on], { ...machine, ...facts });
const hostPorts = (...args: Parameters<typeof settle>): number[] => settle(...args).ports.map(({ hostPort }) => hostPort);
const faults = (...args: Parameters<typeof settle>): string[] => {
  try {
    settle(...args);
  } catch (error) {
    const { code, details, message } = error as { code: string; details: string[]; message: string };
    expect(code).toBe('ERR_NET_PORTS');
    return details.length > 0 ? details : [message];
  }
  return [];
};
const socket = (address: string, port = 80, protocol: 'tcp' | 'udp' = 'tcp') => ({ protocol, address, port, uid: 0, holder: 'pid 7 (httpd)' });
const published = (port: string, families: (4 | 6)[] = [4]) => ({
  ...(resolvePorts(parsePortArgs([port]), [])[0] ?? expect.fail(port)),
  pod: 'uuid',
  apps: ['web'],
  families,
});

describe('a process of the host', () => {
  test.each<[string, string, boolean]>([
    ['80:1', '0.0.0.0', true],
    ['80:1', '::', true],
    ['80:1', '127.0.0.1', true],
    ['80:1', '192.0.2.1', true],
    ['80:1', '::1', false],
    ['80:1', '224.0.0.251', false],
    ['81:1', '0.0.0.0', false],
    ['80:1/udp', '0.0.0.0', false],
    ['127.0.0.1:80:1', '192.0.2.1', false],
    ['127.0.0.1:80:1', '127.0.0.1', true],
    ['127.0.0.1:80:1', '::', true],
    ['127.0.0.1:80:1', '2001:db8::1', false],
    ['[2001:db8::1]:80:1', '0.0.0.0', false],
    ['[2001:db8::1]:80:1', '::', true],
    ['79-81:1-3', '192.0.2.1', true],
  ])('--port=%s while %s listens on 80/tcp: refused %s', (value, address, isRefused) => {
    expect(faults([value], { sockets: [socket(address)] })).toEqual(
      isRefused ? [expect.stringMatching(/host port 80\/tcp.* is in use by pid 7 \(httpd\), which listens on /)] : [],
    );
  });
  test('on IPv6 alone it is not in the way of a network without IPv6', () => {
    expect(faults(['80:1'], { sockets: [socket('2001:db8::1')] }, four)).toEqual([]);
    expect(faults(['80:1'], { sockets: [socket('::')] }, four)).toHaveLength(1);
  });
  test('whom nobody may see', () => {
    const { holder: _unknown, ...nobody } = socket('0.0.0.0');
    expect(faults(['80:1'], { sockets: [nobody] })[0]).toContain('is in use by a process of user 0');
  });
});

describe('another pod', () => {
  test.each<[string, string, boolean]>([
    ['80:1', '80:2', true],
    ['80:1', '80:2/udp', false],
    ['80:1', '127.0.0.1:80:2', true],
    ['0.0.0.0:80:1', '127.0.0.1:80:2', true],
    ['[::]:80:1', '127.0.0.1:80:2', false],
    ['192.0.2.1:80:1', '127.0.0.1:80:2', false],
    ['[2001:db8::1]:80:1', '80:2', false],
  ])('--port=%s while a pod with IPv4 has %s: refused %s', (value, other, isRefused) => {
    expect(faults([value], { published: [published(other)] })).toEqual(
      isRefused ? [expect.stringMatching(/host port 80\/tcp.* is published by pod uuid \(web\)/)] : [],
    );
  });
});

test('a pod with a name is told with it', () => {
  expect(faults(['80:1'], { published: [{ ...published('80:2'), podName: 'shop' }] })).toEqual([expect.stringContaining('by pod uuid "shop" (web)')]);
});

describe('addresses', () => {
  test('one the machine does not have is refused, unless addresses may come later', () => {
    expect(faults(['192.0.2.7:80:1'])).toEqual(['host port 80/tcp on 192.0.2.7: this machine has no address 192.0.2.7']);
    expect(settle(['192.0.2.7:80:1'], { nonlocal: [4] }).warnings).toEqual([expect.stringContaining('does not have the address yet')]);
  });
  test('gateways of the pod’s networks and all of 127.0.0.0/8 will do', () => {
    expect(hostPorts(['10.1.0.1:80:1', '[fd01::1]:81:1', '127.7.7.7:82:1'])).toEqual([80, 81, 82]);
  });
  test('of a family the network does not have', () => {
    expect(faults(['[2001:db8::1]:80:1', '[::]:81:1'], {}, four)).toEqual([
      'host port 80/tcp on 2001:db8::1: network "n" gives the pod no IPv6 address',
      'host port 81/tcp on ::: network "n" gives the pod no IPv6 address',
    ]);
  });
});

describe('host port 0', () => {
  test('the next free one from the start on, around the range', () => {
    expect(hostPorts(['0:1'])).toEqual([50_002]);
    expect(hostPorts(['0:1-3'])).toEqual([50_002, 50_003, 50_000]);
    expect(hostPorts(['0:1'], { sockets: [socket('::', 50_002)], published: [published('50003:1')] })).toEqual([50_000]);
    expect(hostPorts(['0:1', '50002:7', '0:1/udp'])).toEqual([50_003, 50_002, 50_002]);
  });
  test('none is left', () => {
    expect(faults(['0:1-5'])).toEqual(['no free host port for pod port 5/tcp']);
  });
});

test('SCTP where the kernel cannot', () => {
  expect(faults(['80:1/sctp'], { sctp: false })).toEqual(['host port 80/sctp: the kernel cannot translate SCTP (nf_conntrack without it)']);
});

test('every fault at once', () => {
  expect(faults(['192.0.2.7:80:1', '81:1', '82:1'], { sockets: [socket('::', 81)], published: [published('82:1')] })).toHaveLength(3);
});
