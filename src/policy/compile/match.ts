/** What a rule matches, as programs of nftables' machine. Pure. @see policy.md 1 (R12-R28), 2f */
import { type Cidr, type Family, ipBytes, ipFromValue, lastOf, networkOf, overlaps } from '../../model/cidr.ts';
import { type Expression, destination, isFamily, lookup, protocolAndPort, source, word, words } from '../../model/ruleset/expressions.ts';
import type { Network, World } from '../model/experiment.ts';
import type { Peer, PortMatch, Rule } from '../model/policy.ts';
import { podKey, type Direction } from '../model/values.ts';
import { type Groups, portField, protocolNumber, protocols } from './groups.ts';
import { type Selection, matchesLabels } from './select.ts';

export const families = [4, 6] as const satisfies readonly Family[];
/** Names of the sets that groups are in, without family. */
export const setOf = { addresses: 'group', ports: 'port' } as const;

/** One way to match; `family` absent: packets of both. */
export interface Line {
  readonly family?: Family;
  readonly expressions: readonly Expression[];
}

/** What a rule's peers and ports are looked up in. */
export interface Scene {
  readonly world: World;
  readonly network: Network;
  readonly selection: Selection;
  readonly groups: Groups;
  /** groups of lists of peers that were met before: many policies say the same */
  readonly known: Map<string, Readonly<Partial<Record<Family, number>>>>;
}

const addressLength = (family: Family): number => (family === 4 ? 4 : 16);
/** The end of a connection that a rule's peers are about. */
const peerAddress = (direction: Direction, family: Family, reg: number): Expression => (direction === 'ingress' ? source : destination)(family, reg);

function inBlock(direction: Direction, cidr: Cidr, test: 'eq' | 'neq'): Expression[] {
  const { family } = cidr.ip;
  const network = ipBytes(networkOf(cidr).ip);
  const last = ipBytes(lastOf(cidr));
  const mask = network.map((byte, index) => ~(byte ^ (last[index] ?? 0)) & 0xff);
  return [peerAddress(direction, family, 0), { op: 'mask', reg: 0, mask }, { op: 'cmp', test, reg: 0, data: network }];
}

interface Piece {
  readonly cidr: Cidr;
  readonly except: readonly Cidr[];
}
/** A rule holds 4 KiB of expressions, some hundred bytes a hole. */
const mostHoles = 16;

/** A block with more holes than fit into a rule, in halves until they do; what lies in a hole whole is left out. */
function piecesOf(cidr: Cidr, except: readonly Cidr[]): Piece[] {
  const within = except.filter((hole) => overlaps(hole, cidr));
  if (within.some((hole) => hole.prefixLen <= cidr.prefixLen)) return [];
  if (within.length <= mostHoles) return [{ cidr, except: within }];
  const { ip } = networkOf(cidr);
  const prefixLen = cidr.prefixLen + 1;
  const upper = ip.value | (1n << BigInt((ip.family === 4 ? 32 : 128) - prefixLen));
  return [ip, ipFromValue(ip.family, upper)].flatMap((half) => piecesOf({ ip: half, prefixLen }, within));
}

/** Each except is of this block alone (R20). */
const blockLine = (direction: Direction, { cidr, except }: Piece): PeerLine => ({
  family: cidr.ip.family,
  expressions: [...inBlock(direction, cidr, 'eq'), ...except.flatMap((hole) => inBlock(direction, hole, 'neq'))],
  ofBlock: true,
});

const groupLine = (direction: Direction, family: Family, group: number): Line => ({
  family,
  expressions: [{ op: 'immediate', reg: 0, data: word(group) }, peerAddress(direction, family, 1), lookup(`${setOf.addresses}${family}`)],
});

const matchesDomain = (pattern: string, domain: string): boolean =>
  pattern.startsWith('*.') ? domain.endsWith(pattern.slice(1)) && domain.length > pattern.length - 1 : domain === pattern;

/** Addresses that the peers other than blocks stand for. */
function addressesOf(peer: Peer, { world, network, selection }: Scene): Cidr['ip'][] {
  switch (peer.kind) {
    case 'pods': {
      const pods = selection.pods(peer.pods);
      return selection.places(network.id).flatMap(({ pod, ips }) => (pods.has(podKey(pod)) ? ips : []));
    }
    case 'nodes':
      return world.nodes.flatMap(({ labels, ips }) => (matchesLabels(labels, peer.selector) ? ips : []));
    case 'domain':
      return world.outside.flatMap(({ domains, ips }) => (domains.some((domain) => matchesDomain(peer.pattern, domain)) ? ips : []));
    case 'block':
      return [];
  }
}

/** What peers say, without where it is written. */
const wordsOf = (peers: readonly Peer[]): string =>
  JSON.stringify(peers, (key, value: unknown) => (key === 'source' ? undefined : typeof value === 'bigint' ? String(value) : value));

