/**
 * The host's routes and addresses, without netlink and without root: the main routing table as /proc shows it.
 * Other tables (policy routing, VPNs that use one) are not in it.
 */
import { networkInterfaces } from 'node:os';
import { readText } from '../../host/files.ts';
import { cidrText, ipFromBytes, parseCidr } from '../../model/cidr.ts';
import { byteOrder } from '../conf/order.ts';
import type { HostRoute } from './types.ts';

const RTF_UP = 0x1;
const RTF_REJECT = 0x200;
const RTF_ANYCAST = 0x100000;
const RTF_LOCAL = 0x80000000;

/** Parses /proc/net/route: addresses are the hexadecimal of a host-order (little-endian) word. */
export function parseRoutes4(text: string): HostRoute[] {
  const address = (hex: string): Buffer => Buffer.from(hex, 'hex').reverse();
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [device = '', destination = '', gateway = '', flagsText = '', , , , mask = ''] = line.trim().split(/\s+/);
      const flags = Number.parseInt(flagsText, 16);
      if (mask === '' || (flags & RTF_UP) === 0) return [];
      const prefixLen = [...address(mask)].reduce((bits, octet) => bits + octet.toString(2).replaceAll('0', '').length, 0);
      return [route(address(destination), prefixLen, device, flags, address(gateway))];
    });
}

/** Parses /proc/net/ipv6_route; local, anycast, multicast and link-local entries say nothing about subnets and are left out. */
export function parseRoutes6(text: string): HostRoute[] {
  return text.split('\n').flatMap((line) => {
    const [destination = '', prefix = '', , , gateway = '', , , , flagsText = '', device = ''] = line.trim().split(/\s+/);
    const flags = Number.parseInt(flagsText, 16);
    const isLocal = (flags & (RTF_LOCAL | RTF_ANYCAST)) !== 0;
    if (device === '' || (flags & (RTF_UP | RTF_REJECT)) === 0 || isLocal || destination.startsWith('ff') || /^fe[89ab]/.test(destination)) return [];
    // The kernel's own last resort, "nothing is reachable".
    if ((flags & RTF_REJECT) !== 0 && prefix === '00') return [];
    return [route(Buffer.from(destination, 'hex'), Number.parseInt(prefix, 16), device, flags, Buffer.from(gateway, 'hex'))];
  });
}

function route(destination: Uint8Array, prefixLen: number, device: string, flags: number, gateway: Uint8Array): HostRoute {
  const subnet = `${ipFromBytes(destination).text}/${prefixLen}`;
  // IPv4 shows a blackhole as a route of device "*" without the flag; IPv6 shows rejecting routes as not up.
  if ((flags & RTF_REJECT) !== 0 || device === '*') return { destination: subnet, device: '', kind: 'reject' };
  return { destination: subnet, device, kind: 'route', ...(gateway.some((octet) => octet !== 0) ? { gateway: ipFromBytes(gateway).text } : {}) };
}

/** Routes and addresses of the network namespace this thread is in, sorted. Addresses of links that are down are only known by their routes. */
export function readHostRoutes(): HostRoute[] {
  const addresses = Object.entries(networkInterfaces()).flatMap(([device, list = []]) =>
    list.flatMap(({ cidr }): HostRoute[] => {
      const parsed = cidr === null ? undefined : parseCidr(cidr);
      const isLinkLocal = parsed?.ip.family === 6 && parsed.ip.value >> 118n === 0x3fan;
      return parsed === undefined || isLinkLocal ? [] : [{ destination: cidrText(parsed), device, kind: 'address' }];
    }),
  );
  const routes = [
    ...parseRoutes4(readText('/proc/thread-self/net/route') ?? ''),
    // Absent when the kernel or the boot line has no IPv6.
    ...parseRoutes6(readText('/proc/thread-self/net/ipv6_route') ?? ''),
  ];
  const key = (entry: HostRoute): string => `${entry.kind} ${entry.destination} ${entry.device} ${entry.gateway ?? ''}`;
  const unique = new Map([...routes, ...addresses].map((entry) => [key(entry), entry]));
  return [...unique.entries()].sort(([a], [b]) => byteOrder(a, b)).map(([, entry]) => entry);
}
