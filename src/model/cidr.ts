/** Addresses and subnets as values; parsing and arithmetic come from `ip-address`. */
import { Address4, Address6 } from 'ip-address';

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

/** Parses an address without prefix; undefined if it is none. IPv4 octets with leading zeros and zones are refused. */
export function parseIp(text: string): Ip | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) {
    if (!Address4.isValid(text) || text.split('.').some((octet) => octet.length > 1 && octet.startsWith('0'))) return undefined;
    return { family: 4, value: new Address4(text).bigInt(), text };
  }
  if (!/^[0-9a-fA-F:.]+$/.test(text) || !text.includes(':') || !Address6.isValid(text)) return undefined;
  const address = new Address6(text);
  return { family: 6, value: address.bigInt(), text: address.correctForm() };
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
  const text = family === 4 ? Address4.fromBigInt(value).correctForm() : Address6.fromBigInt(value).correctForm();
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
export const overlaps = (a: Cidr, b: Cidr): boolean => contains(a, networkOf(b).ip) || contains(b, networkOf(a).ip);
export const cidrText = (cidr: Cidr): string => `${cidr.ip.text}/${cidr.prefixLen}`;
/** The single-address subnet of `ip` (/32 or /128). */
export const hostCidr = (ip: Ip): Cidr => ({ ip, prefixLen: bitsOf(ip.family) });
