/** A wish → a configuration list, or every reason why not. Pure. @see cni.md C1-C13, 3.1-3.3, 3.10, 3.11, 3.16 */
import { cidrText } from '../../model/cidr.ts';
import { isIfName, isNetworkName, reservedNetworkNames } from '../../model/ids.ts';
import { RuntimeError, isRuntimeError, messageOf } from '../../model/errors.ts';
import { createdKey, type CreatedMark } from '../conf/created.ts';
import { parseList } from '../conf/parse.ts';
import { faultText, type NetworkConf } from '../conf/types.ts';
import { conflictsOf, type ExpectedNetwork } from '../plan/conflicts.ts';
import { expectationsOf } from '../plan/expects.ts';
import { planNetworks } from '../plan/plan.ts';
import { joinableNetworks } from '../plan/select.ts';
import { publicWarnings } from './public.ts';
import type { DefinitionFacts, NetworkRequest } from './request.ts';
import { defineSubnets, type DefinedSubnet } from './subnets.ts';

/** A network that can be made: nothing is written yet. */
export interface DefinedNetwork {
  readonly path: string;
  readonly text: string;
  readonly subnets: readonly string[];
  /** undefined: the driver has none */
  readonly bridge: string | undefined;
  readonly warnings: readonly string[];
}

/** `NAME-<uuid>-eth0` must still be a file name. */
const longestName = 200;
const minMtu = 68;
const minMtu6 = 1280;

/** @throws ERR_NET_DEFINITION naming every fault */
export function defineNetwork(request: NetworkRequest, facts: DefinitionFacts): DefinedNetwork {
  const faults = [...nameFaults(request.name, facts), ...flagFaults(request, facts)];
  const subnets = defineSubnets(request, facts, faults);
  const mtu = readMtu(request.mtu, subnets, faults);
  const bridge = request.driver === 'bridge' ? bridgeName(request.name, facts) : undefined;
  const useDns = request.driver === 'bridge' && (request.dns ?? facts.hasDnsmasq);
  const mark: CreatedMark = { by: 'rkt net create', driver: request.driver };
  const list = {
    cniVersion: '1.1.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: request.name,
    [createdKey]: mark,
    plugins: [
      mainPlugin(request, subnets, { mtu, bridge }),
      ...(request.driver === 'macvlan' || request.internal ? [] : [{ type: 'portmap', capabilities: { portMappings: true }, snat: true }]),
      ...(request.driver === 'macvlan' ? [] : [firewallPlugin(request)]),
      ...(useDns ? [dnsPlugin(request)] : []),
    ],
  };
  const text = `${JSON.stringify(list, undefined, 2)}\n`;
  const path = `${facts.directory}/${fileName(request.name, facts.files)}`;
  if (faults.length === 0) faults.push(...planFaults({ path, text }, request.name, facts));
  if (faults.length > 0) refuse(request.name, faults);
  const withoutDns = request.driver === 'bridge' && request.dns === undefined && !useDns;
  return {
    path,
    text,
    bridge,
    subnets: subnets.map(({ subnet }) => cidrText(subnet)),
    warnings: [
      ...publicWarnings(subnets.map(({ subnet }) => subnet)),
      ...(withoutDns
        ? ['pods will not find each other by name: dnsmasq is not installed (apt install dnsmasq-base; --no-dns says it is meant)']
        : []),
    ],
  };
}

function refuse(name: string, faults: readonly string[]): never {
  const one = faults.length === 1 ? faults[0] : undefined;
  throw new RuntimeError('ERR_NET_DEFINITION', one ?? `network ${JSON.stringify(name)} cannot be created: ${faults.length} faults`, {
    details: one === undefined ? faults : [],
    hint: 'nothing was written; rkt net list shows the networks there are',
  });
}

function nameFaults(name: string, { configs }: DefinitionFacts): string[] {
  if (!isNetworkName(name)) return [`${JSON.stringify(name)} is no network name: a letter or digit, then letters, digits, "_", "." and "-"`];
  if (name.length > longestName) return [`the name is longer than ${longestName} characters`];
  if (reservedNetworkNames.includes(name)) return [`"${name}" means something else to --net`];
  const holders = [...configs.networks.map((conf) => ({ name: conf.name, path: conf.source.path })), ...configs.faulty].filter(
    (file) => file.name === name,
  );
  return holders.length === 0 ? [] : [`there is a network "${name}" already: ${holders.map(({ path }) => path).join(', ')}`];
}

/** Wishes that the driver cannot fulfil. */
function flagFaults(request: NetworkRequest, facts: DefinitionFacts): string[] {
  const { driver, parent } = request;
  const faults: string[] = [];
  if (driver === 'macvlan') {
    if (request.ipv6 && !request.subnets.some((subnet) => subnet.includes(':')))
      faults.push('--ipv6 is for subnets of our own; macvlan needs --subnet with an IPv6 subnet of the network its parent is in');
    if (request.internal && request.subnets.length === 0) faults.push('--internal needs --subnet with macvlan: a DHCP server gives a way out');
    if (request.isolate) faults.push('--isolate needs a bridge or ptp: the host does not forward for macvlan');
    if (parent === 'lo') faults.push('--parent lo: the loopback has no neighbours; macvlan needs an interface of a network');
    else if (parent !== undefined && !facts.links.includes(parent))
      faults.push(`--parent ${JSON.stringify(parent)} is no interface of this machine: ${facts.links.filter((link) => link !== 'lo').join(', ')}`);
    if (parent === undefined && !facts.routes.some(({ destination, kind }) => kind === 'route' && destination === '0.0.0.0/0'))
      faults.push('macvlan needs --parent: there is no default route whose interface could be it');
  } else if (parent !== undefined) faults.push(`--parent is for macvlan, not for ${driver}`);
  if (request.dns === true && driver !== 'bridge') faults.push(`--dns needs a bridge, whose address the name server has; ${driver} has none`);
  if (request.dns === true && driver === 'bridge' && !facts.hasDnsmasq)
    faults.push('--dns needs dnsmasq, which is not installed: apt install dnsmasq-base');
  return faults;
}

