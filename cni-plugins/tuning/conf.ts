/** tuning's configuration: keys, defaults and precedence of the reference (3.13). */
import { type JsonSpan, readSpans } from '../../src/model/json-text.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { badValue, ConfReader, knownKey } from '../skel/conf.ts';

/** One kernel setting. */
export interface Setting {
  /** as the configuration has it; what the allowlist is about */
  readonly key: string;
  /** below /proc/sys */
  readonly path: string;
  readonly value: string;
}
/** What an interface can be given; undefined: left as it is. */
export interface Attributes {
  readonly mac?: string | undefined;
  readonly promisc?: boolean | undefined;
  readonly mtu?: number | undefined;
  readonly allmulti?: boolean | undefined;
  readonly txQLen?: number | undefined;
}
export interface TuningConf {
  readonly dataDir: string;
  readonly settings: readonly Setting[];
  readonly attributes: Attributes;
}

const defaultDataDir = '/run/cni/tuning';
const bad = (message: string): CniError => new CniError(cniCode.config, message);

/** The configuration, then CNI_ARGS (MAC), then runtimeConfig (mac), then args.cni: a later one wins (P26). @throws CniError 7 */
export function readConf(req: PluginRequest): TuningConf {
  const conf = new ConfReader(req.conf);
  const args = conf.object('args')?.object('cni') ?? new ConfReader({}, 'args.cni');
  const dataDir = dataDirOf(req);
  if (!dataDir.startsWith('/')) throw badValue('', 'dataDir', dataDir, 'an absolute path');
  const mac = lastOf(conf.text('mac'), req.args.get('MAC'), conf.object('runtimeConfig')?.text('mac'), args.text('mac'));
  const mtu = args.integer('mtu', 0, 0x7fff_ffff) ?? conf.integer('mtu', 0, 0x7fff_ffff) ?? 0;
  return {
    dataDir,
    settings: settingsOf(req, conf, args),
    attributes: {
      mac: mac === undefined ? undefined : checkedMac(mac),
      // False is "not asked for", as in the reference.
      promisc: (args.flag('promisc') ?? conf.flag('promisc')) === true ? true : undefined,
      mtu: mtu === 0 ? undefined : mtu,
      allmulti: args.flag('allmulti') ?? conf.flag('allmulti'),
      txQLen: args.integer('txQLen', 0, 0xffff_ffff) ?? conf.integer('txQLen', 0, 0xffff_ffff),
    },
  };
}

/** Where old values are kept. For DEL and GC too: never fails. */
export function dataDirOf({ conf }: PluginRequest): string {
  const value = knownKey(conf, 'dataDir');
  return typeof value === 'string' && value !== '' ? value : defaultDataDir;
}

/** The last one that is set; an empty one is not. */
const lastOf = (...values: (string | undefined)[]): string | undefined => values.findLast((value) => value !== undefined && value !== '');

/** `aa:bb:…`, `aa-bb-…` or `aabb.ccdd.eeff`, of one interface (no group address). Lower case, with colons. */
function checkedMac(mac: string): string {
  const digits = /^(?:([0-9a-f]{2})([:-])(?:[0-9a-f]{2}\2){4}[0-9a-f]{2}|([0-9a-f]{4}\.){2}[0-9a-f]{4})$/i.test(mac)
    ? mac.replaceAll(/[:.-]/g, '').toLowerCase()
    : '';
  if (digits === '') throw bad(`invalid args ${mac} for MAC addr: not a hardware address`);
  if ((Number.parseInt(digits.slice(0, 2), 16) & 1) === 1 || /^0+$/.test(digits))
    throw bad(`invalid args ${mac} for MAC addr: no interface can have it (a group address, or all zero)`);
  return digits.replaceAll(/(..)(?=.)/g, '$1:');
}

function settingsOf(req: PluginRequest, conf: ConfReader, args: ConfReader): Setting[] {
  refuseRepeated(req.confText);
  const values = new Map([...textsOf(conf, 'sysctl'), ...textsOf(args, 'sysctl')]);
  const settings = [...values].map(([key, value]) => ({ key, path: pathOf(key, req.ifName), value }));
  const seen = new Map<string, string>();
  for (const { key, path } of settings) {
    const other = seen.get(path);
    if (other !== undefined)
      throw bad(`duplicated sysctl keys are not allowed: ${JSON.stringify(other)} and ${JSON.stringify(key)} are the same setting`);
    seen.set(path, key);
  }
  return settings;
}
const textsOf = (conf: ConfReader, key: string): [string, string][] =>
  Object.entries(conf.object(key)?.fields ?? {}).map(([name, value]) => {
    if (typeof value !== 'string') throw badValue(conf.where === '' ? key : `${conf.where}.${key}`, name, value, 'a string');
    return [name, value];
  });

/**
 * `net.ipv4.conf.IFNAME.arp_filter` → `net/ipv4/conf/eth0/arp_filter`. A key that begins with `net/` is a path already, and its dots
 * are dots (`net/ipv4/conf/eth0.100/…`), as sysctl(8) has it. IFNAME is replaced once, after that: a name may hold dots.
 */
function pathOf(key: string, ifName: string): string {
  const path = (key.startsWith('net/') ? key : key.replaceAll('.', '/')).replace('IFNAME', () => ifName);
  // Nothing may lead out of /proc/sys/net, which has no links; names of interfaces hold neither slash nor white space.
  if (!/^net(\/[^/\s\0]+)+$/.test(path) || path.split('/').some((part) => part === '.' || part === '..'))
    throw bad(`invalid net sysctl key: ${JSON.stringify(key)}`);
  return path;
}

/** A key that is there twice says two things, of which decoders silently take one. */
function refuseRepeated(text: string | undefined): void {
  if (text === undefined) return;
  const root = readSpans(text);
  const tables = [...valuesOf([root], 'sysctl'), ...valuesOf(valuesOf(valuesOf([root], 'args'), 'cni'), 'sysctl')];
  for (const { members = [] } of tables) {
    const keys = members.map(({ key }) => key);
    const twice = keys.find((key, i) => keys.indexOf(key) !== i);
    if (twice !== undefined) throw bad(`duplicated sysctl keys are not allowed: ${JSON.stringify(twice)}`);
  }
  if (valuesOf([root], 'sysctl').length > 1) throw bad('duplicated keys are not allowed: "sysctl"');
}
const valuesOf = (objects: readonly JsonSpan[], name: string): JsonSpan[] =>
  objects.flatMap(({ members = [] }) => members.filter(({ key }) => key.toLowerCase() === name).map(({ value }) => value));

/** What values are compared by: the kernel separates with tabs what people separate with spaces. */
export const sameText = (a: string, b: string): boolean => words(a) === words(b);
const words = (text: string): string => text.trim().split(/\s+/).join(' ');
