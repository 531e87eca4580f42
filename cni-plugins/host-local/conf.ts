/** host-local's configuration. @see cni.md 3.16, A2, A5, A11, A12 */
import { readText } from '../../src/host/files.ts';
import { type Ip, parseIp } from '../../src/model/cidr.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { type CniDns, CniError, type CniRoute, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader, isObject } from '../skel/conf.ts';
import { configuredRoutes, ipamOf } from '../skel/ipam.ts';
import { type RangeSet, badConf, checkSets, readRange } from './range.ts';

export interface HostLocalConf {
  readonly sets: readonly RangeSet[];
  /** asked for by CNI_ARGS (unless args.cni.ips does), args.cni.ips and runtimeConfig.ips, in this order, each once */
  readonly requested: readonly Ip[];
  readonly routes: readonly CniRoute[];
  readonly resolvConf: string | undefined;
}

const defaultDataDir = '/var/lib/cni/networks';

/** Where networks have their stores. All that DEL, CHECK and GC need of the configuration. */
export const dataDirOf = (req: PluginRequest): string => ipamOf(req).text('dataDir') || defaultDataDir;

/** @throws CniError 7 */
export function readConf(req: PluginRequest): HostLocalConf {
  const ipam = ipamOf(req);
  const sets = [
    ...rangeSets(new ConfReader(req.conf.runtimeConfig ?? {}, 'runtimeConfig'), 'ipRanges'),
    ...((ipam.text('subnet') ?? '') === '' ? [] : [[readRange(ipam)]]),
    ...rangeSets(ipam, 'ranges'),
  ];
  checkSets(sets, req.conf.cniVersion);
  return { sets, requested: requestedIps(req), routes: configuredRoutes(ipam), resolvConf: ipam.text('resolvConf') || undefined };
}

function rangeSets(fields: ConfReader, key: string): RangeSet[] {
  return (fields.list(key) ?? []).map((set, i) => {
    const where = `${fields.where === '' ? '' : `${fields.where}.`}${key}[${i}]`;
    if (!Array.isArray(set)) throw badConf(`${where} must be a list of ranges, not ${JSON.stringify(set)}`);
    return set.map((range: unknown, at) => {
      if (!isObject(range)) throw badConf(`${where}[${at}] must be an object, not ${JSON.stringify(range)}`);
      return readRange(new ConfReader(range, `${where}[${at}]`));
    });
  });
}

function requestedIps({ args, conf }: PluginRequest): Ip[] {
  const fromConf = new ConfReader(conf.args?.cni ?? {}, 'args.cni').texts('ips') ?? [];
  // P26: who understands args does not listen to CNI_ARGS about the same thing.
  const fromArgs = fromConf.length > 0 ? '' : (args.get('IP') ?? '');
  const texts = [
    ...(fromArgs === '' ? [] : [fromArgs]),
    ...fromConf,
    ...(new ConfReader(conf.runtimeConfig ?? {}, 'runtimeConfig').texts('ips') ?? []),
  ];
  const found = new Map<string, Ip>();
  for (const text of texts) {
    // A5: the prefix length is optional, and the range's own counts.
    const ip = parseIp(text.replace(/\/\d{1,3}$/, ''));
    if (ip === undefined) throw badConf(`cannot understand ip: ${JSON.stringify(text)}`);
    found.set(ip.text, ip);
  }
  return [...found.values()];
}

/** A resolv.conf(5) as a result's dns; several lines of a kind add up, as in the reference. */
export function readResolvConf(path: string): CniDns {
  const text = readText(path);
  if (text === undefined) throw new CniError(cniCode.io, `resolvConf ${path} does not exist`);
  const dns: { nameservers: string[]; domain?: string; search?: string[]; options?: string[] } = { nameservers: [] };
  for (const line of text.split('\n')) {
    const [key, ...values] = line.trim().split(/\s+/);
    if (line.trim() === '' || /^[#;]/.test(line.trim()) || values.length === 0) continue;
    if (key === 'nameserver') dns.nameservers.push(values[0] ?? '');
    else if (key === 'domain') dns.domain = values[0] ?? '';
    else if (key === 'search') dns.search = [...(dns.search ?? []), ...values];
    else if (key === 'options') dns.options = [...(dns.options ?? []), ...values];
  }
  const { nameservers, ...rest } = dns;
  return nameservers.length === 0 ? rest : { nameservers, ...rest };
}
