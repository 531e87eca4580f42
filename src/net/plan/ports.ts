/** Published ports against what the machine has: addresses, sockets, ports of other pods. Pure. @see rkt.md 2.9, 4.1 */
import { contains, parseCidr, parseIp, type Family, type Ip } from '../../model/cidr.ts';
import type { PortMapping } from '../../model/cni/types.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { HostSocket, PortFacts } from '../facts/types.ts';

/** One port of one family; `address` undefined: every address of the host. */
interface Claim {
  readonly protocol: PortMapping['protocol'];
  readonly port: number;
  readonly family: Family;
  readonly address: Ip | undefined;
}

/** Families the addresses of a network are of; both when the configuration does not tell. */
export function familiesOf({ expects, capabilityArgs }: Pick<PlannedNetwork, 'expects' | 'capabilityArgs'>): ReadonlySet<Family> {
  // An address asked for is one of the configured ranges, or all there is.
  const texts = [...expects.subnets, ...(capabilityArgs.ips ?? [])];
  const found = new Set(texts.map((text): Family => (text.includes(':') ? 6 : 4)));
  return found.size === 0 ? new Set([4, 6]) : found;
}

/** What the pod's side of a mapping takes of the host. */
function claimsOf({ hostPort, protocol, hostIP }: PortMapping, families: ReadonlySet<Family>): Claim[] {
  const ip = hostIP === undefined ? undefined : parseIp(hostIP);
  return [...families]
    .filter((family) => ip === undefined || ip.family === family)
    .map((family) => ({ protocol, port: hostPort, family, address: ip === undefined || ip.value === 0n ? undefined : ip }));
}

const samePort = (a: Pick<Claim, 'protocol' | 'port'>, b: Pick<Claim, 'protocol' | 'port'>): boolean =>
  a.protocol === b.protocol && a.port === b.port;
const overlap = (a: Claim, b: Claim): boolean =>
  samePort(a, b) && a.family === b.family && (a.address === undefined || b.address === undefined || a.address.text === b.address.text);

const multicast = { 4: parseCidr('224.0.0.0/4'), 6: parseCidr('ff00::/8') };

/** A packet for the claim would have been for the socket. */
function isSocketOf(claim: Claim, socket: HostSocket): boolean {
  if (!samePort(claim, socket)) return false;
  const ip = parseIp(socket.address);
  // [::1] is never led to a pod: its servers stay.
  if (ip === undefined || ip.text === '::1') return false;
  const group = multicast[ip.family];
  if (group !== undefined && contains(group, ip)) return false;
  // A socket on :: hears IPv4 too, unless it says otherwise, which /proc does not show.
  if (ip.value === 0n) return ip.family === 6 || claim.family === 4;
  return ip.family === claim.family && (claim.address === undefined || claim.address.text === ip.text);
}

/** `8080/tcp on 127.0.0.1`. */
const textOf = ({ hostPort, protocol, hostIP }: PortMapping): string =>
  `host port ${hostPort}/${protocol}${hostIP === undefined ? '' : ` on ${hostIP}`}`;

/** Why `mapping` cannot be; undefined when it can. */
function holderOf(claims: readonly Claim[], facts: PortFacts): string | undefined {
  for (const other of facts.published) {
    const families = new Set(other.families);
    if (claims.some((claim) => claimsOf(other, families).some((taken) => overlap(claim, taken)))) {
      const apps = other.apps.length === 0 ? '' : ` (${other.apps.join(', ')})`;
      const name = other.podName === undefined ? '' : ` "${other.podName}"`;
      return `is published by pod ${other.pod}${name}${apps}`;
    }
  }
  const socket = facts.sockets.find((candidate) => claims.some((claim) => isSocketOf(claim, candidate)));
  if (socket === undefined) return undefined;
  return `is in use by ${socket.holder ?? `a process of user ${socket.uid}`}, which listens on ${socket.address.includes(':') ? `[${socket.address}]` : socket.address}`;
}

