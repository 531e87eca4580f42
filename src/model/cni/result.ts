/**
 * CNI results on the wire ↔ in memory. In memory there is one shape, that of 1.1.0; a registry of pairwise converters
 * leads from and to each wire shape. @see cni.md 1.3 (K1-K13)
 */
import { parseCidr, parseIp } from '../cidr.ts';
import { isObject, knownKey } from './known-key.ts';
import { CniError, type CniDns, type CniInterface, type CniIp, type CniResult, type CniRoute, cniCode } from './types.ts';
import { isCniVersion } from './version.ts';

/** 0.1.0, 0.2.0: one address per family. */
interface PairResult {
  ip4?: PairIp;
  ip6?: PairIp;
  dns: CniDns;
}
interface PairIp {
  ip: string;
  gateway?: string;
  routes?: Pick<CniRoute, 'dst' | 'gw'>[];
}
/** 0.3.0 to 0.4.0: addresses carry their family. */
interface FamilyResult {
  interfaces?: Pick<CniInterface, 'name' | 'mac' | 'sandbox'>[];
  ips?: FamilyIp[];
  routes?: CniRoute[];
  dns: CniDns;
}
type FamilyIp = { version: '4' | '6' } & CniIp;
/** 1.0.0 and later, and memory. */
type Result = Omit<CniResult, 'cniVersion'>;

type Shape = 'pair' | 'family' | 'current';
const shapeOf: Readonly<Record<string, Shape>> = {
  '0.1.0': 'pair',
  '0.2.0': 'pair',
  '0.3.0': 'family',
  '0.3.1': 'family',
  '0.4.0': 'family',
  '1.0.0': 'current',
  '1.1.0': 'current',
};

const familyOf = (address: string): '4' | '6' => (address.includes(':') ? '6' : '4');

/** Neighbouring shapes, both ways; longer ways are walked step by step. */
const converters = {
  pairToFamily({ ip4, ip6, dns }: PairResult): FamilyResult {
    const both = [ip4, ip6].filter((ip) => ip !== undefined);
    const routes = both.flatMap((ip) => ip.routes ?? []);
    return {
      ips: both.map((ip) => ({ version: familyOf(ip.ip), address: ip.ip, ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }) })),
      ...(routes.length === 0 ? {} : { routes }),
      dns,
    };
  },
  /** K6: the first address of each family survives, with its family's routes; interfaces are lost. */
  familyToPair({ ips = [], routes = [], dns }: FamilyResult): PairResult {
    const pick = (family: '4' | '6'): PairIp | undefined => {
      const ip = ips.find(({ version }) => version === family);
      if (ip === undefined) return undefined;
      const own = routes.filter(({ dst }) => familyOf(dst) === family).map(({ dst, gw }) => ({ dst, ...(gw === undefined ? {} : { gw }) }));
      return { ip: ip.address, ...(ip.gateway === undefined ? {} : { gateway: ip.gateway }), ...(own.length === 0 ? {} : { routes: own }) };
    };
    const [ip4, ip6] = [pick('4'), pick('6')];
    if (ip4 === undefined && ip6 === undefined)
      throw new CniError(cniCode.config, 'cannot convert: no valid IP addresses', 'results before 0.3.0 cannot be without an address');
    return { ...(ip4 === undefined ? {} : { ip4 }), ...(ip6 === undefined ? {} : { ip6 }), dns };
  },
  familyToCurrent({ ips, ...rest }: FamilyResult): Result {
    return { ...rest, ...(ips === undefined ? {} : { ips: ips.map(({ version: _version, ...ip }) => ip) }) };
  },
  /** K5: mtu, socketPath and pciID of interfaces are lost. */
  currentToFamily({ interfaces, ips, routes, dns }: Result): FamilyResult {
    return {
      ...(interfaces === undefined
        ? {}
        : {
            interfaces: interfaces.map(({ name, mac, sandbox }) => ({
              name,
              ...(mac === undefined ? {} : { mac }),
              ...(sandbox === undefined ? {} : { sandbox }),
            })),
          }),
      ...(ips === undefined ? {} : { ips: ips.map((ip) => ({ version: familyOf(ip.address), ...ordered(ip) })) }),
      ...(routes === undefined ? {} : { routes }),
      dns: dns ?? {},
    };
  },
} as const;

