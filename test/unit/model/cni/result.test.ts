import { describe, expect, test } from 'vitest';
import { formatResult, parseResult } from '../../../../src/model/cni/result.ts';
import { cniVersions, type CniResult } from '../../../../src/model/cni/types.ts';

const full: CniResult = {
  cniVersion: '1.1.0',
  interfaces: [
    { name: 'br0', mac: '00:00:00:00:00:01', mtu: 1400, socketPath: '/s', pciID: '0000:00:01.0' },
    { name: 'eth0', sandbox: '/run/netns/x' },
  ],
  ips: [{ interface: 0, address: '10.1.2.3/24', gateway: '10.1.2.1' }, { address: 'fd00::2/64' }, { address: '10.9.0.1/16' }],
  routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1', mtu: 1400, advmss: 1300, priority: 5, table: 0, scope: 0 }, { dst: 'fd01::/64' }],
  dns: { nameservers: ['10.1.2.1'], search: ['a.example'] },
};
const throughWire = (version: string): CniResult => parseResult(JSON.parse(JSON.stringify(formatResult(full, version))), version);

describe('results on the wire', () => {
  test('K1: 0.1.0 and 0.2.0 differ by the version only', () => {
    expect(formatResult(full, '0.1.0')).toEqual({ ...formatResult(full, '0.2.0'), cniVersion: '0.1.0' });
  });
  test('K2: ip4 and ip6 become ips, v4 first, routes joined', () => {
    const old = {
      ip6: { ip: 'fd00::2/64', routes: [{ dst: '::/0' }] },
      ip4: { ip: '10.0.0.2/24', gateway: '10.0.0.1', routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }] },
      dns: { domain: 'x' },
    };
    expect(parseResult(old, '0.2.0')).toEqual({
      cniVersion: '1.1.0',
      ips: [{ address: '10.0.0.2/24', gateway: '10.0.0.1' }, { address: 'fd00::2/64' }],
      routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }, { dst: '::/0' }],
      dns: { domain: 'x' },
    });
  });
  test('K3: 0.3.0, 0.3.1 and 0.4.0 are one shape', () => {
    for (const version of ['0.3.0', '0.3.1']) expect(formatResult(full, version)).toEqual({ ...formatResult(full, '0.4.0'), cniVersion: version });
  });
  test('K4: from 0.4.0 the family is dropped, indexes are kept', () => {
    const old = { cniVersion: '0.4.0', interfaces: [{ name: 'eth0' }], ips: [{ version: '4', interface: 0, address: '10.0.0.2/24' }] };
    expect(parseResult(old, '0.4.0')).toEqual({
      cniVersion: '1.1.0',
      interfaces: [{ name: 'eth0' }],
      ips: [{ interface: 0, address: '10.0.0.2/24' }],
    });
  });
  test('K5: to 0.4.0 the family comes from the address; mtu, socketPath and pciID are lost, route options are not', () => {
    const wire = formatResult(full, '0.4.0');
    expect(wire['interfaces']).toEqual([
      { name: 'br0', mac: '00:00:00:00:00:01' },
      { name: 'eth0', sandbox: '/run/netns/x' },
    ]);
    expect(wire['ips']).toEqual([
      { version: '4', interface: 0, address: '10.1.2.3/24', gateway: '10.1.2.1' },
      { version: '6', address: 'fd00::2/64' },
      { version: '4', address: '10.9.0.1/16' },
    ]);
    expect(wire['routes']).toEqual(full.routes);
  });
  test('K6: to 0.2.0 the first address of each family survives with dst and gw of its routes', () => {
    expect(formatResult(full, '0.2.0')).toEqual({
      cniVersion: '0.2.0',
      ip4: { ip: '10.1.2.3/24', gateway: '10.1.2.1', routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }] },
      ip6: { ip: 'fd00::2/64', routes: [{ dst: 'fd01::/64' }] },
      dns: full.dns,
    });
  });
  test('K6: without an address there is no such result', () => {
    expect(() => formatResult({ cniVersion: '1.1.0', interfaces: [{ name: 'br0' }] }, '0.2.0')).toThrow('cannot convert: no valid IP addresses');
  });
  test('K7: 1.0.0 and 1.1.0 differ by the version only', () => {
    expect(formatResult(full, '1.0.0')).toEqual({ ...formatResult(full, '1.1.0'), cniVersion: '1.0.0' });
  });
  test('K8: without a version it is of the configuration; null is {}; another version is read as what it says', () => {
    expect(parseResult({ ip4: { ip: '10.0.0.2/24' } }, '0.2.0').ips).toEqual([{ address: '10.0.0.2/24' }]);
    expect(parseResult({ cniVersion: '', ip4: { ip: '10.0.0.2/24' } }, '').ips).toHaveLength(1);
    expect(parseResult(null, '1.0.0')).toEqual({ cniVersion: '1.1.0' });
    expect(parseResult({ cniVersion: '0.2.0', ip4: { ip: '10.0.0.2/24' } }, '1.0.0').ips).toHaveLength(1);
  });
  test.each(['text', 5, [], true])('K8: %j is no result', (value) => expect(() => parseResult(value, '1.0.0')).toThrow('must be an object'));
  test('K9: dns is always written before 1.0.0, and only when there is one from then on', () => {
    const plain: CniResult = { cniVersion: '1.1.0', ips: [{ address: '10.0.0.2/24' }], dns: { nameservers: [], domain: '' } };
    for (const version of cniVersions) expect('dns' in formatResult(plain, version), version).toBe(version < '1');
    for (const dns of [{ dns: {} }, {}])
      expect(formatResult({ cniVersion: '1.1.0', ips: [{ address: '10.0.0.2/24' }], ...dns }, '0.4.0')['dns']).toEqual({});
  });
  test('K10: index 0 survives the round trip, -1 and null count as none', () => {
    expect(throughWire('0.4.0').ips?.[0]?.interface).toBe(0);
    for (const index of [-1, null])
      expect(parseResult({ ips: [{ address: '10.0.0.2/24', interface: index }] }, '1.0.0').ips).toEqual([{ address: '10.0.0.2/24' }]);
  });
  test('K12: table and scope 0 are meaningful, null is not', () => {
    expect(throughWire('1.0.0').routes?.[0]).toMatchObject({ table: 0, scope: 0 });
    expect(parseResult({ routes: [{ dst: '10.0.0.0/8', table: null }] }, '1.0.0').routes).toEqual([{ dst: '10.0.0.0/8' }]);
  });
  test('K13: host bits are kept', () => expect(throughWire('0.1.0').ips?.[0]?.address).toBe('10.1.2.3/24'));

  test('1.1.0 loses nothing; keys are found in any case; unknown ones are dropped', () => {
    expect(throughWire('1.1.0')).toEqual(full);
    expect(parseResult({ CNIVersion: '1.0.0', IPs: [{ Address: '10.0.0.2/24', x: 1 }], y: 2 }, '0.1.0').ips).toEqual([{ address: '10.0.0.2/24' }]);
  });
  test("keys are in the reference's order", () => {
    expect(Object.keys(formatResult(full, '1.1.0'))).toEqual(['cniVersion', 'interfaces', 'ips', 'routes', 'dns']);
    expect(JSON.stringify((formatResult(full, '0.4.0')['ips'] as object[])[0])).toBe(
      '{"version":"4","interface":0,"address":"10.1.2.3/24","gateway":"10.1.2.1"}',
    );
  });
  test.each([
    [{ ips: [{ address: '10.0.0.2' }] }, 'ips[0].address'],
    [{ ips: [{}] }, 'ips[0].address'],
    [{ ips: {} }, 'ips of the result must be a list'],
    [{ ips: ['10.0.0.2/24'] }, 'ips[0]'],
    [{ ips: [{ address: '10.0.0.2/24', gateway: 'x' }] }, 'ips[0].gateway'],
    [{ ips: [{ address: '10.0.0.2/24', interface: 'eth0' }] }, 'ips[0].interface'],
    [{ routes: [{ dst: 'default' }] }, 'routes[0].dst'],
    [{ dns: [] }, 'dns of the result must be an object'],
    [{ dns: { search: 'x' } }, 'dns.search'],
    [{ interfaces: [{ name: 5 }] }, 'interfaces[0].name'],
    [{ cniVersion: 1 }, 'cniVersion'],
    [{ cniVersion: '2.0.0' }, 'unsupported CNI result version "2.0.0"'],
  ])('%j is refused, naming the place', (value, message) => expect(() => parseResult(value, '1.0.0')).toThrow(message));
  test('nobody writes an unknown version', () => expect(() => formatResult(full, '1.2.0')).toThrow('unsupported'));
});
