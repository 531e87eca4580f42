/** What the client's script wrote about a lease, and the result it makes. Pure. @see cni.md 3.18; RFC 2132, 3442 */
import { cidrText, networkOf, parseCidr, parseIp, type Cidr, type Ip } from '../../src/model/cidr.ts';
import { CniError, cniCode, type CniResult, type CniRoute } from '../../src/model/cni/types.ts';

export interface Lease {
  readonly address: Ip;
  /** undefined when the server sent no subnet mask */
  readonly prefixLen: number | undefined;
  readonly router: Ip | undefined;
  /** option 121 */
  readonly classlessRoutes: readonly CniRoute[];
  /** option 33 */
  readonly staticRoutes: readonly CniRoute[];
  readonly nameservers: readonly string[];
  readonly server: string;
  /** seconds since boot, suspended time included; Infinity for a lease without end */
  readonly expiresUptimeSeconds: number;
}

const endless = 0xffff_ffff;

/** Lines `name=value` as lease-event.sh writes them; undefined when they hold no lease. What a server got wrong is left out. */
export function parseLease(text: string): Lease | undefined {
  const fields = new Map(
    text.split('\n').flatMap((line): [string, string][] => {
      const at = line.indexOf('=');
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1).trim()]];
    }),
  );
  const words = (name: string): string[] => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
  const ips = (name: string): Ip[] => words(name).flatMap((word) => parseIp(word) ?? []);
  const address = ips('ip')[0];
  const [uptime, seconds] = [Number(fields.get('uptime')), Number(fields.get('lease') || Number.NaN)];
  if (address === undefined || !Number.isFinite(uptime)) return undefined;
  const prefixLen = /^\d{1,2}$/.test(fields.get('mask') ?? '') ? Number(fields.get('mask')) : undefined;
  return {
    address,
    prefixLen: prefixLen !== undefined && prefixLen <= 32 ? prefixLen : undefined,
    router: ips('router')[0],
    classlessRoutes: pairs(words('staticroutes')).flatMap(([dst, gw]) => route(parseCidr(dst), gw)),
    staticRoutes: words('routes').flatMap((pair) => {
      const [dst = '', gw = ''] = pair.split('/');
      return route(classful(dst), gw);
    }),
    nameservers: ips('dns').map((ip) => ip.text),
    server: ips('serverid')[0]?.text ?? '',
    expiresUptimeSeconds: Number.isFinite(seconds) && seconds < endless ? uptime + seconds : Number.POSITIVE_INFINITY,
  };
}

const pairs = (words: readonly string[]): [string, string][] =>
  words.flatMap((word, i): [string, string][] => {
    const next = words[i + 1];
    return i % 2 === 0 && next !== undefined ? [[word, next]] : [];
  });

function route(dst: Cidr | undefined, gateway: string): CniRoute[] {
  const gw = parseIp(gateway);
  return dst === undefined || gw === undefined ? [] : [{ dst: cidrText(networkOf(dst)), gw: gw.text }];
}

/** Option 33 has no masks: the class of the destination says it; there is none for multicast, and a default route is not allowed. */
function classful(text: string): Cidr | undefined {
  const ip = parseIp(text);
  if (ip === undefined || ip.value === 0n) return undefined;
  const first = Number(ip.value >> 24n);
  return first >= 224 ? undefined : { ip, prefixLen: first < 128 ? 8 : first < 192 ? 16 : 24 };
}

/**
 * Address, gateway, routes; no DNS, as in the reference. Option 121 replaces option 33 and the router (RFC 3442); without it the
 * router is the default route.
 * @param options - of every route the `priority` (0: none); `suppressGateway` drops the gateway and default routes
 * @throws CniError when the server did not say the subnet mask
 */
export function resultOf(lease: Lease, options: { readonly priority: number; readonly suppressGateway: boolean }): CniResult {
  if (lease.prefixLen === undefined) throw new CniError(cniCode.internal, 'DHCP option Subnet Mask not found in DHCPACK');
  const gateway = options.suppressGateway ? undefined : lease.router;
  const routes = (
    lease.classlessRoutes.length > 0
      ? lease.classlessRoutes
      : [...lease.staticRoutes, ...(lease.router === undefined ? [] : [{ dst: '0.0.0.0/0', gw: lease.router.text }])]
  ).filter(({ dst }) => !options.suppressGateway || !dst.endsWith('/0'));
  return {
    cniVersion: '1.1.0',
    ips: [{ address: cidrText({ ip: lease.address, prefixLen: lease.prefixLen }), ...(gateway === undefined ? {} : { gateway: gateway.text }) }],
    ...(routes.length === 0 ? {} : { routes: routes.map((one) => (options.priority === 0 ? one : { ...one, priority: options.priority })) }),
  };
}
