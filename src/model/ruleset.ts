/**
 * The one nftables table of rkt, as data: names, sets, and the set elements that make up an attachment.
 * The table's chains and rules are fixed ({@link skeleton} in ruleset/skeleton.ts); all that comes and goes with an
 * attachment are elements, and every element carries its attachment's name as comment. Pure.
 * @see DESIGN §4; reference plugins 3.1, 3.10, 3.11; complaints 15, 16, 18, 20-22
 */
import { type Cidr, type Family, type Ip, cidrText, ipBytes, ipFromValue, networkOf, parseCidr } from './cidr.ts';
import type { PortMapping } from './cni/types.ts';

export const table = { family: 'inet', name: 'rkt' } as const;
/** Goes up when a chain, rule or set changes. Tables of another version are left alone. */
export const skeletonVersion = 1;
/** The table's comment, where the version is recognised. */
export const tableComment = `rkt pod networks, skeleton ${skeletonVersion}`;

/** One field of a set's key or value. */
export type FieldType = 'ipv4_addr' | 'ipv6_addr' | 'inet_proto' | 'inet_service' | 'ifname';
export interface SetDefinition {
  readonly key: readonly FieldType[];
  /** present: a map; 'verdict': to chains */
  readonly value?: readonly FieldType[] | 'verdict';
  readonly comment: string;
}

const perFamily = (address: FieldType) =>
  ({
    masq: { key: [address], value: 'verdict', comment: 'masqueraded pods : where they are not' },
    ports: { key: ['inet_proto', 'inet_service'], value: [address, 'inet_service'], comment: 'published on every host address' },
    hostports: { key: [address, 'inet_proto', 'inet_service'], value: [address, 'inet_service'], comment: 'published on one host address' },
    hairpin: { key: [address], value: 'verdict', comment: 'pods with ports : clients that are hidden from them' },
    pods: { key: [address], comment: 'pods with the firewall plugin' },
    closed: { key: [address], comment: 'pods closed to other pods' },
    same: { key: [address, 'ifname'], comment: 'pod . bridge from which pods may reach it all the same' },
  }) as const satisfies Record<string, SetDefinition>;
const v4 = perFamily('ipv4_addr');
const v6 = perFamily('ipv6_addr');

/** What a set is for; the set's name is this plus the family digit. */
export type SetRole = keyof typeof v4;
export type SetName = `${SetRole}${Family}`;
const roles = Object.keys(v4) as SetRole[];
export const setNames: readonly SetName[] = roles.flatMap((role) => [`${role}4`, `${role}6`] as const);
/** The definition of a set. */
export const setDefinition = (name: SetName): SetDefinition => (name.endsWith('4') ? v4 : v6)[name.slice(0, -1) as SetRole];

/** An attachment as the ruleset knows it. */
export interface AttachmentKey {
  readonly network: string;
  readonly containerId: string;
  readonly ifName: string;
}

/** Userdata of an element holds at most 255 bytes with the NUL, so very long names are cut and told apart by a hash. */
const longest = 110;
/** `text`, or what it begins with and a hash when it is long. */
export function bounded(text: string): string {
  if (text.length <= longest) return text;
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  // '~' is in no network name and no container ID, so a cut name never equals a whole one.
  return `${text.slice(0, longest - 17)}~${hash.toString(16).padStart(16, '0')}`;
}
/** How a network's name begins the comment of its elements. */
export const networkText = (network: string): string => `${bounded(network)}/`;
/** The comment of every element of an attachment: `network/containerId/ifName`. None of the parts can hold a slash. */
export const attachmentText = (key: AttachmentKey): string => `${networkText(key.network)}${bounded(key.containerId)}/${key.ifName}`;
/** Whether two comments are of attachments of one container. */
export const isSameContainer = (one: string, other: string): boolean => one.split('/')[1] === other.split('/')[1];

/** An element of a set: `value` in a map to data, `chain` in a map to chains, `comment` = attachmentText. */
export interface Element {
  readonly set: SetName;
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
  readonly chain?: string;
  readonly comment: string;
}

const port = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff, 0, 0]);
const protocolNumber = { tcp: 6, udp: 17, sctp: 132 } as const;
const protocol = (name: PortMapping['protocol']): Buffer => Buffer.from([protocolNumber[name], 0, 0, 0]);
const interfaceName = (name: string): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.write(name);
  return bytes;
};

/**
 * Subnets are told apart by chains, one for each subnet in use, shared by its pods: `outside-<subnet>` masquerades what
 * leaves the subnet, `inside-<subnet>` what comes from it (or from 127.0.0.0/8). Sets with intervals in a concatenation
 * would do without chains, but deleting from one costs the kernel 2-3 µs for every other element (measured).
 */
