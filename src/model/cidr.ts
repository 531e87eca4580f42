/** Addresses and subnets as values. */

export type Family = 4 | 6;

/** An address: `value` is the number, `bytes` its 4 or 16 octets, `text` the canonical form. */
export interface Ip {
  readonly family: Family;
  readonly value: bigint;
  readonly text: string;
}
/** An address with a prefix length; host bits are kept (`10.1.2.3/24`, K13). */
export interface Cidr {
  readonly ip: Ip;
  readonly prefixLen: number;
}

const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

/** The number that four decimal octets without leading zeros say (RFC 6943 3.1.1: other forms mean different things to different programs). */
function ipv4Value(text: string): number | undefined {
  const octets = text.split('.');
  if (octets.length !== 4 || !octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) < 256)) return undefined;
  return octets.reduce((value, octet) => value * 256 + Number(octet), 0);
}

/** The number of an address in a form of RFC 4291 2.2, without zone. */
function ipv6Value(text: string): bigint | undefined {
  const lastColon = text.lastIndexOf(':');
  const mixed = text.includes('.');
  const four = mixed ? ipv4Value(text.slice(lastColon + 1)) : 0;
  if (lastColon < 0 || four === undefined) return undefined;
  const groups = mixed ? `${text.slice(0, lastColon + 1)}${(four >>> 16).toString(16)}:${(four & 0xffff).toString(16)}` : text;
  const [head = [], tail, ...more] = groups.split('::').map((half) => (half === '' ? [] : half.split(':')));
  const left = 8 - head.length - (tail?.length ?? 0);
  if (more.length > 0 || (tail === undefined ? left !== 0 : left < 1)) return undefined;
  const all = [...head, ...Array<string>(left).fill('0'), ...(tail ?? [])];
  return all.every((group) => /^[\da-f]{1,4}$/i.test(group)) ? BigInt(`0x${all.map((group) => group.padStart(4, '0')).join('')}`) : undefined;
}

/** RFC 5952 4: the longest run of zero groups, the first of several, two groups or more, becomes `::`. */
function ipv6Text(value: bigint): string {
  const digits = value.toString(16).padStart(32, '0');
  const groups = Array.from({ length: 8 }, (_, i) => Number.parseInt(digits.slice(i * 4, i * 4 + 4), 16).toString(16)).join(':');
  const runs = [...groups.matchAll(/\b0(?::0)+\b/g)].map(({ index, 0: zeros }) => ({ index, end: index + zeros.length }));
  const [first, ...others] = runs;
  if (first === undefined) return groups;
  const { index, end } = others.reduce((best, run) => (run.end - run.index > best.end - best.index ? run : best), first);
  return `${groups.slice(0, Math.max(index - 1, 0))}::${groups.slice(end + 1)}`;
}

const ipv4Text = (value: number): string => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.');

/** Parses an address without prefix; undefined if it is none. IPv4 octets with leading zeros and zones are refused. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const four = ipv4Value(text);
    return four === undefined ? undefined : { family: 4, value: BigInt(four), text };
  }
  const six = ipv6Value(text);
  return six === undefined ? undefined : { family: 6, value: six, text: ipv6Text(six) };
}

/** Parses `address/prefix`; undefined if it is none. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  const ip = slash < 0 ? undefined : parseIp(text.slice(0, slash));
  const prefix = text.slice(slash + 1);
  if (ip === undefined || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bitsOf(ip.family)) return undefined;
  return { ip, prefixLen: Number(prefix) };
}

/** The address with number `value`. */
export function ipFromValue(family: Family, value: bigint): Ip {
  const text = family === 4 ? ipv4Text(Number(value)) : ipv6Text(value);
  return { family, value, text };
}

/** Octets in network order. */
export function ipBytes(ip: Ip): Buffer {
  return Buffer.from(ip.value.toString(16).padStart(ip.family === 4 ? 8 : 32, '0'), 'hex');
}
export function ipFromBytes(bytes: Uint8Array): Ip {
  return ipFromValue(bytes.length === 4 ? 4 : 6, BigInt(`0x${Buffer.from(bytes).toString('hex')}`));
}

const hostMask = (cidr: Cidr): bigint => (1n << BigInt(bitsOf(cidr.ip.family) - cidr.prefixLen)) - 1n;
/** First address of the subnet (host bits zero). */
export const networkOf = (cidr: Cidr): Cidr => ({ ...cidr, ip: ipFromValue(cidr.ip.family, cidr.ip.value & ~hostMask(cidr)) });
/** Last address of the subnet (IPv4: its broadcast address). */
export const lastOf = (cidr: Cidr): Ip => ipFromValue(cidr.ip.family, cidr.ip.value | hostMask(cidr));
export const contains = (cidr: Cidr, ip: Ip): boolean =>
  cidr.ip.family === ip.family && (ip.value & ~hostMask(cidr)) === (cidr.ip.value & ~hostMask(cidr));
/** Whether two subnets share an address: the bits up to the shorter prefix are the same. */
export const overlaps = (a: Cidr, b: Cidr): boolean => {
  const others = BigInt(bitsOf(a.ip.family) - Math.min(a.prefixLen, b.prefixLen));
  return a.ip.family === b.ip.family && a.ip.value >> others === b.ip.value >> others;
};
export const cidrText = (cidr: Cidr): string => `${cidr.ip.text}/${cidr.prefixLen}`;
/** The single-address subnet of `ip` (/32 or /128). */
export const hostCidr = (ip: Ip): Cidr => ({ ip, prefixLen: bitsOf(ip.family) });
