/** What there is on the machine because of attachments to one network: found by the network's name, whoever made it. */
import { attachmentText, networkText } from '../../model/ruleset.ts';
import { elementText } from '../../model/ruleset/text.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { CachedAttachment } from '../cni/cache.ts';
import { leasesOf } from './leases.ts';
import { readElements, readLinks } from './read.ts';
import type { LinkState } from './types.ts';

/** One thing, and the attachment it belongs to. */
export interface Holding {
  readonly kind: 'lease' | 'link' | 'rule' | 'cache';
  readonly what: string;
  /** {@link attachmentText}; undefined in leases that do not say their interface: whether those are in use cannot be told (row 9) */
  readonly key: string | undefined;
  readonly containerId: string;
  readonly ifName: string;
  /** of a lease */
  readonly address?: string;
}

export interface NetworkHoldings {
  readonly holdings: readonly Holding[];
  /** the bridge of the configuration, if it is there */
  readonly bridge: (LinkState & { readonly ports: readonly LinkState[] }) | undefined;
}

export function readHoldings(network: PlannedNetwork, cached: readonly CachedAttachment[]): NetworkHoldings {
  const { name, expects } = network;
  const prefix = networkText(name);
  const links = readLinks(
    ({ alias, name: link, kind, master }) => alias.startsWith(prefix) || link === expects.bridge || (kind !== '' && master !== 0),
  );
  const bridge = links.find((link) => link.name === expects.bridge);
  /** Names that are too long are cut in the middle part: such a holder is shown as it is written. */
  const holderOf = (key: string): Pick<Holding, 'key' | 'containerId' | 'ifName'> => {
    const [, containerId = '', ifName = ''] = key.split('/');
    return { key, containerId, ifName };
  };
  return {
    holdings: [
      ...leasesOf(network).map(({ address, containerId, ifName, path }): Holding => {
        const key = ifName === undefined ? undefined : attachmentText({ network: name, containerId, ifName });
        return { kind: 'lease', what: `lease ${address} (${path})`, key, containerId, ifName: ifName ?? '', address };
      }),
      ...links
        .filter(({ alias, kind }) => alias.startsWith(prefix) && kind !== 'bridge')
        .map((link): Holding => ({ kind: 'link', what: `link ${link.name}`, ...holderOf(link.alias) })),
      ...readElements((comment) => comment.startsWith(prefix)).map((element): Holding => ({
        kind: 'rule',
        what: `nftables element ${elementText(element)}`,
        ...holderOf(element.comment),
      })),
      ...distinct(cached).map(({ path, containerId, ifName }): Holding => {
        return { kind: 'cache', what: `cache entry ${path}`, key: attachmentText({ network: name, containerId, ifName }), containerId, ifName };
      }),
    ],
    bridge: bridge?.kind === 'bridge' ? { ...bridge, ports: links.filter(({ master }) => master === bridge.name) } : undefined,
  };
}

/** A file of the old format can be read in several ways, and is one file. */
const distinct = (cached: readonly CachedAttachment[]): CachedAttachment[] => [...new Map(cached.map((item) => [item.path, item])).values()];