export type SubnetChainKind = 'outside' | 'inside';
/** nft's identifiers hold letters, digits, `/`, `-`, `_`, `.`; a colon is written as a dash. */
export const subnetChainName = (kind: SubnetChainKind, subnet: Cidr): string => `${kind}-${cidrText(networkOf(subnet)).replaceAll(':', '-')}`;
/** The reverse; undefined for chains of other kinds. */
export function parseSubnetChainName(name: string): { kind: SubnetChainKind; subnet: Cidr } | undefined {
  const match = /^(outside|inside)-(.+)$/.exec(name);
  const subnet = match?.[2] === undefined ? undefined : parseCidr(match[2].includes('.') ? match[2] : match[2].replaceAll('-', ':'));
  return subnet === undefined ? undefined : { kind: match?.[1] as SubnetChainKind, subnet };
}

/** Traffic from `addresses` is masqueraded unless it stays in the address's own subnet. `addresses`: distinct. */
export function masqueradeElements(key: AttachmentKey, addresses: readonly Cidr[]): Element[] {
  const comment = attachmentText(key);
  return distinct(
    addresses.flatMap((address): Element[] => {
      return [{ set: `masq${address.ip.family}`, key: ipBytes(address.ip), chain: subnetChainName('outside', address), comment }];
    }),
  );
}

/** Which pod addresses ports lead to, and how far sources are hidden from it. */
export interface PortTargets {
  /** the pod's first address of each family */
  readonly addresses: readonly Cidr[];
  /** hide local and same-subnet clients, whose answers would otherwise not come back through the host */
  readonly snat: boolean;
  /** hide every client */
  readonly masqAll: boolean;
}

const anywhere = (family: Family): Cidr => ({ ip: ipFromValue(family, 0n), prefixLen: 0 });

/** What publishes `mappings`; those whose host address is of a family the pod has no address of are left out. */
export function portElements(
  key: AttachmentKey,
  mappings: readonly (PortMapping & { readonly host: Ip | undefined })[],
  targets: PortTargets,
): Element[] {
  const comment = attachmentText(key);
  const elements: Element[] = [];
  for (const address of targets.addresses) {
    const family = address.ip.family;
    let used = false;
    for (const mapping of mappings) {
      if (mapping.host !== undefined && mapping.host.family !== family) continue;
      used = true;
      const outside = [protocol(mapping.protocol), port(mapping.hostPort)];
      const value = Buffer.concat([ipBytes(address.ip), port(mapping.containerPort)]);
      // 0.0.0.0 and :: mean every address of that family.
      if (mapping.host === undefined || mapping.host.value === 0n)
        elements.push({ set: `ports${family}`, key: Buffer.concat(outside), value, comment });
      else elements.push({ set: `hostports${family}`, key: Buffer.concat([ipBytes(mapping.host), ...outside]), value, comment });
    }
    if (used && targets.snat) {
      const clients = targets.masqAll ? anywhere(family) : address;
      elements.push({ set: `hairpin${family}`, key: ipBytes(address.ip), chain: subnetChainName('inside', clients), comment });
    }
  }
  return distinct(elements);
}

export type IngressPolicy = 'open' | 'same-bridge' | 'isolated';

/** The firewall plugin's elements. `bridge`: the host device of the pod's network, used by `same-bridge`. */
export function firewallElements(key: AttachmentKey, addresses: readonly Ip[], policy: IngressPolicy, bridge: string): Element[] {
  const comment = attachmentText(key);
  return distinct(
    addresses.flatMap((ip): Element[] => {
      const pod = ipBytes(ip);
      return [
        { set: `pods${ip.family}`, key: pod, comment },
        ...(policy === 'open' ? [] : [{ set: `closed${ip.family}`, key: pod, comment } as const]),
        ...(policy === 'same-bridge' ? [{ set: `same${ip.family}`, key: Buffer.concat([pod, interfaceName(bridge)]), comment } as const] : []),
      ];
    }),
  );
}

const identity = (element: Element): string => `${element.set} ${Buffer.from(element.key).toString('hex')}`;
/** Two elements are the same entry of the same set. */
export const sameEntry = (a: Element, b: Element): boolean => identity(a) === identity(b);
/** Two elements of a map lead to the same. */
export const sameValue = (a: Element, b: Element): boolean =>
  a.chain === b.chain && Buffer.compare(a.value ?? Buffer.alloc(0), b.value ?? Buffer.alloc(0)) === 0;
/** Entries of port maps are about the host's ports; those of all other sets are about a pod address. */
export const isHostPort = (element: Element): boolean => element.value !== undefined;

function distinct(elements: readonly Element[]): Element[] {
  const seen = new Map<string, Element>();
  for (const element of elements) if (!seen.has(identity(element))) seen.set(identity(element), element);
  return [...seen.values()];
}