function readMtu(text: string | undefined, subnets: readonly DefinedSubnet[], faults: string[]): number | undefined {
  if (text === undefined) return undefined;
  const mtu = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (mtu < minMtu || mtu > 65_535) faults.push(`--mtu ${JSON.stringify(text)} is not a number from ${minMtu} to 65535`);
  else if (mtu < minMtu6 && subnets.some(({ subnet }) => subnet.ip.family === 6))
    faults.push(`--mtu ${mtu} is too small for IPv6, which needs ${minMtu6}`);
  return mtu;
}

/** `rkt-NAME` when that is an interface name nobody has, else `rkt1`, `rkt2`, …: names of configured bridges are taken too. */
function bridgeName(name: string, { links, configs }: DefinitionFacts): string {
  const taken = new Set([...links, ...configs.networks.flatMap(({ plugins }) => expectationsOf(plugins).bridge ?? [])]);
  const own = `rkt-${name}`;
  if (isIfName(own) && !taken.has(own)) return own;
  for (let n = 1; ; n++) if (!taken.has(`rkt${n}`)) return `rkt${n}`;
}

function mainPlugin(
  request: NetworkRequest,
  subnets: readonly DefinedSubnet[],
  { mtu, bridge }: { mtu: number | undefined; bridge: string | undefined },
): object {
  const isRouted = request.driver !== 'macvlan';
  return {
    type: request.driver,
    ...(bridge === undefined ? {} : { bridge, isGateway: true, hairpinMode: true }),
    ...(isRouted && !request.internal ? { ipMasq: true } : {}),
    ...(request.driver === 'macvlan' ? { mode: 'bridge', ...(request.parent === undefined ? {} : { master: request.parent }) } : {}),
    ...(mtu === undefined ? {} : { mtu }),
    capabilities: { ...(subnets.length === 0 ? {} : { ips: true }), ...(request.driver === 'ptp' ? {} : { mac: true }) },
    // The parent's network has addresses of its own: they come from its DHCP server, or are ours to give when the subnet is told.
    ipam: subnets.length === 0 ? { type: 'dhcp' } : hostLocal(request, subnets),
  };
}

const hostLocal = ({ internal }: NetworkRequest, subnets: readonly DefinedSubnet[]): object => ({
  type: 'host-local',
  ranges: subnets.map(({ subnet, gateway, range }) => [
    {
      subnet: cidrText(subnet),
      ...(range === undefined ? {} : { rangeStart: range.start.text, rangeEnd: range.end.text }),
      ...(gateway === undefined ? {} : { gateway: gateway.text }),
    },
  ]),
  // Without a way out there is no way for answers either: nothing beyond the host reaches the pod.
  ...(internal ? {} : { routes: subnets.map(({ subnet }) => ({ dst: subnet.ip.family === 4 ? '0.0.0.0/0' : '::/0' })) }),
});

/** ptp has no bridge whose pods could be let through. */
function firewallPlugin({ driver, isolate, internal }: NetworkRequest): object {
  if (!isolate && !internal) return { type: 'firewall' };
  return { type: 'firewall', ingressPolicy: driver === 'bridge' ? 'same-bridge' : 'isolated' };
}

const dnsPlugin = ({ internal }: NetworkRequest): object => ({
  type: 'dnsname',
  domainName: 'rkt.internal',
  ...(internal ? { forward: false } : {}),
  capabilities: { aliases: true },
});

/** Behind the networks that come first on purpose (10-…), before the default (99-…); each number once, so that the order of joining is that of creation. */
function fileName(name: string, files: readonly string[]): string {
  let number = 20;
  while (number < 98 && files.some((file) => file.startsWith(`${number}-`))) number++;
  return `${number}-${name}.conflist`;
}

/** What planning a pod with it would refuse, and overlaps with networks that no pod has joined yet. */
function planFaults(file: { path: string; text: string }, name: string, facts: DefinitionFacts): string[] {
  const parsed = parseList(file, 'admin', () => []);
  if ('faults' in parsed) return parsed.faults.map(faultText);
  const conf = parsed.ok;
  const expected = ({ name: of, source, plugins }: NetworkConf): ExpectedNetwork => ({ name: of, source, expects: expectationsOf(plugins) });
  const others = joinableNetworks(facts.configs).networks.map(expected);
  const mine = expected(conf);
  const faults = conflictsOf([...others, mine], facts.routes).flatMap(({ text, network }) => (network === mine ? [text] : []));
  try {
    planNetworks({
      request: { mode: 'contained', all: false, networks: [{ name, args: [], capabilityArgs: {} }], warnings: [] },
      configs: { networks: [conf], faulty: [], notices: [] },
      ports: [],
      // Routes were looked at above, together with the other networks.
      facts: { ...facts, routes: [] },
      builtinTypes: facts.builtinTypes,
      forceExec: false,
    });
  } catch (error) {
    faults.push(messageOf(error), ...(isRuntimeError(error) ? error.details : []));
  }
  return faults;
}