function groupsOf(peers: readonly Peer[], scene: Scene): Readonly<Partial<Record<Family, number>>> {
  const said = wordsOf(peers);
  const known = scene.known.get(said);
  if (known !== undefined) return known;
  const ips = peers.flatMap((peer) => addressesOf(peer, scene));
  const found = Object.fromEntries(
    families.flatMap((family) => {
      const group = scene.groups.addresses(family, ips);
      return group === undefined ? [] : [[family, group]];
    }),
  );
  scene.known.set(said, found);
  return found;
}

interface PeerLine extends Line {
  readonly ofBlock: boolean;
}

/** Peers of one rule are ORed (R12): those that stand for addresses become one group. */
function peerLines(rule: Rule, direction: Direction, scene: Scene): PeerLine[] {
  if (rule.peers === undefined) return [{ expressions: [], ofBlock: false }];
  const numbers = groupsOf(rule.peers, scene);
  const grouped = families.flatMap((family): PeerLine[] => {
    const group = numbers[family];
    return group === undefined ? [] : [{ ...groupLine(direction, family, group), ofBlock: false }];
  });
  const blocks = rule.peers.flatMap((peer) =>
    peer.kind === 'block' ? piecesOf(peer.cidr, peer.except).map((piece) => blockLine(direction, piece)) : [],
  );
  return [...grouped, ...blocks];
}

const isProtocol = (number: number): Expression[] => [
  { op: 'meta', key: 'l4proto', reg: 0 },
  { op: 'cmp', test: 'eq', reg: 0, data: Uint8Array.of(number) },
];

/** A named port is that of the destination pod (R24); its protocol must be the rule's, if the rule has one (R25). */
function namedLines(port: Extract<PortMatch, { kind: 'named' }>, { selection, network, groups }: Scene): Line[] {
  const asked = port.protocol === undefined ? protocols : [port.protocol];
  const owners = selection.places(network.id).flatMap(({ pod, ips }) =>
    asked.flatMap((protocol) => {
      // Two container ports of one name and protocol: the first is meant.
      const own = pod.ports.find((one) => one.name === port.name && one.protocol === protocol);
      return own === undefined ? [] : ips.map((ip) => ({ ip, protocol, port: own.port }));
    }),
  );
  return families.flatMap((family): Line[] => {
    const group = groups.ports(family, owners);
    if (group === undefined) return [];
    return [
      {
        family,
        expressions: [
          { op: 'immediate', reg: 0, data: word(group) },
          destination(family, 1),
          ...protocolAndPort(1 + words(addressLength(family))),
          lookup(`${setOf.ports}${family}`),
        ],
      },
    ];
  });
}

function portLines(port: PortMatch, scene: Scene): Line[] {
  switch (port.kind) {
    case 'protocol':
      return [{ expressions: isProtocol(protocolNumber[port.protocol]) }];
    case 'range': {
      const bytes = (value: number): Buffer => portField(value).subarray(0, 2);
      const destinationPort = { op: 'payload', base: 'transport', offset: 2, length: 2, reg: 0 } as const;
      return [
        {
          expressions: [
            ...isProtocol(protocolNumber[port.protocol]),
            destinationPort,
            ...(port.first === port.last
              ? [{ op: 'cmp', test: 'eq', reg: 0, data: bytes(port.first) } as const]
              : [
                  { op: 'cmp', test: 'gte', reg: 0, data: bytes(port.first) } as const,
                  { op: 'cmp', test: 'lte', reg: 0, data: bytes(port.last) } as const,
                ]),
          ],
        },
      ];
    }
    case 'named':
      return namedLines(port, scene);
  }
}

/** Every way in which a connection can match the rule; none: it matches nothing. */
export function linesOf(rule: Rule, direction: Direction, scene: Scene): Line[] {
  const peers = peerLines(rule, direction, scene);
  if (rule.ports === undefined) return peers.map(({ family, expressions }) => joined([{ family, expressions }]));
  // R26: what is found by an address block is no pod whose ports have names, unless the experiment says so.
  const unnamed = direction === 'egress' && scene.world.switches.namedPortOfBlock === 'never';
  return rule.ports.flatMap((port) => {
    const lines = portLines(port, scene);
    return peers
      .filter(({ ofBlock }) => !(ofBlock && unnamed && port.kind === 'named'))
      .flatMap((peer) =>
        lines.filter(({ family }) => family === undefined || peer.family === undefined || family === peer.family).map((line) => joined([peer, line])),
      );
  });
}

/** All of `parts`, the family asked first: addresses of the network header are only where they are in packets of that family. */
function joined(parts: readonly { readonly family?: Family | undefined; readonly expressions: readonly Expression[] }[]): Line {
  const family = parts.find((part) => part.family !== undefined)?.family;
  const expressions = parts.flatMap((part) => part.expressions);
  return family === undefined ? { expressions } : { family, expressions: [...isFamily(family), ...expressions] };
}