/** Key order of the reference, for people who compare texts. */
const ordered = ({ interface: index, address, gateway }: CniIp): CniIp => ({
  ...(index === undefined ? {} : { interface: index }),
  address,
  ...(gateway === undefined ? {} : { gateway }),
});

/**
 * Decoded output of ADD → the shape of 1.1.0.
 * Lenient where the reference is (K8, K10): without `cniVersion` it is of `configVersion`, null counts as {}, an interface
 * index below zero as none, unknown fields are dropped, known ones are found in any case.
 * Throws {@link CniError} 6 on what is no result, 1 on a version nobody knows.
 */
export function parseResult(value: unknown, configVersion: string): CniResult {
  const object = value === null ? {} : value;
  if (!isObject(object)) throw new CniError(cniCode.decode, `a result must be an object, not ${Array.isArray(object) ? 'a list' : typeof object}`);
  const named = knownKey(object, 'cniVersion');
  if (named !== undefined && typeof named !== 'string') throw wrong('cniVersion', named, 'a string');
  const version = named === undefined || named === '' ? (configVersion === '' ? '0.1.0' : configVersion) : named;
  if (!isCniVersion(version)) throw new CniError(cniCode.version, `unsupported CNI result version ${JSON.stringify(version)}`);
  return { cniVersion: '1.1.0', ...toCurrent(object, shapeOf[version] ?? 'current') };
}

function toCurrent(object: Fields, shape: Shape): Result {
  if (shape === 'pair') return converters.familyToCurrent(converters.pairToFamily(readPair(object)));
  // Both later shapes are read alike: the family of an address is in the address.
  return readCurrent(object);
}

/** `result` as `version` writes it, keys in the reference's order. Throws {@link CniError} 7 when that version cannot say it (K6), 1 when unknown. */
export function formatResult(result: CniResult, version: string): Record<string, unknown> {
  if (!isCniVersion(version)) throw new CniError(cniCode.version, `unsupported CNI result version ${JSON.stringify(version)}`);
  const { interfaces, ips, routes, dns } = result;
  const full = (list: readonly unknown[] | undefined): boolean => list !== undefined && list.length > 0;
  const current: Result = {
    ...(full(interfaces) ? { interfaces } : {}),
    ...(full(ips) ? { ips: ips?.map(ordered) } : {}),
    ...(full(routes) ? { routes } : {}),
    ...(dns === undefined ? {} : { dns: writtenDns(dns) }),
  } as Result;
  const shape = shapeOf[version];
  if (shape === 'current') {
    const { dns: own, ...rest } = current;
    return { cniVersion: version, ...rest, ...(own === undefined || Object.keys(own).length === 0 ? {} : { dns: own }) };
  }
  // K9: before 1.0.0 dns is written even when there is none.
  const family = converters.currentToFamily(current);
  return { cniVersion: version, ...(shape === 'family' ? family : converters.familyToPair(family)) };
}

function writtenDns({ nameservers, domain, search, options }: CniDns): CniDns {
  return {
    ...(nameservers === undefined || nameservers.length === 0 ? {} : { nameservers }),
    ...(domain === undefined || domain === '' ? {} : { domain }),
    ...(search === undefined || search.length === 0 ? {} : { search }),
    ...(options === undefined || options.length === 0 ? {} : { options }),
  };
}

// ---- reading -----------------------------------------------------------------------------------------------------------

type Fields = Readonly<Record<string, unknown>>;
const wrong = (path: string, value: unknown, wanted: string): CniError =>
  new CniError(cniCode.decode, `${path} of the result must be ${wanted}, not ${JSON.stringify(value)}`);