/** A host address that cannot lead to the pod. */
function addressFault(
  mapping: PortMapping,
  families: ReadonlySet<Family>,
  network: string,
  gateways: ReadonlySet<string>,
  facts: PortFacts,
): string | undefined {
  const ip = mapping.hostIP === undefined ? undefined : parseIp(mapping.hostIP);
  if (ip === undefined) return undefined;
  if (!families.has(ip.family)) return `${textOf(mapping)}: network "${network}" gives the pod no IPv${ip.family} address`;
  if (isLocal(ip, gateways, facts) || facts.nonlocal.includes(ip.family)) return undefined;
  return `${textOf(mapping)}: this machine has no address ${ip.text}`;
}

const isLocal = (ip: Ip, gateways: ReadonlySet<string>, facts: PortFacts): boolean =>
  ip.value === 0n || (ip.family === 4 && ip.value >> 24n === 127n) || facts.addresses.includes(ip.text) || gateways.has(ip.text);

/** The first free port from `facts.choice` on, around its range. */
function chooseFor(mapping: PortMapping, families: ReadonlySet<Family>, taken: readonly Claim[], facts: PortFacts): PortMapping | undefined {
  const { first, last, start } = facts.choice;
  for (let i = 0; i <= last - first; i++) {
    const hostPort = first + ((start - first + i) % (last - first + 1));
    const claims = claimsOf({ ...mapping, hostPort }, families);
    const isTaken = claims.some((claim) => taken.some((other) => overlap(claim, other)));
    if (!isTaken && holderOf(claims, facts) === undefined) return { ...mapping, hostPort };
  }
  return undefined;
}

/**
 * Checks mappings against the machine and chooses host ports where 0 was asked for.
 * @param network - the one that publishes them
 * @param all - every network the pod joins: their gateways will be addresses of the host
 * @throws RuntimeError ERR_NET_PORTS naming every fault, with who has the port
 */
export function settlePorts(
  ports: readonly PortMapping[],
  network: PlannedNetwork,
  all: readonly PlannedNetwork[],
  facts: PortFacts,
): { ports: PortMapping[]; warnings: string[] } {
  const families = familiesOf(network);
  const gateways = new Set(all.flatMap(({ expects }) => (expects.gateway ? (expects.gateways ?? []) : [])));
  const faults: string[] = [];
  const warnings: string[] = [...facts.warnings];
  const settled: PortMapping[] = [];
  const taken = (): Claim[] => [...settled, ...ports.filter(({ hostPort }) => hostPort !== 0)].flatMap((mapping) => claimsOf(mapping, families));
  for (const mapping of ports) {
    const ip = mapping.hostIP === undefined ? undefined : parseIp(mapping.hostIP);
    const fault = addressFault(mapping, families, network.name, gateways, facts);
    if (fault !== undefined) faults.push(fault);
    else if (ip !== undefined && !isLocal(ip, gateways, facts))
      warnings.push(`${textOf(mapping)}: this machine does not have the address yet (ip_nonlocal_bind is on)`);
    if (mapping.protocol === 'sctp' && !facts.sctp) faults.push(`${textOf(mapping)}: the kernel cannot translate SCTP (nf_conntrack without it)`);
    if (fault !== undefined) continue;
    if (mapping.hostPort === 0) {
      const chosen = chooseFor(mapping, families, taken(), facts);
      if (chosen === undefined) faults.push(`no free host port for pod port ${mapping.containerPort}/${mapping.protocol}`);
      else settled.push(chosen);
      continue;
    }
    const holder = holderOf(claimsOf(mapping, families), facts);
    if (holder === undefined) settled.push(mapping);
    else faults.push(`${textOf(mapping)} ${holder}`);
  }
  if (faults.length > 0) {
    throw new RuntimeError('ERR_NET_PORTS', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} ports cannot be published`, {
      details: faults.length === 1 ? [] : faults,
      hint: 'choose another port or address (host port 0: a free one is chosen); a pod that was killed keeps its ports until rkt rm or rkt gc',
    });
  }
  return { ports: settled, warnings };
}
