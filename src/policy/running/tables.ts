/**
 * The rules for running pods: the compiled policies, and what makes them hold on a host that others use as well. Pure.
 *
 * Nothing but packets of policed pods is looked at. On a bridge their packets go up to the host and are routed (the port is isolated
 * and the bridge answers ARP for all); what would go past, straight to a port of the bridge, is dropped by a table of family bridge. A pod
 * sends with its own addresses only, for addresses are what policies go by.
 */
import { type Cidr, type Family, ipBytes, parseCidr, parseIp } from '../../model/cidr.ts';
import type { PolicedPod } from '../../model/policy-member.ts';
import { type Expression, inSubnet, isFamily, lookup, source, verdict } from '../../model/ruleset/expressions.ts';
import type { Chain } from '../../model/ruleset/skeleton.ts';
import type { TableCounter, TableElement, TableSet, TableValue } from '../../model/ruleset/table.ts';
import { type CompiledPolicies, compilePolicies } from '../compile/compile.ts';
import { families } from '../compile/match.ts';
import type { World } from '../model/experiment.ts';

const interfaceName = (name: string): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
};
/** Words of an interface name: the address behind it in a key begins there. */
const nameWords = 4;
const etherTypes = { ARP: 0x0806, 4: 0x0800, 6: 0x86dd } as const;

const constant = (text: string): Cidr => {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw new Error(text);
  return cidr;
};
/** What IPv6 sends before it has an address, and between neighbours: no policy is about these. */
const local6 = [constant('::/128'), constant('fe80::/10')];

const nameSet = (name: string, names: Iterable<string>): TableSet => ({
  name,
  key: ['ifname'],
  elements: [...new Set(names)].map((one) => ({ key: interfaceName(one) })),
});

interface Port {
  readonly link: string;
  readonly ips: readonly string[];
}
const portsOf = (pods: readonly PolicedPod[], isBridged: boolean): Port[] =>
  pods.flatMap(({ interfaces }) =>
    interfaces.flatMap(({ hostLink, bridge, ips }) =>
      hostLink === undefined || (bridge !== undefined) !== isBridged ? [] : [{ link: hostLink, ips }],
    ),
  );

const sourceSets = (ports: readonly Port[]): TableSet[] =>
  families.map((family) => ({
    name: `sources${family}`,
    key: ['ifname', family === 4 ? 'ipv4_addr' : 'ipv6_addr'],
    elements: ports.flatMap(({ link, ips }) =>
      ips.flatMap((text): TableElement[] => {
        const ip = parseIp(text);
        return ip?.family === family ? [{ key: Buffer.concat([interfaceName(link), ipBytes(ip)]) }] : [];
      }),
    ),
  }));

const cameThrough = (set: string): Expression[] => [{ op: 'meta', key: 'iifname', reg: 0 }, lookup(set)];
const leavesThrough = (set: string): Expression[] => [{ op: 'meta', key: 'oifname', reg: 0 }, lookup(set)];
/** Behind a check of the family: drops what the port has no such address for. */
const refuseForeign = (family: Family, address: Expression): Expression[] => [
  { op: 'meta', key: 'iifname', reg: 0 },
  address,
  { op: 'lookup-not', set: `sources${family}`, reg: 0 },
  verdict('drop'),
];

/** A routed link: its packets come in by its own name. */
function spoofing(ports: readonly Port[]): { readonly sets: TableSet[]; readonly chains: Chain[] } {
  if (ports.length === 0) return { sets: [], chains: [] };
  const rules = families.map((family): Expression[] => [
    ...isFamily(family),
    ...cameThrough('routed'),
    ...refuseForeign(family, source(family, nameWords)),
  ]);
  const spared = local6.map((subnet): Expression[] => [...isFamily(6), ...inSubnet('source', subnet), verdict('accept')]);
  return {
    sets: [
      nameSet(
        'routed',
        ports.map(({ link }) => link),
      ),
      ...sourceSets(ports),
    ],
    chains: [{ name: 'sources', base: { type: 'filter', hook: 'prerouting', priority: -300 }, rules: [...spared, ...rules] }],
  };
}