function objects(parent: Fields, key: string, path = key): Fields[] {
  const value = knownKey(parent, key);
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw wrong(path, value, 'a list');
  return value.map((item: unknown, i) => {
    if (!isObject(item)) throw wrong(`${path}[${i}]`, item, 'an object');
    return item;
  });
}
function text(parent: Fields, key: string, path: string): string | undefined {
  const value = knownKey(parent, key);
  if (value !== undefined && typeof value !== 'string') throw wrong(`${path}.${key}`, value, 'a string');
  return value === '' ? undefined : value;
}
function integer(parent: Fields, key: string, path: string): number | undefined {
  const value = knownKey(parent, key);
  if (value !== undefined && (typeof value !== 'number' || !Number.isInteger(value))) throw wrong(`${path}.${key}`, value, 'a whole number');
  return value;
}
function address(parent: Fields, key: string, path: string): string {
  const value = text(parent, key, path);
  if (value === undefined || parseCidr(value) === undefined) throw wrong(`${path}.${key}`, value ?? null, 'an address with prefix length');
  return value;
}
function plainIp(parent: Fields, key: string, path: string): string | undefined {
  const value = text(parent, key, path);
  if (value !== undefined && parseIp(value) === undefined) throw wrong(`${path}.${key}`, value, 'an IP address');
  return value;
}

/** Drops undefined members, so that results compare and print as what they say. */
function defined<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

function readRoute(route: Fields, path: string): CniRoute {
  const nullable = (key: string): number | undefined => integer(route, key, path);
  return defined<CniRoute>({
    dst: address(route, 'dst', path),
    gw: plainIp(route, 'gw', path),
    mtu: integer(route, 'mtu', path),
    advmss: integer(route, 'advmss', path),
    priority: integer(route, 'priority', path),
    table: nullable('table'),
    scope: nullable('scope'),
  });
}
function readDns(object: Fields): CniDns | undefined {
  const dns = knownKey(object, 'dns');
  if (dns === undefined) return undefined;
  if (!isObject(dns)) throw wrong('dns', dns, 'an object');
  const list = (key: string): string[] | undefined => {
    const value = knownKey(dns, key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw wrong(`dns.${key}`, value, 'a list of strings');
    return value;
  };
  const found = defined<CniDns>({
    nameservers: list('nameservers'),
    domain: text(dns, 'domain', 'dns'),
    search: list('search'),
    options: list('options'),
  });
  return Object.keys(found).length === 0 ? undefined : found;
}

function readPair(object: Fields): PairResult {
  const read = (key: 'ip4' | 'ip6'): PairIp | undefined => {
    const ip = knownKey(object, key);
    if (ip === undefined) return undefined;
    if (!isObject(ip)) throw wrong(key, ip, 'an object');
    const routes = objects(ip, 'routes', `${key}.routes`).map((route, i) =>
      defined<Pick<CniRoute, 'dst' | 'gw'>>({ dst: address(route, 'dst', `${key}.routes[${i}]`), gw: plainIp(route, 'gw', `${key}.routes[${i}]`) }),
    );
    return {
      ip: address(ip, 'ip', key),
      ...defined<{ gateway?: string }>({ gateway: plainIp(ip, 'gateway', key) }),
      ...(routes.length === 0 ? {} : { routes }),
    };
  };
  return {
    ...defined<{ ip4?: PairIp; ip6?: PairIp }>({ ip4: read('ip4'), ip6: read('ip6') }),
    ...defined<{ dns: CniDns }>({ dns: readDns(object) }),
  };
}

function readCurrent(object: Fields): Result {
  const interfaces = objects(object, 'interfaces').map((link, i): CniInterface => {
    const path = `interfaces[${i}]`;
    return defined<CniInterface>({
      name: text(link, 'name', path) ?? '',
      mac: text(link, 'mac', path),
      mtu: integer(link, 'mtu', path),
      sandbox: text(link, 'sandbox', path),
      socketPath: text(link, 'socketPath', path),
      pciID: text(link, 'pciID', path),
    });
  });
  const ips = objects(object, 'ips').map((ip, i): CniIp => {
    const path = `ips[${i}]`;
    const index = integer(ip, 'interface', path);
    return defined<CniIp>({
      address: address(ip, 'address', path),
      gateway: plainIp(ip, 'gateway', path),
      interface: index === undefined || index < 0 ? undefined : index,
    });
  });
  const routes = objects(object, 'routes').map((route, i) => readRoute(route, `routes[${i}]`));
  const dns = readDns(object);
  return {
    ...(interfaces.length === 0 ? {} : { interfaces }),
    ...(ips.length === 0 ? {} : { ips }),
    ...(routes.length === 0 ? {} : { routes }),
    ...(dns === undefined ? {} : { dns }),
  };
}
