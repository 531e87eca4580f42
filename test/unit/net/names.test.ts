import { describe, expect, test } from 'vitest';
import { readNames } from '../../../src/net/names.ts';
import type { NameOptions } from '../../../src/model/options.ts';

const none: NameOptions = { hostname: undefined, dns: [], dnsSearch: [], dnsOpt: [], dnsDomain: undefined, hostsEntries: [] };
const read = (options: Partial<NameOptions>) => readNames({ ...none, ...options });
const faults = (options: Partial<NameOptions>): string[] => {
  try {
    read(options);
  } catch (error) {
    const { code, details, message } = error as { code: string; details: string[]; message: string };
    expect(code).toBe('ERR_NET_NAMES');
    return details.length > 0 ? details : [message];
  }
  return expect.fail('should be refused');
};

describe('names and resolvers', () => {
  test('nothing asked', () => expect(read({})).toBeUndefined());

  test.each<[Partial<NameOptions>, object]>([
    [{ dns: ['192.0.2.1', '2001:DB8::1', '192.0.2.1'] }, { dns: { nameservers: ['192.0.2.1', '2001:db8::1'], search: [], options: [] } }],
    [{ dns: ['host'] }, { dns: 'host' }],
    [{ dns: ['none', 'none'] }, { dns: 'none' }],
    [
      { dnsSearch: ['a.example', '_srv.example.', '.'], dnsOpt: ['ndots:2'], dnsDomain: 'example' },
      { dns: { nameservers: [], search: ['a.example', '_srv.example.', '.'], options: ['ndots:2'], domain: 'example' } },
    ],
    [{ hostsEntries: ['host', 'host'] }, { hosts: 'host' }],
    [
      { hostsEntries: ['192.0.2.1=a', 'fd00:0::1=c', '192.0.2.1=b.example', '192.0.2.1=a'] },
      {
        hosts: [
          { ip: '192.0.2.1', names: ['a', 'b.example'] },
          { ip: 'fd00::1', names: ['c'] },
        ],
      },
    ],
    [{ hostname: 'a'.repeat(63) }, { hostname: 'a'.repeat(63) }],
    [{ hostname: 'Web-1.example' }, { hostname: 'Web-1.example' }],
  ])('%j', (options, expected) => expect(read(options)).toEqual(expected));

  test.each<[Partial<NameOptions>, string]>([
    [{ dns: ['nope'] }, 'Invalid IP passed to --dns: "nope"'],
    [{ dns: ['192.0.2.1\nnameserver 6.6.6.6'] }, 'Invalid IP passed to --dns'],
    [{ dns: ['fe80::1%eth0'] }, 'Invalid IP passed to --dns'],
    [{ dns: [''] }, 'Invalid IP passed to --dns: ""'],
    [{ dns: ['host', '192.0.2.1'] }, '--dns=host stands alone'],
    [{ dns: ['none'], dnsSearch: ['a'], dnsDomain: 'b' }, '--dns=none cannot be combined with --dns-search, --dns-domain'],
    [{ dns: ['host'], dnsOpt: ['a'] }, '--dns=host cannot be combined with --dns-opt'],
    [{ dnsSearch: ['a b'] }, '--dns-search="a b" is not a domain'],
    [{ dnsSearch: ['a\n'] }, 'is not a domain'],
    [{ dnsDomain: 'x\nnameserver 6.6.6.6' }, 'is not a domain'],
    [{ dnsDomain: '' }, 'is not a domain'],
    [{ dnsOpt: ['ndots:1 debug'] }, 'is not an option'],
    [{ dnsOpt: ['x\n'] }, 'is not an option'],
    [{ dnsOpt: ['#x'] }, 'is not an option'],
    [{ hostsEntries: ['192.0.2.1'] }, 'is not IP=NAME'],
    [{ hostsEntries: ['x=a'] }, '"x" is not an IP address'],
    [{ hostsEntries: ['192.0.2.1='] }, 'is empty'],
    [{ hostsEntries: ['192.0.2.1=a b'] }, 'only letters, digits, dashes and dots'],
    [{ hostsEntries: ['192.0.2.1=a\n6.6.6.6 bank'] }, 'only letters'],
    [{ hostsEntries: ['host', '192.0.2.1=a'] }, '--hosts-entry=host stands alone'],
    [{ hostname: '' }, 'is empty'],
    [{ hostname: 'a'.repeat(65) }, 'longer than 64 bytes'],
    [{ hostname: 'a'.repeat(64) }, 'each part between dots has 1 to 63 characters'],
    [{ hostname: 'a\n' }, 'only letters'],
    [{ hostname: 'a\u0007' }, 'only letters'],
    [{ hostname: 'a..b' }, 'each part between dots'],
    [{ hostname: '-a' }, 'no dash at its ends'],
    [{ hostname: 'ä' }, 'only letters'],
    [{ hostname: 'a_b' }, 'only letters'],
  ])('%j is refused', (options, expected) => expect(faults(options)).toEqual([expect.stringContaining(expected)]));

  test('every fault at once', () => {
    expect(faults({ dns: ['x', 'y'], hostname: '', hostsEntries: ['z'] })).toHaveLength(4);
  });
});
