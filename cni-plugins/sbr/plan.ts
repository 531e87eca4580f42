/** Which routes go where: pure, so that every case of it can be tested without a kernel. */
import { type Cidr, cidrText, contains, type Family, type Ip, networkOf, parseCidr } from '../../src/model/cidr.ts';
import type { Lease } from '../skel/interface.ts';

/** What is needed to know of a route of the pod's interface in the main table. */
export interface MainRoute {
  readonly family: Family;
  readonly dst: Cidr;
  readonly gateway: Ip | undefined;
  readonly source: Ip | undefined;
}
/** What becomes of one address. */
export interface AddressPlan<R extends MainRoute> {
  readonly lease: Lease;
  /** of a default route to be made; undefined when one of the copies is one */
  readonly gateway: Ip | undefined;
  /** into the address's own table, in this order */
  readonly copies: readonly R[];
}
export interface Plan<R extends MainRoute> {
  readonly addresses: readonly AddressPlan<R>[];
  /** out of the main table, in this order */
  readonly leave: readonly R[];
  /** subnets whose route in the main table shall name the address as source */
  readonly hints: readonly { readonly subnet: Cidr; readonly source: Ip; readonly route: R | undefined }[];
}

const linkLocal = parseCidr('fe80::/10');
/** What a link-local source needs, for which there is no rule: stays in main as well. */
const isLinkLocal = ({ dst }: MainRoute): boolean => linkLocal !== undefined && contains(linkLocal, dst.ip) && dst.prefixLen >= 10;
const isDefault = ({ dst }: MainRoute): boolean => dst.prefixLen === 0;
const sameSubnet = (a: Cidr, b: Cidr): boolean => cidrText(networkOf(a)) === cidrText(networkOf(b));

/** A route belongs to the address it names, whose subnet its gateway is in, or to all when it says neither. */
function isOf({ address, gateway }: Lease, route: MainRoute): boolean {
  if (route.family !== address.ip.family) return false;
  if (route.source === undefined && route.gateway === undefined) return true;
  const { source, gateway: via } = route;
  return (source !== undefined && contains(address, source)) || (via !== undefined && (contains(address, via) || via.text === gateway?.text));
}

export function planRoutes<R extends MainRoute>(
  leases: readonly Lease[],
  routes: readonly R[],
  gateways: readonly Ip[],
  addSourceHints: boolean,
): Plan<R> {
  // What no address claims (a gateway outside of every subnet) goes to all of its family: a route that is nowhere is lost.
  const unclaimed = (route: R): boolean => !leases.some((lease) => isOf(lease, route));
  const served = new Set(leases.map(({ address }) => address.ip.family));
  const addresses = leases.map((lease): AddressPlan<R> => {
    const { family } = lease.address.ip;
    const configured = gateways.find((ip) => ip.family === family);
    const own = routes.filter(
      (route) => route.family === family && (isOf(lease, route) || unclaimed(route)) && !(configured !== undefined && isDefault(route)),
    );
    return { lease, gateway: own.some(isDefault) ? undefined : (configured ?? lease.gateway), copies: nearFirst(own) };
  });
  const movable = routes.filter((route) => served.has(route.family) && !isLinkLocal(route));
  const hints: Plan<R>['hints'][number][] = [];
  if (addSourceHints)
    for (const { address } of leases) {
      const subnet = networkOf(address);
      if (hints.some((hint) => sameSubnet(hint.subnet, subnet))) continue;
      hints.push({ subnet, source: address.ip, route: movable.find(({ dst }) => sameSubnet(dst, subnet)) });
    }
  const stays = (route: R): boolean => addSourceHints && (route.gateway === undefined || hints.some((hint) => hint.route === route));
  return { addresses, leave: nearFirst(movable.filter((route) => !stays(route))).toReversed(), hints };
}

/** Routes without gateway first: the others need them. */
const nearFirst = <R extends MainRoute>(routes: readonly R[]): R[] => [
  ...routes.filter(({ gateway }) => gateway === undefined),
  ...routes.filter(({ gateway }) => gateway !== undefined),
];
