/** What is tried on the known plugin types: their configuration and what must be there before them. */
import { isObject } from '../../model/cni/known-key.ts';
import { RuntimeError, messageOf } from '../../model/errors.ts';

export type JsonObject = Record<string, unknown>;

/** `chained`: works on the interface of a plugin before it. */
export type Role = 'interface' | 'loopback' | 'ipam' | 'chained';

export interface Subject {
  readonly type: string;
  readonly role: Role;
  /** the plugin object for the nth pod, without name and version */
  conf(n: number): JsonObject;
  /** the interface it is asked for */
  readonly ifName: string;
  /** kind of link the kernel must have, as `ip link add type` knows it */
  readonly linkKind?: string;
  /** a device file it needs */
  readonly device?: string;
  /** a program it needs */
  readonly program?: string;
  /** commands of `ip` that prepare the host once, and before each pod */
  readonly host?: readonly string[];
  podHost?(n: number): readonly string[];
  /** works on a link that leads to a DHCP server */
  readonly lan?: boolean;
  /** asks an IPAM of ours, the recorder */
  readonly delegates: boolean;
  /** a configuration with room for one pod only */
  readonly exhausted?: JsonObject;
  /** the same address asked for in two ways: what `args` says must win (P26) */
  readonly twice?: { readonly args: JsonObject; readonly cniArgs: string; readonly expects: string };
  /** result of the plugin before it, as given by the user */
  readonly prevResult?: JsonObject;
  /** there can be one pod at a time */
  readonly single?: boolean;
}

/** The IPAM on CNI_PATH that writes down what it is asked. */
export const recorderType = 'conform-ipam';
const ipam = { type: recorderType };
const master = ['link add up0 type veth peer name up1', 'link set up0 up', 'link set up1 up'];
const fullName = (n: number): string => `10.88.${n >> 8}.${n & 255}`;

type Known = Omit<Subject, 'type' | 'ifName' | 'delegates'> & { readonly ifName?: string };

const known: Readonly<Record<string, Known>> = {
  bridge: { role: 'interface', conf: () => ({ bridge: 'cnf0', isGateway: true, ipMasq: true, ipam }) },
  ptp: { role: 'interface', conf: () => ({ ipMasq: true, ipam }) },
  macvlan: { role: 'interface', linkKind: 'macvlan', host: master, conf: () => ({ master: 'up0', mode: 'bridge', ipam }) },
  ipvlan: { role: 'interface', linkKind: 'ipvlan', host: master, conf: () => ({ master: 'up0', mode: 'l2', ipam }) },
  vlan: { role: 'interface', linkKind: 'vlan', host: master, conf: (n) => ({ master: 'up0', vlanId: 100 + n, ipam }) },
  dummy: { role: 'interface', linkKind: 'dummy', conf: () => ({ ipam }) },
  tap: { role: 'interface', device: '/dev/net/tun', conf: () => ({ ipam }) },
  'host-device': {
    role: 'interface',
    podHost: (n) => [`link add dev${n} type veth peer name far${n}`, `link set far${n} up`],
    conf: (n) => ({ device: `dev${n}`, ipam }),
  },
  loopback: { role: 'loopback', ifName: 'lo', conf: () => ({}) },
  'host-local': {
    role: 'ipam',
    conf: () => ({ ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/16' }]], routes: [{ dst: '0.0.0.0/0' }] } }),
    exhausted: { ipam: { type: 'host-local', ranges: [[{ subnet: '10.89.0.0/29', rangeStart: '10.89.0.2', rangeEnd: '10.89.0.2' }]] } },
    twice: { args: { ips: ['10.88.7.7'] }, cniArgs: 'IP=10.88.8.8', expects: '10.88.7.7/16' },
  },
  static: {
    role: 'ipam',
    conf: (n) => ({
      ipam: {
        type: 'static',
        addresses: [{ address: `${fullName(n + 2)}/16`, gateway: '10.88.0.1' }],
        routes: [{ dst: '0.0.0.0/0', gw: '10.88.0.1' }],
      },
    }),
    twice: { args: { ips: ['10.88.7.7/16'] }, cniArgs: 'IP=10.88.8.8/16', expects: '10.88.7.7/16' },
  },
  dhcp: { role: 'ipam', lan: true, conf: () => ({ ipam: { type: 'dhcp' } }) },
  portmap: {
    role: 'chained',
    conf: (n) => ({ snat: true, runtimeConfig: { portMappings: [{ hostPort: 20_000 + n, containerPort: 80, protocol: 'tcp' }] } }),
  },
  firewall: { role: 'chained', conf: () => ({}) },
  bandwidth: {
    role: 'chained',
    linkKind: 'ifb',
    conf: () => ({ ingressRate: 8_000_000, ingressBurst: 8_000_000, egressRate: 8_000_000, egressBurst: 8_000_000 }),
  },
  tuning: { role: 'chained', conf: () => ({ sysctl: { 'net.core.somaxconn': '511' }, mtu: 1400 }) },
  dnsname: { role: 'chained', program: 'dnsmasq', conf: (n) => ({ runtimeConfig: { aliases: [`pod${n}`] } }) },
  sbr: { role: 'chained', conf: () => ({}) },
  vrf: { role: 'chained', linkKind: 'vrf', conf: () => ({ vrfname: 'red' }) },
};

const knownTypes = Object.keys(known).sort();

const usage = (message: string, hint: string, cause?: unknown): RuntimeError =>
  new RuntimeError('ERR_CLI_USAGE', message, { hint, exitCode: 2, ...(cause === undefined ? {} : { cause }) });

function parseObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usage(`${what} is not JSON: ${messageOf(error)}`, 'give a JSON object', error);
  }
  if (!isObject(value)) throw usage(`${what} is not a JSON object`, 'give a JSON object');
  return value;
}

