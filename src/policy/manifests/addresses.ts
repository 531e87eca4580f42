/** Networks and addresses: what nobody wrote down is chosen, the same way every time. */
import { ipFromValue, lastOf, networkOf, parseCidr, type Cidr, type Ip } from '../../model/cidr.ts';
import type { Network } from '../model/experiment.ts';
import { podKey, type Pod, type PodInterface } from '../model/values.ts';
import type { Faults } from './faults.ts';
import type { DraftPod } from './pods.ts';

export const defaultNetworkId = 'pods';
export const mostNetworks = 12;

/** Subnets of the n-th network that has none: 10.244.0.0/16 and fd00:244::/64, then 245 and so on. */
export const defaultSubnets = (index: number): Cidr[] =>
  [`10.${244 + index}.0.0/16`, `fd00:${244 + index}::/64`].flatMap((text) => parseCidr(text) ?? []);

/** Gives addresses away; each once. */
export class Addresses {
  private readonly taken = new Map<string, string>();
  private readonly next = new Map<Cidr, bigint>();

  /** @returns who has the address already */
  take(network: string, ip: Ip, owner: string): string | undefined {
    const key = `${network} ${ip.text}`;
    const before = this.taken.get(key);
    this.taken.set(key, before ?? owner);
    return before === owner ? undefined : before;
  }

  /** The lowest free host address; undefined when the subnet is used up. The network's own and an IPv4 broadcast address are none. */
  allocate(network: string, subnet: Cidr, owner: string): Ip | undefined {
    const first = networkOf(subnet).ip;
    const last = lastOf(subnet).value - (first.family === 4 && subnet.prefixLen < 31 ? 1n : 0n);
    for (let value = this.next.get(subnet) ?? first.value + 1n; value <= last; value++) {
      const ip = ipFromValue(first.family, value);
      this.next.set(subnet, value + 1n);
      if (!this.taken.has(`${network} ${ip.text}`)) {
        this.taken.set(`${network} ${ip.text}`, owner);
        return ip;
      }
    }
    return undefined;
  }
}

/**
 * Drafts with networks resolved and addresses given. A pod that has any address written has these and no others, so that an IPv4-only
 * pod stays one (R39). `later` are pods that steps create, maybe with the address of one that is gone by then. `networkId` resolves a
 * name as the pod's namespace says it.
 */
export function withAddresses(
  drafts: readonly DraftPod[],
  later: ReadonlySet<DraftPod>,
  networks: readonly Network[],
  gateways: ReadonlyMap<string, readonly Ip[]>,
  networkId: (namespace: string, name: string) => string,
  faults: Faults,
): Map<DraftPod, Pod> {
  const addresses = new Addresses();
  for (const [network, ips] of gateways) for (const ip of ips) addresses.take(network, ip, 'the host');
  const primary = networks[0]?.id ?? defaultNetworkId;
  const places = drafts.map((draft) => {
    const wanted = draft.networks ?? [{ network: '', ips: [] }];
    return wanted.map(({ network, ips }, index) => ({
      network: network === '' ? primary : networkId(draft.namespace, network),
      ips: index === 0 && ips.length === 0 ? draft.ips : ips,
    }));
  });
  // What was written goes before what is chosen.
  drafts.forEach((draft, index) => {
    if (draft.hostNetwork || draft.ended) return;
    for (const { network, ips } of places[index] ?? []) {
      for (const ip of ips) {
        const owner = addresses.take(network, ip, podKey(draft));
        if (owner !== undefined && !later.has(draft)) faults.add(draft.source, '', `pod ${podKey(draft)} has the address ${ip.text} of ${owner}`);
      }
    }
  });
  return new Map(
    drafts.map((draft, index) => {
      const interfaces = (draft.hostNetwork ? [] : (places[index] ?? [])).map(({ network, ips }): PodInterface => {
        const subnets = networks.find(({ id }) => id === network)?.subnets ?? [];
        if (ips.length > 0 || draft.ended) return { network, ips };
        return {
          network,
          ips: subnets.flatMap((subnet): Ip[] => {
            const ip = addresses.allocate(network, subnet, podKey(draft));
            if (ip === undefined) faults.add(draft.source, '', `network ${network} has no address left for pod ${podKey(draft)}`);
            return ip === undefined ? [] : [ip];
          }),
        };
      });
      const { networks: _networks, ips: _ips, madeBy: _madeBy, ...rest } = draft;
      return [draft, { ...rest, interfaces }];
    }),
  );
}

/** The host's addresses on a network: the lowest of each subnet that no pod has written. */
export function gatewaysOf({ id, subnets }: Network, drafts: readonly DraftPod[]): Ip[] {
  const written = new Set(drafts.flatMap((draft) => [...draft.ips, ...(draft.networks ?? []).flatMap(({ ips }) => ips)]).map(({ text }) => text));
  const addresses = new Addresses();
  return subnets.flatMap((subnet): Ip[] => {
    let ip = addresses.allocate(id, subnet, 'the host');
    while (ip !== undefined && written.has(ip.text)) ip = addresses.allocate(id, subnet, 'the host');
    return ip === undefined ? [] : [ip];
  });
}
