import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { plugin } from '../../../cni-plugins/static/plugin.ts';
import { parseRequest, perform } from '../../../src/model/cni/request.ts';
import type { CniResult } from '../../../src/model/cni/types.ts';
import { useHost } from '../../rig/host.ts';
import { ask, makeExecutables } from './executable.ts';

useHost();

const debian = '/usr/lib/cni/static';
let executables = '';
beforeAll(() => {
  executables = makeExecutables('static');
});
afterAll(() => rmSync(executables, { recursive: true, force: true }));

const two = [{ address: '10.1.0.5/24' }, { address: 'FD09::0005/64', gateway: 'fd09::1' }];
const conf = (ipam: object | undefined, more: object = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'n1', type: 'bridge', ...(ipam === undefined ? {} : { ipam: { type: 'static', ...ipam } }), ...more });
const env = (command: string, args = '') => ({
  COMMAND: command,
  CONTAINERID: 'c1',
  NETNS: '/x',
  IFNAME: 'eth0',
  PATH: '/usr/lib/cni',
  ...(args === '' ? {} : { ARGS: args }),
});
function own(command: string, text: string, args = ''): CniResult | undefined {
  const full = Object.fromEntries(Object.entries(env(command, args)).map(([name, value]) => [`CNI_${name}`, value]));
  return perform(plugin, parseRequest(full, text), { delegate: () => undefined, note: () => undefined });
}
const runtime = (...ips: string[]): object => ({ runtimeConfig: { ips } });
const args = (...ips: string[]): object => ({ args: { cni: { ips } } });

