/** K1-K13: results between versions. The tables of each conversion are in test/unit/model/cni/result.test.ts. @see cni.md 1.3 */
import { expect, test } from 'vitest';
import { formatResult, parseResult } from '../../src/model/cni/result.ts';
import type { CniResult } from '../../src/model/cni/types.ts';

const full: CniResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'br0' }, { name: 'eth0', mac: '02:00:00:00:00:01', mtu: 1400, sandbox: '/run/netns/x', pciID: '0:0', socketPath: '/s' }],
  ips: [
    { address: '10.1.2.3/24', gateway: '10.1.2.1', interface: 1 },
    { address: 'fd00::3/64', gateway: 'fd00::1', interface: 1 },
    { address: '10.1.9.9/24', interface: 0 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.1.2.1', mtu: 1300, advmss: 1200, priority: 7, table: 0, scope: 0 },
    { dst: '::/0', gw: 'fd00::1' },
  ],
  dns: { nameservers: ['10.1.2.1'], domain: 'x', search: ['y'], options: ['z'] },
};
const old = (version: string): object => ({
  cniVersion: version,
  ip6: { ip: 'fd00::3/64', gateway: 'fd00::1', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
  ip4: { ip: '10.1.2.3/24', gateway: '10.1.2.1', routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }] },
  dns: { nameservers: ['10.1.2.1'] },
});
const through = (value: object, from: string, to: string) => formatResult(parseResult(value, from), to);
const { cniVersion: _version, ...rest } = full;

