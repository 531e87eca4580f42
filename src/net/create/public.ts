/** Which subnets belong to somebody on the Internet, by IANA's special-purpose registries. Pure. */
import { Address4, Address6 } from 'ip-address';
import { cidrText, lastOf, networkOf, type Cidr } from '../../model/cidr.ts';

/** A subnet that has globally reachable addresses at one of its ends: whoever is on it does not reach their owners. */
export function publicWarnings(subnets: readonly Cidr[]): string[] {
  return subnets
    .filter((subnet) =>
      [networkOf(subnet).ip, lastOf(subnet)].some(({ family, text }) => (family === 4 ? new Address4(text) : new Address6(text)).isGlobal()),
    )
    .map((subnet) => `subnet ${cidrText(subnet)} is of the public Internet: this host and its pods will not reach whoever has these addresses`);
}