describe("ADD is the reference's: result, and message of an error", () => {
  test.each<[string, string, string?]>([
    [
      'addresses, routes, dns',
      conf({
        addresses: two,
        routes: [{ dst: '0.0.0.0/0' }, { dst: '10.5.0.0/16', gw: '10.1.0.9' }],
        dns: { nameservers: ['10.1.0.1'], domain: 'a.example', search: ['b.example'], options: ['ndots:2'] },
      }),
    ],
    ['nothing at all', conf({})],
    ['0.2.0', conf({ addresses: two, routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.1' }] }, { cniVersion: '0.2.0' })],
    ['0.4.0', conf({ addresses: two }, { cniVersion: '0.4.0' })],
    [
      'two gateways of one subnet (ECMP)',
      conf({
        addresses: [
          { address: '10.1.0.5/24', gateway: '10.1.0.1' },
          { address: '10.1.0.6/24', gateway: '10.1.0.2' },
        ],
      }),
    ],
    ['CNI_ARGS come after the configuration', conf({ addresses: two }), 'IP=10.3.0.5/24, fd0a::5/64;GATEWAY=10.3.0.1,fd0a::1,10.1.0.1'],
    ['of several gateways of a subnet the last', conf({}), 'IP=10.3.0.5/24;GATEWAY=10.3.0.1,10.3.0.2'],
    ['args replace configuration and CNI_ARGS', conf({ addresses: two }, args('10.9.0.1/24')), 'IP=10.3.0.5/24;GATEWAY=10.9.0.9'],
    ['runtimeConfig replaces args', conf({ addresses: two }, { ...args('10.9.0.1/24'), ...runtime('10.8.0.1/24', 'fd08::1/64') })],
    ['what is replaced is not looked at', conf({ addresses: [{ address: 'x' }] }, runtime('10.8.0.1/24'))],
    ['empty lists replace nothing', conf({ addresses: two }, { ...args(), ...runtime() })],
    ['no ipam', conf(undefined)],
    ['no prefix', conf({ addresses: [{ address: '10.1.0.5' }] })],
    ['no address', conf({ addresses: [{ address: '10.1.0.256/24' }] })],
    ['prefix too long', conf({ addresses: [{ address: '10.1.0.5/33' }] })],
    ['empty address', conf({ addresses: [{ gateway: '10.1.0.1' }] })],
    ['CNI_ARGS without prefix', conf({}), 'IP=10.3.0.5'],
    ['CNI_ARGS are read even when replaced', conf({}, runtime('10.8.0.1/24')), 'IP=10.3.0.5'],
    ['bad gateway', conf({}), 'IP=10.3.0.5/24;GATEWAY=foo'],
    ['args without prefix', conf({}, args('10.9.0.1'))],
    ['runtimeConfig without prefix', conf({}, runtime('fd09::1'))],
    ['two of a family before 0.3.0', conf({ addresses: [two[0], { address: '10.2.0.5/24' }] }, { cniVersion: '0.2.0' })],
  ])('%s', (_name, text, cniArgs = '') => {
    const theirs = ask(debian, env('ADD', cniArgs), text);
    const ours = ask(join(executables, 'static'), env('ADD', cniArgs), text);
    expect(ours.status).toBe(theirs.status);
    if (theirs.status !== 0) {
      expect(ours.json.msg).toBe(theirs.json.msg);
      expect(ours.json.code).toBe(7);
      return;
    }
    // K9: since 1.0.0 an empty dns is left out.
    const said = Object.entries(JSON.parse(theirs.stdout) as object).filter(
      ([key, value]) => key !== 'dns' || JSON.stringify(value) !== '{}' || text.includes('"0.'),
    );
    expect(ours.json).toEqual(Object.fromEntries(said));
  });

  test('keys in any case; foreign CNI_ARGS are ignored', () => {
    const text = conf({ Addresses: [{ ADDRESS: '10.1.0.5/24', Gateway: '10.1.0.1' }] });
    expect(own('ADD', text, 'FOO=1')?.ips).toEqual([{ address: '10.1.0.5/24', gateway: '10.1.0.1' }]);
  });
  test.each<[object, string]>([
    [{ addresses: {} }, 'ipam.addresses must be a list, not {}'],
    [{ addresses: [1] }, 'ipam.addresses[0] must be an object, not 1'],
    [{ addresses: [{ address: '10.1.0.5/24', gateway: 'x' }] }, 'ipam.addresses[0].gateway must be an IP address, not "x"'],
    [{ routes: [{ dst: 'x' }] }, 'routes[0].dst must be an address with prefix length, not "x"'],
    [{ dns: { nameservers: 'x' } }, 'dns.nameservers must be a list of strings, not "x"'],
  ])('%j', (ipam, message) => {
    expect(() => own('ADD', conf(ipam))).toThrow(expect.objectContaining({ cniCode: 7, message }));
  });
});

describe('the other verbs', () => {
  const check = (ips: object[] | undefined, addresses: object[] = two): void => {
    own('CHECK', conf({ addresses }, ips === undefined ? {} : { prevResult: { cniVersion: '1.0.0', ips } }));
  };
  test('CHECK compares gateways', () => {
    check([
      { address: '10.1.0.5/24', gateway: '10.1.0.7' },
      { address: 'fd09::5/64', gateway: 'FD09:0::1' },
    ]);
    check([]);
    expect(() => check([{ address: 'fd09::5/64', gateway: 'fd09::2' }])).toThrow('static: Failed to match addr fd09::5 on interface eth0');
    expect(() => check([{ address: 'fd09::5/64' }])).toThrow('static: Failed to match addr fd09::5');
    expect(() => check(undefined)).toThrow('Required prevResult missing');
  });
  test('DEL and GC never mind', () => {
    own('DEL', conf(undefined));
    own('DEL', conf({ addresses: 'x' }));
    own('GC', conf({ addresses: 'x' }, { cniVersion: '1.1.0', 'cni.dev/valid-attachments': [] }));
  });
  test('STATUS reads the configuration', () => {
    own('STATUS', conf({ addresses: two }, { cniVersion: '1.1.0' }));
    expect(() => own('STATUS', conf({ addresses: [{ address: 'x' }] }, { cniVersion: '1.1.0' }))).toThrow("got: 'x'");
  });
});