/** A redirect would tell a pod to go past the rules; what it then sends is dropped. */
const noRedirects = (bridges: readonly string[]): { readonly sets: TableSet[]; readonly chains: Chain[] } => {
  if (bridges.length === 0) return { sets: [], chains: [] };
  const ofType = (protocol: number, type: number): Expression[] => [
    { op: 'meta', key: 'l4proto', reg: 0 },
    { op: 'cmp', test: 'eq', reg: 0, data: Uint8Array.of(protocol) },
    { op: 'payload', base: 'transport', offset: 0, length: 1, reg: 0 },
    { op: 'cmp', test: 'eq', reg: 0, data: Uint8Array.of(type) },
    verdict('drop'),
  ];
  const [icmp, icmp6] = [ofType(1, 5), ofType(58, 137)];
  return {
    sets: [nameSet('bridges', bridges)],
    chains: [
      {
        name: 'redirects',
        base: { type: 'filter', hook: 'output', priority: 0 },
        rules: [icmp, icmp6].map((rule) => [...leavesThrough('bridges'), ...rule]),
      },
    ],
  };
};

/** On the bridge itself: nothing goes from or to a policed port but by way of the host, and nobody speaks for another. */
function bridgeTable(name: string, comment: string, ports: readonly Port[]): TableValue {
  const isType = (type: number): Expression[] => [
    { op: 'meta', key: 'protocol', reg: 0 },
    { op: 'cmp', test: 'eq', reg: 0, data: Uint8Array.of(type >> 8, type & 0xff) },
  ];
  const senderOfArp: Expression = { op: 'payload', base: 'network', offset: 14, length: 4, reg: nameWords };
  return {
    family: 'bridge',
    name,
    comment,
    sets: [
      nameSet(
        'ports',
        ports.map(({ link }) => link),
      ),
      ...sourceSets(ports),
    ],
    chains: [
      {
        name: 'sources',
        base: { type: 'filter', hook: 'prerouting', priority: -300 },
        rules: [
          ...local6.map((subnet) => [...isType(etherTypes[6]), ...inSubnet('source', subnet), verdict('accept')]),
          [...isType(etherTypes[4]), ...cameThrough('ports'), ...refuseForeign(4, source(4, nameWords))],
          [...isType(etherTypes[6]), ...cameThrough('ports'), ...refuseForeign(6, source(6, nameWords))],
          [...isType(etherTypes.ARP), ...cameThrough('ports'), ...refuseForeign(4, senderOfArp)],
        ],
      },
      {
        name: 'direct',
        base: { type: 'filter', hook: 'forward', priority: -200 },
        rules: [
          [...cameThrough('ports'), verdict('drop')],
          [...leavesThrough('ports'), verdict('drop')],
        ],
      },
    ],
  };
}

export interface RunningTables {
  readonly tables: readonly TableValue[];
  readonly compiled: CompiledPolicies;
}

/** @param counts - what was counted so far: counters of rules that stay go on */
export function runningTables(
  world: World,
  pods: readonly PolicedPod[],
  table: { readonly name: string; readonly comment: string },
  counts: readonly TableCounter[],
): RunningTables {
  const compiled = compilePolicies(world, { counted: true });
  const known = new Map(counts.map((counter) => [counter.name, counter]));
  const [bridged, routed] = [portsOf(pods, true), portsOf(pods, false)];
  const bridges = pods.flatMap(({ interfaces }) => interfaces.flatMap(({ bridge }) => bridge ?? []));
  const added = [spoofing(routed), noRedirects(bridges)];
  const main: TableValue = {
    ...compiled.table,
    ...table,
    counters: (compiled.table.counters ?? []).map((counter) => known.get(counter.name) ?? counter),
    sets: [...compiled.table.sets, ...added.flatMap(({ sets }) => sets)],
    chains: [...compiled.table.chains, ...added.flatMap(({ chains }) => chains)],
  };
  return { tables: bridged.length === 0 ? [main] : [main, bridgeTable(table.name, table.comment, bridged)], compiled };
}
