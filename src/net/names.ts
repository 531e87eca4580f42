/** What `--hostname`, `--dns…` and `--hosts-entry` ask for, checked: nothing of it can become a line of its own in a file. Pure. @see rkt.md 2.6 */
import { parseIp } from '../model/cidr.ts';
import { RuntimeError } from '../model/errors.ts';
import { hostNameFault } from '../model/ids.ts';
import type { NameOptions } from '../model/options.ts';
import type { HostsEntry, PodNames } from '../model/plan.ts';

const quoted = (text: string): string => JSON.stringify(text);

/** A word of resolv.conf: printable, no blank, no comment. */
const isWord = (text: string): boolean => /^[\x21-\x7e]+$/.test(text) && !/^[#;]/.test(text);

/**
 * Reads the flags. Undefined when none was given.
 * @throws RuntimeError ERR_NET_NAMES naming every fault
 */
export function readNames(options: NameOptions): PodNames | undefined {
  const faults: string[] = [];
  const dns = readDns(options, faults);
  const hosts = readHosts(options.hostsEntries, faults);
  const { hostname } = options;
  const fault = hostname === undefined ? undefined : hostNameFault(hostname);
  if (fault !== undefined) faults.push(`--hostname=${quoted(hostname ?? '')}: ${fault}`);
  if (faults.length > 0) {
    throw new RuntimeError('ERR_NET_NAMES', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} names or resolvers cannot be set`, {
      details: faults.length === 1 ? [] : faults,
      hint: 'forms: --dns=IP, --dns=host, --dns=none, --dns-search=DOMAIN, --dns-opt=OPTION, --dns-domain=DOMAIN, --hosts-entry=IP=NAME, --hosts-entry=host, --hostname=NAME',
    });
  }
  if (dns === undefined && hosts === undefined && hostname === undefined) return undefined;
  return { ...(hostname === undefined ? {} : { hostname }), ...(dns === undefined ? {} : { dns }), ...(hosts === undefined ? {} : { hosts }) };
}

function readDns({ dns, dnsSearch, dnsOpt, dnsDomain }: NameOptions, faults: string[]): PodNames['dns'] {
  const special = [...new Set(dns.filter((value) => value === 'host' || value === 'none'))];
  const others = [
    ...(dnsSearch.length > 0 ? ['--dns-search'] : []),
    ...(dnsOpt.length > 0 ? ['--dns-opt'] : []),
    ...(dnsDomain === undefined ? [] : ['--dns-domain']),
  ];
  for (const value of special) {
    if (dns.some((other) => other !== value)) faults.push(`--dns=${value} stands alone`);
    if (others.length > 0) faults.push(`--dns=${value} cannot be combined with ${others.join(', ')}`);
  }
  for (const value of dns)
    if (value !== 'host' && value !== 'none' && parseIp(value) === undefined) faults.push(`Invalid IP passed to --dns: ${quoted(value)}`);
  for (const domain of [
    ...dnsSearch.map((text) => ['--dns-search', text] as const),
    ...(dnsDomain === undefined ? [] : [['--dns-domain', dnsDomain] as const]),
  ]) {
    // "." as search domain means: none (resolv.conf(5)); service names of zones begin with an underscore.
    const [flag, text] = domain;
    if (!/^(\.|[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?)$/.test(text) || text.length > 254)
      faults.push(`${flag}=${quoted(text)} is not a domain`);
  }
  for (const option of dnsOpt) if (!isWord(option)) faults.push(`--dns-opt=${quoted(option)} is not an option of resolv.conf`);
  const [only] = special;
  if (only === 'host' || only === 'none') return only;
  if (dns.length === 0 && others.length === 0) return undefined;
  return {
    nameservers: [...new Set(dns.map((text) => parseIp(text)?.text ?? text))],
    search: dnsSearch,
    options: dnsOpt,
    ...(dnsDomain === undefined ? {} : { domain: dnsDomain }),
  };
}

function readHosts(entries: readonly string[], faults: string[]): PodNames['hosts'] {
  if (entries.length === 0) return undefined;
  if (entries.includes('host')) {
    if (entries.some((entry) => entry !== 'host')) faults.push('--hosts-entry=host stands alone');
    return 'host';
  }
  const names = new Map<string, string[]>();
  for (const entry of entries) {
    const equals = entry.indexOf('=');
    const ip = parseIp(entry.slice(0, Math.max(0, equals)));
    const name = entry.slice(equals + 1);
    const fault = hostNameFault(name, 253);
    if (ip === undefined)
      faults.push(`--hosts-entry=${quoted(entry)}: ${equals < 0 ? 'is not IP=NAME' : `${quoted(entry.slice(0, equals))} is not an IP address`}`);
    else if (fault !== undefined) faults.push(`--hosts-entry=${quoted(entry)}: ${fault}`);
    else names.set(ip.text, [...new Set([...(names.get(ip.text) ?? []), name])]);
  }
  return [...names].map(([ip, list]): HostsEntry => ({ ip, names: list }));
}