/** The plugin's object in a list (the one of `type`, else the first), or the object itself. */
function pluginObject(text: string, type: string): JsonObject {
  const value = parseObject(text, 'the configuration');
  if (!Array.isArray(value['plugins'])) return value;
  const plugins = value['plugins'].filter(isObject);
  const found = plugins.find((plugin) => plugin['type'] === type) ?? plugins[0];
  if (found === undefined) throw usage('the configuration list has no plugin', 'give a list with the plugin to be tried');
  return found;
}

const usesIpam = (conf: JsonObject): boolean => isObject(conf['ipam']) && conf['ipam']['type'] === recorderType;

/**
 * What is tried on a plugin of `type`. A configuration of the user's replaces the built-in one; its `ipam` is replaced by
 * the recorder, unless the plugin is an IPAM itself.
 * @throws RuntimeError ERR_CLI_USAGE when there is neither
 */
export function subjectOf(type: string, confText?: string, prevText?: string, capText?: string): Subject {
  const builtIn = known[type];
  const caps = capText === undefined ? undefined : parseObject(capText, '--cap-args');
  const prevResult = prevText === undefined ? undefined : parseObject(prevText, '--prev-result');
  const withCaps = (conf: JsonObject): JsonObject => (caps === undefined ? conf : { ...conf, runtimeConfig: caps });
  if (confText === undefined) {
    if (builtIn === undefined)
      throw usage(
        `there is no built-in configuration for plugins of type ${JSON.stringify(type)}`,
        `give one by --conf=FILE (built in: ${knownTypes.join(', ')})`,
      );
    return {
      ifName: 'eth0',
      ...builtIn,
      type,
      conf: (n) => withCaps(builtIn.conf(n)),
      delegates: usesIpam(builtIn.conf(0)),
      ...(prevResult === undefined ? {} : { prevResult }),
    };
  }
  const { name: _name, cniVersion: _version, type: _type, ...own } = pluginObject(confText, type);
  const ipamConf = own['ipam'];
  const isIpam = builtIn === undefined ? isObject(ipamConf) && ipamConf['type'] === type : builtIn.role === 'ipam';
  const replaced = !isIpam && isObject(ipamConf) && typeof ipamConf['type'] === 'string' ? { ...own, ipam } : own;
  return {
    ifName: builtIn?.ifName ?? 'eth0',
    role: builtIn?.role ?? (isIpam ? 'ipam' : prevResult === undefined ? 'interface' : 'chained'),
    type,
    conf: () => withCaps(replaced),
    delegates: usesIpam(replaced),
    ...(builtIn?.linkKind === undefined ? {} : { linkKind: builtIn.linkKind }),
    ...(builtIn?.lan === undefined ? {} : { lan: builtIn.lan }),
    ...(builtIn?.host === undefined ? {} : { host: builtIn.host }),
    ...(builtIn?.podHost === undefined ? {} : { podHost: builtIn.podHost }),
    ...(prevResult === undefined ? {} : { prevResult }),
    // A given configuration names things that only one pod can have (an address, a device, a port).
    single: true,
  };
}
