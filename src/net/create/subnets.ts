/** Subnets, gateways and ranges of a network that is being defined: checked, and chosen where none is given. Pure. */
import {
  cidrText,
  contains,
  ipFromValue,
  lastOf,
  networkOf,
  overlaps,
  parseCidr,
  parseIp,
  type Cidr,
  type Family,
  type Ip,
} from '../../model/cidr.ts';
import { expectationsOf } from '../plan/expects.ts';
import type { DefinitionFacts, NetworkRequest } from './request.ts';

/** A subnet with what host-local is told about it. */
export interface DefinedSubnet {
  readonly subnet: Cidr;
  readonly gateway: Ip | undefined;
  readonly range: { readonly start: Ip; readonly end: Ip } | undefined;
}

/** Where a subnet is chosen from; podman's pool, so that people find what they know. */
const pool = { base: '10.89.0.0', prefixLen: 24, count: 256 } as const;
const smallest = { 4: 30, 6: 126 } as const;

/** Checks what is given, adds what is not; what is wrong goes to `faults`. */
export function defineSubnets(request: NetworkRequest, facts: DefinitionFacts, faults: string[]): DefinedSubnet[] {
  const given = request.subnets.flatMap((text) => readSubnet(text, faults));
  for (const family of [4, 6] as const)
    if (given.filter(({ ip }) => ip.family === family).length > 1) faults.push(`more than one IPv${family} subnet: a network has one of each family`);
  const wants = (family: Family): boolean =>
    !given.some(({ ip }) => ip.family === family) && request.driver !== 'macvlan' && (family === 6 ? request.ipv6 : request.subnets.length === 0);
  const chosen = ([4, 6] as const).flatMap((family) => (wants(family) ? chooseSubnet(family, facts, faults) : []));
  const subnets = [...given, ...chosen].sort((a, b) => a.ip.family - b.ip.family);

  const gateways = within('gateway', request.gateways, parseIp, (ip) => ip, subnets, faults);
  const ranges = within('ip-range', request.ranges, parseCidr, ({ ip }) => ip, subnets, faults);
  return subnets.map((subnet) => {
    const gateway = gateways.get(subnet);
    if (gateway !== undefined && !isHost(subnet, gateway)) faults.push(`--gateway ${gateway.text} is no address for a host in ${cidrText(subnet)}`);
    const range = ranges.get(subnet);
    const bounds = range === undefined ? undefined : boundsOf(subnet, range, faults);
    const taken = gateway?.value ?? networkOf(subnet).ip.value + 1n;
    if (bounds !== undefined && bounds.start.value === taken && bounds.end.value === taken)
      faults.push(`--ip-range of ${cidrText(subnet)} holds no address but the gateway's, ${bounds.start.text}`);
    return { subnet, gateway, range: bounds };
  });
}

function readSubnet(text: string, faults: string[]): Cidr[] {
  const cidr = parseCidr(text);
  const network = cidr === undefined ? undefined : networkOf(cidr);
  if (cidr === undefined || network === undefined) faults.push(`--subnet ${JSON.stringify(text)} is not a subnet such as 10.1.0.0/16`);
  else if (network.ip.value !== cidr.ip.value) faults.push(`--subnet ${text} has host bits set; did you mean ${cidrText(network)}?`);
  else if (cidr.prefixLen > smallest[cidr.ip.family]) faults.push(`--subnet ${text} is too small to allocate from`);
  else if (isUnusable(cidr)) faults.push(`--subnet ${text} holds addresses that hosts cannot have`);
  else return [cidr];
  return [];
}

/** Loopback, multicast, reserved, "this network", link-local IPv6. */
const unusable = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/3', '::/8', 'ff00::/8', 'fe80::/10'].flatMap((text) => parseCidr(text) ?? []);
const isUnusable = (cidr: Cidr): boolean => unusable.some((bad) => overlaps(bad, cidr));

/** Neither the subnet's own address (IPv6: the routers' anycast one) nor its broadcast address. */
const isHost = (subnet: Cidr, ip: Ip): boolean => ip.value !== networkOf(subnet).ip.value && (ip.family === 6 || ip.value !== lastOf(subnet).value);

/** Values by the subnet they lie in, one each. */
function within<T>(
  flag: string,
  texts: readonly string[],
  parse: (text: string) => T | undefined,
  addressOf: (value: T) => Ip,
  subnets: readonly Cidr[],
  faults: string[],
): Map<Cidr, T> {
  const found = new Map<Cidr, T>();
  for (const text of texts) {
    const value = parse(text);
    const subnet = value === undefined ? undefined : subnets.find((candidate) => contains(candidate, addressOf(value)));
    if (value === undefined)
      faults.push(`--${flag} ${JSON.stringify(text)} is not ${flag === 'gateway' ? 'an address' : 'a range such as 10.1.0.128/25'}`);
    else if (subnet === undefined) faults.push(`--${flag} ${text} is in no --subnet`);
    else if (found.has(subnet)) faults.push(`--${flag} is given twice for ${cidrText(subnet)}`);
    else found.set(subnet, value);
  }
  return found;
}

function boundsOf(subnet: Cidr, range: Cidr, faults: string[]): { start: Ip; end: Ip } | undefined {
  if (range.prefixLen < subnet.prefixLen) {
    faults.push(`--ip-range ${cidrText(range)} is larger than its subnet ${cidrText(subnet)}`);
    return undefined;
  }
  const { family } = range.ip;
  const [first, last] = [networkOf(range).ip, lastOf(range)];
  const start = first.value === networkOf(subnet).ip.value ? ipFromValue(family, first.value + 1n) : first;
  const end = family === 4 && last.value === lastOf(subnet).value ? ipFromValue(family, last.value - 1n) : last;
  return start.value > end.value ? void faults.push(`--ip-range ${cidrText(range)} holds no address for a pod`) : { start, end };
}

/** The first subnet of the pool that no route, address or other network touches. */
function chooseSubnet(family: Family, facts: DefinitionFacts, faults: string[]): Cidr[] {
  const taken = takenSubnets(facts);
  const candidates = family === 4 ? poolSubnets() : ownPrefixes(facts.globalId);
  const free = candidates.find((candidate) => !taken.some((other) => overlaps(other, candidate)));
  if (free !== undefined) return [free];
  faults.push(`no free IPv${family} subnet is left in ${family === 4 ? `${pool.base}/16` : 'our own prefix'}: give one by --subnet`);
  return [];
}

function takenSubnets({ configs, routes }: DefinitionFacts): Cidr[] {
  const texts = [
    ...configs.networks.flatMap(({ plugins }) => expectationsOf(plugins).subnets),
    // A default route, also in the halves a VPN splits it into, overlaps everything and takes nothing.
    ...routes.map(({ destination }) => destination).filter((text) => !/\/[0-3]$/.test(text)),
  ];
  return texts.flatMap((text) => parseCidr(text) ?? []);
}

function poolSubnets(): Cidr[] {
  const base = parseIp(pool.base)?.value ?? 0n;
  return Array.from({ length: pool.count }, (_, i) => ({ ip: ipFromValue(4, base + (BigInt(i) << 8n)), prefixLen: pool.prefixLen }));
}

/** fd + global ID + subnet ID 0, 1, … (RFC 4193). */
function ownPrefixes(globalId: string): Cidr[] {
  const base = BigInt(`0xfd${globalId}`) << 80n;
  return Array.from({ length: 16 }, (_, i) => ({ ip: ipFromValue(6, base + (BigInt(i) << 64n)), prefixLen: 64 }));
}