test('K1: 0.1.0 and 0.2.0 have one shape', () => {
  const { cniVersion, ...same } = through(old('0.1.0'), '0.1.0', '0.2.0');
  expect(cniVersion).toBe('0.2.0');
  expect(through(old('0.2.0'), '0.2.0', '0.1.0')).toEqual({ ...same, cniVersion: '0.1.0' });
  expect({ ...same, cniVersion: '0.2.0' }).toEqual(old('0.2.0'));
});
test('K2: ip4 then ip6 become ips, their routes are joined, there are no interfaces', () => {
  for (const version of ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']) {
    const family = version.startsWith('0.');
    expect(through(old('0.2.0'), '0.2.0', version)).toEqual({
      cniVersion: version,
      ips: [
        { ...(family ? { version: '4' } : {}), address: '10.1.2.3/24', gateway: '10.1.2.1' },
        { ...(family ? { version: '6' } : {}), address: 'fd00::3/64', gateway: 'fd00::1' },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.1.2.1' },
        { dst: '::/0', gw: 'fd00::1' },
      ],
      dns: { nameservers: ['10.1.2.1'] },
    });
  }
});
test('K3: 0.3.0, 0.3.1 and 0.4.0 have one shape', () => {
  const [a, b, c] = ['0.3.0', '0.3.1', '0.4.0'].map((version) => ({ ...formatResult(full, version), cniVersion: '' }));
  expect(a).toEqual(b);
  expect(b).toEqual(c);
  expect(a).toHaveProperty('ips.0.version', '4');
});
test('K4: from 0.4.0 to 1.x the family goes, index, gateway and interfaces stay', () => {
  const before = {
    cniVersion: '0.4.0',
    interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/x' }],
    ips: [{ version: '4', interface: 0, address: '10.1.2.3/24', gateway: '10.1.2.1' }],
    dns: {},
  };
  expect(through(before, '0.4.0', '1.0.0')).toEqual({
    cniVersion: '1.0.0',
    interfaces: before.interfaces,
    ips: [{ interface: 0, address: '10.1.2.3/24', gateway: '10.1.2.1' }],
  });
});
test('K5: from 1.x to 0.4.0 the family comes, mtu, socketPath and pciID go, routes stay whole', () => {
  const after = formatResult(full, '0.4.0');
  expect(after).toMatchObject({
    interfaces: [{ name: 'br0' }, { name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/x' }],
    routes: full.routes,
  });
  expect(JSON.stringify(after)).not.toMatch(/mtu":1400|socketPath|pciID/);
  expect((after['ips'] as { version: string }[]).map(({ version }) => version)).toEqual(['4', '6', '4']);
});
test('K6: to 0.2.0 the first address of a family stays, with dst and gw of its routes; none at all is an error', () => {
  expect(formatResult(full, '0.2.0')).toEqual({
    cniVersion: '0.2.0',
    ip4: { ip: '10.1.2.3/24', gateway: '10.1.2.1', routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }] },
    ip6: { ip: 'fd00::3/64', gateway: 'fd00::1', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
    dns: full.dns,
  });
  expect(() => formatResult({ cniVersion: '1.1.0', interfaces: [{ name: 'eth0' }] }, '0.2.0')).toThrow('cannot convert: no valid IP addresses');
});
test('K7: 1.0.0 and 1.1.0 differ by the version', () => {
  expect({ ...formatResult(full, '1.0.0'), cniVersion: '1.1.0' }).toEqual(formatResult(full, '1.1.0'));
  expect(parseResult(formatResult(full, '1.0.0'), '1.1.0')).toEqual(full);
});
test('K8: without a version it is of the configuration, null is {}, another version counts, what is no object is an error', () => {
  const { cniVersion: _none, ...nameless } = old('0.2.0') as { cniVersion: string };
  expect(parseResult(nameless, '0.2.0').ips).toHaveLength(2);
  expect(parseResult(nameless, '1.0.0').ips).toBeUndefined();
  expect(parseResult({ ...nameless, cniVersion: '' }, '0.2.0').ips).toHaveLength(2);
  expect(parseResult(old('0.2.0'), '1.0.0').ips).toHaveLength(2);
  expect(parseResult(null, '1.0.0')).toEqual({ cniVersion: '1.1.0' });
  for (const value of [[], 'x', 1, true]) expect(() => parseResult(value, '1.0.0')).toThrow();
});
test('K9: an empty dns is written up to 0.4.0, and left out from 1.0.0', () => {
  const bare: CniResult = { cniVersion: '1.1.0', ips: [{ address: '10.1.2.3/24' }] };
  for (const version of ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0']) expect(formatResult(bare, version), version).toHaveProperty('dns', {});
  for (const version of ['1.0.0', '1.1.0']) expect(formatResult({ ...bare, dns: {} }, version), version).not.toHaveProperty('dns');
});
test('K10: index 0 survives, an unknown one is left out, -1 and missing interfaces are tolerated', () => {
  const parsed = parseResult(
    { ips: [{ address: '10.0.0.1/8', interface: 0 }, { address: '10.0.0.2/8', interface: -1 }, { address: '10.0.0.3/8' }] },
    '1.0.0',
  );
  expect(formatResult(parsed, '1.0.0')['ips']).toEqual([
    { interface: 0, address: '10.0.0.1/8' },
    { address: '10.0.0.2/8' },
    { address: '10.0.0.3/8' },
  ]);
  expect(parseResult(formatResult(parsed, '0.4.0'), '0.4.0')).toEqual(parsed);
});
test('K12: a route needs dst; table and scope 0 are meant, null is none', () => {
  expect(formatResult(parseResult({ ...rest }, '1.1.0'), '1.1.0')['routes']).toEqual(full.routes);
  expect(parseResult({ routes: [{ dst: '10.0.0.0/8', table: null, scope: null }] }, '1.1.0').routes).toEqual([{ dst: '10.0.0.0/8' }]);
  expect(() => parseResult({ routes: [{ gw: '10.0.0.1' }] }, '1.1.0')).toThrow('dst');
});
test('K13: an address keeps its host bits', () => {
  expect(parseResult({ ips: [{ address: '10.1.2.3/24' }] }, '1.0.0').ips?.[0]?.address).toBe('10.1.2.3/24');
});
