/** Subnets of ours that somebody else already routes. Pure. @see rkt.md 4.1 row 17 */
import { cidrText, hostCidr, lastOf, networkOf, overlaps, parseCidr, type Cidr } from '../../model/cidr.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { HostRoute } from '../facts/types.ts';

/** What the check reads of a network, planned or only configured. */
export type ExpectedNetwork = Pick<PlannedNetwork, 'name' | 'source' | 'expects'>;

/** A subnet for which joining makes the host a router (bridge with a gateway, ptp); macvlan, ipvlan and host-device make it none. */
interface Routed {
  readonly network: ExpectedNetwork;
  readonly subnet: Cidr;
  /** first and last address, of IPv6 the upper 53 bits: numbers tell most pairs apart, and a hundred networks are thousands of pairs */
  readonly from: number;
  readonly to: number;
}
const routedBy = (network: ExpectedNetwork, subnet: Cidr): Routed => {
  const unseen = subnet.ip.family === 4 ? 0n : 75n;
  return { network, subnet, from: Number(networkOf(subnet).ip.value >> unseen), to: Number(lastOf(subnet).value >> unseen) };
};
const doOverlap = (a: Routed, b: Routed): boolean => a.from <= b.to && b.from <= a.to && overlaps(a.subnet, b.subnet);
const isHostRoute = (cidr: Cidr): boolean => cidr.prefixLen === (cidr.ip.family === 4 ? 32 : 128);

/** The default route, also in the parts that VPNs split it into (0/1 and 128/1, ::/1, 2000::/3), overlaps everything and harms nothing. */
const isDefault = (cidr: Cidr): boolean => cidr.prefixLen <= (cidr.ip.family === 4 ? 1 : 3);

/** ptp leaves a route and an address of one host per running pod, on the pod's own veth (3.2). */
const isPodsOwn = (network: ExpectedNetwork, entry: HostRoute, cidr: Cidr): boolean =>
  network.expects.bridge === undefined && entry.device.startsWith('veth') && isHostRoute(cidr) && entry.gateway === undefined;

/** What of the address space an entry takes; undefined for what harms nothing. */
interface Taken {
  readonly entry: HostRoute;
  readonly taken: Cidr;
}
function takenBy(entry: HostRoute): Taken[] {
  const cidr = parseCidr(entry.destination);
  if (cidr === undefined || isDefault(networkOf(cidr))) return [];
  // Of an address only the address itself is taken; the subnet around it is a route of its own.
  return [{ entry, taken: entry.kind === 'address' ? hostCidr(cidr.ip) : networkOf(cidr) }];
}

/** Why `entry` is in the way of `routed`; undefined if it is not. */
function conflictWith({ network, subnet }: Routed, { entry, taken }: Taken): string | undefined {
  if (entry.device === (network.expects.bridge ?? '\0') || !overlaps(subnet, taken) || isPodsOwn(network, entry, taken)) return undefined;
  if (entry.kind === 'address') return `the host's address ${taken.ip.text} on device ${entry.device}`;
  // "Reject 172.16.0.0/12 unless something more precise is known" is a fence, and ours is more precise.
  if (entry.kind === 'reject') return taken.prefixLen < subnet.prefixLen ? undefined : `the rejecting route ${cidrText(taken)}`;
  return `the route ${cidrText(taken)}${entry.gateway === undefined ? '' : ` via ${entry.gateway}`} on device ${entry.device}`;
}

/**
 * Subnets that overlap a route or address of another device, or each other; each pair is told of the later network.
 * Two networks may share one bridge and one subnet; then the bridge is the route of both.
 */
export function conflictsOf(
  networks: readonly ExpectedNetwork[],
  routes: readonly HostRoute[],
): { readonly text: string; readonly network: ExpectedNetwork }[] {
  const routed: Routed[] = networks
    .filter(({ expects }) => expects.gateway)
    .flatMap((network) =>
      network.expects.subnets.flatMap((text) => {
        const subnet = parseCidr(text);
        return subnet === undefined ? [] : [routedBy(network, subnet)];
      }),
    );
  const conflicts: { text: string; network: ExpectedNetwork }[] = [];
  const add = (mine: Routed, other: string): void => {
    conflicts.push({ text: `subnet ${cidrText(mine.subnet)} of network "${mine.network.name}" overlaps ${other}`, network: mine.network });
  };
  const occupied = routes.flatMap(takenBy);
  for (const [i, mine] of routed.entries()) {
    const found = occupied.flatMap((taken) => {
      const why = conflictWith(mine, taken);
      return why === undefined ? [] : [{ entry: taken.entry, why }];
    });
    for (const { entry, why } of found) {
      // The address by which a subnet is routed says nothing new.
      if (entry.kind !== 'address' || !found.some((other) => other.entry.kind === 'route' && other.entry.device === entry.device)) add(mine, why);
    }
    for (const [j, other] of routed.entries()) {
      if (j >= i) break;
      if (other.network === mine.network || !doOverlap(mine, other)) continue;
      const isShared =
        mine.network.expects.bridge !== undefined &&
        mine.network.expects.bridge === other.network.expects.bridge &&
        cidrText(mine.subnet) === cidrText(other.subnet);
      if (!isShared) add(mine, `subnet ${cidrText(other.subnet)} of network "${other.network.name}"`);
    }
  }
  return conflicts;
}

/** @throws ERR_NET_SUBNET_CONFLICT naming every pair of {@link conflictsOf} */
export function refuseConflicts(networks: readonly PlannedNetwork[], routes: readonly HostRoute[], adminDirectory: string): void {
  const conflicts = conflictsOf(networks, routes);
  const first = conflicts[0];
  if (first === undefined) return;
  const { source } = first.network;
  throw new RuntimeError('ERR_NET_SUBNET_CONFLICT', conflicts.length === 1 ? first.text : `${conflicts.length} subnets are already in use`, {
    details: conflicts.length === 1 ? [] : conflicts.map(({ text }) => text),
    hint:
      source.owner === 'admin'
        ? `choose another subnet in ${source.path}`
        : `copy ${source.path} to ${adminDirectory} and choose another subnet there`,
  });
}
