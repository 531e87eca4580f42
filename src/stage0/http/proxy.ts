/**
 * Which proxy the environment names for a URL. Pure. The variables are curl's and Go's: HTTPS_PROXY, HTTP_PROXY,
 * ALL_PROXY, NO_PROXY, in lower case too, which wins. This machine itself is never asked for through a proxy.
 */
import { BlockList, isIP } from 'node:net';
import { RuntimeError } from '../../model/errors.ts';

export interface Proxy {
  readonly url: URL;
  /** the variable that names it */
  readonly source: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Host of a URL as sockets want it: without the brackets of IPv6. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '');
export const portOf = ({ port, protocol }: URL): number => (port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port));

/** True for the names and addresses that cannot leave this machine. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') || name === '::1' || (isIP(name) === 4 && name.startsWith('127.'));
}

/** @throws ERR_HTTP_PROXY for a value that names no HTTP proxy */
export function proxyFor(url: URL, env: Environment): Proxy | undefined {
  const scheme = url.protocol.slice(0, -1);
  const names = [`${scheme}_proxy`, `${scheme.toUpperCase()}_PROXY`, 'all_proxy', 'ALL_PROXY'];
  const source = names.find((name) => (env[name] ?? '') !== '');
  if (source === undefined || isLoopback(hostOf(url)) || bypasses(url, env['no_proxy'] ?? env['NO_PROXY'] ?? '')) return undefined;
  const text = env[source] ?? '';
  const withScheme = /^[a-z0-9+.-]+:\/\//i.test(text) ? text : `http://${text}`;
  const proxy = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (proxy === undefined || !/^https?:$/.test(proxy.protocol) || proxy.hostname === '') {
    // The value may hold a password: only its scheme is shown.
    const what = proxy === undefined ? 'is no URL' : `names a ${proxy.protocol.slice(0, -1)} proxy`;
    throw new RuntimeError('ERR_HTTP_PROXY', `${source} ${what}`, { hint: `rkt can use HTTP proxies: ${source}=http://HOST:PORT` });
  }
  return { url: proxy, source };
}

/** NO_PROXY: `*`, domains with all below them, addresses, address ranges; each may have a port. */
function bypasses(url: URL, list: string): boolean {
  const host = hostOf(url).toLowerCase().replace(/\.$/, '');
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      if (entry.includes('/')) return inRange(host, entry);
      const [, name = '', port] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
      if (port !== undefined && Number(port) !== portOf(url)) return false;
      const domain = name.toLowerCase().replace(/^\*?\./, '');
      return host === domain || (isIP(host) === 0 && host.endsWith(`.${domain}`));
    });
}

function inRange(host: string, range: string): boolean {
  const [address = '', prefix = ''] = range.split('/', 2);
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^\d+$/.test(prefix) || Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(address, Number(prefix), type);
  return list.check(host, type);
}
