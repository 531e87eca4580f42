/** `rkt net gc`: what attachments that are gone left behind, and why it can go. @see cni.md R25-R27, C5, P14, Z10 */
import { bridgeMac } from '../../cni-plugins/skel/naming.ts';
import { RuntimeError, isRuntimeError, messageOf } from '../model/errors.ts';
import { isPodId } from '../model/ids.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import { type CachedAttachment, toolPrefix } from '../net/cni/cache.ts';
import { delList, gcList } from '../net/cni/list.ts';
import { confFromText, findList, listNames, ownSource, resolveList, withArguments } from '../net/lists.ts';
import { readHoldings, type Holding, type NetworkHoldings } from '../net/observe/holdings.ts';
import { recordedNetworks, tryLockNetwork } from '../state/network/record.ts';
import { cniServices, planServices } from './cni.ts';
import { ownersOf, type Owners } from './owners.ts';

/** One thing nobody uses. */
export interface Leftover {
  readonly what: string;
  /** whose it was, and why that is over */
  readonly why: string;
  readonly outcome: 'would be removed' | 'removed' | 'kept';
}
export interface CollectedNetwork {
  readonly name: string;
  /** who has attachments that stay */
  readonly inUse: readonly string[];
  readonly leftovers: readonly Leftover[];
  /** why nothing was done, or what failed, one a line */
  readonly problems: readonly string[];
  /** GC is not sent: the list says disableGC */
  readonly disabled: boolean;
}

/** @param names - none: every network that pods of rkt have used or can join @throws ERR_NET_NOT_FOUND for a name that is neither */
export function collectNetworks(settings: Settings, names: readonly string[], dryRun: boolean): CollectedNetwork[] {
  const recorded = new Map(recordedNetworks(settings.dataDir).map(({ network }) => [network.name, network]));
  const known = [...new Set([...recorded.keys(), ...listNames(ownSource(settings))])].sort();
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new RuntimeError('ERR_NET_NOT_FOUND', `networks not found: ${unknown.join(', ')}`, {
      hint: `there are: ${known.join(', ')}; lists of other runtimes are theirs to collect (cnitool's form: rkt net gc NETWORK NETNS)`,
    });
  return (names.length === 0 ? known : [...new Set(names)]).map((name) => {
    try {
      return collect(settings, recorded.get(name) ?? findList(name, ownSource(settings), planServices(settings)), dryRun);
    } catch (error) {
      if (!isRuntimeError(error)) throw error;
      return { name, inUse: [], leftovers: [], problems: [messageOf(error)], disabled: false };
    }
  });
}

function collect(settings: Settings, network: PlannedNetwork, dryRun: boolean): CollectedNetwork {
  const { name } = network;
  // Attaching and detaching hold it shared (R3): what is half made is not left over.
  using held = dryRun ? undefined : tryLockNetwork(settings.dataDir, name);
  if (!dryRun && held === undefined)
    return { name, inUse: [], leftovers: [], problems: ['somebody attaches to it at this moment: try again'], disabled: false };
  const owners = ownersOf(settings.dataDir, name);
  const before = staleOf(owners, readHoldings(network, owners.cached));
  const disabled = network.disableGC === true;
  const inUse = owners.valid.map(({ text }) => text);
  if (dryRun)
    return {
      name,
      inUse,
      leftovers: before.map((item) => ({ ...item, outcome: disabled && !item.isCached ? 'kept' : 'would be removed' })),
      problems: [],
      disabled,
    };

  const problems = owners.stale.flatMap((cached) => attempt(() => detach(settings, name, cached)));
  // Whoever wrote disableGC shares the configuration with a runtime whose attachments we do not know (C5).
  if (!disabled)
    problems.push(
      ...attempt(() =>
        gcList(
          network,
          owners.valid.map(({ id }) => id),
          services(),
        ),
      ),
    );
  const after = new Set(staleOf(owners, readHoldings(network, ownersOf(settings.dataDir, name).cached)).map(({ what }) => what));
  const leftovers = before.map(({ what, why }): Leftover => ({ what, why, outcome: after.has(what) ? 'kept' : 'removed' }));
  return { name, inUse, leftovers, problems, disabled };
}

/** Namespaces of what is collected are gone or somebody else's: links have to be deleted one by one. */
const services = () => ({ ...cniServices(undefined), netnsStays: true }) as const;

function attempt(act: () => void): string[] {
  try {
    act();
    return [];
  } catch (error) {
    if (!isRuntimeError(error)) throw error;
    return error.details.length > 0 ? [...error.details] : [error.message];
  }
}

/** DEL with the configuration of the ADD (Z10), so that plugins without GC free what they keep, too. */
function detach(settings: Settings, name: string, cached: CachedAttachment): void {
  const source = ownSource(settings);
  const conf = cached.config === undefined ? undefined : confFromText(cached.config, name, cached.path);
  const list = conf === undefined ? findList(name, source, planServices(settings)) : resolveList(conf, source, planServices(settings));
  delList(withArguments(list, cached), { containerId: cached.containerId, netns: '' }, services(), undefined);
}

interface Stale {
  readonly what: string;
  readonly why: string;
  readonly isCached: boolean;
}

function staleOf({ valid, stale }: Owners, { holdings, bridge }: NetworkHoldings): Stale[] {
  const alive = new Set(valid.map(({ key }) => key));
  const isStaleCache = ({ containerId, ifName }: Holding): boolean =>
    stale.some((item) => item.containerId === containerId && item.ifName === ifName);
  const left = holdings.filter((item) => (item.kind === 'cache' ? isStaleCache(item) : item.key !== undefined && !alive.has(item.key)));
  const isOurs = bridge !== undefined && bridge.mac === bridgeMac(bridge.name);
  const dying = new Set(left.filter(({ kind }) => kind === 'link').map(({ what }) => what));
  return [
    ...left.map((item) => ({ what: item.what, why: reasonFor(item), isCached: isStaleCache(item) })),
    ...(isOurs && alive.size === 0 && bridge.ports.every((port) => dying.has(`link ${port.name}`))
      ? [{ what: `bridge ${bridge.name}`, why: 'rkt made it, and nobody is attached to the network any more', isCached: false }]
      : []),
  ];
}

function reasonFor({ containerId, ifName }: Holding): string {
  const whose = `it is of ${containerId}/${ifName}`;
  if (isPodId(containerId)) return `${whose}, a pod that is gone`;
  if (containerId.startsWith(toolPrefix)) return `${whose}, attached by net add to a namespace that is gone`;
  return `${whose}, which neither a pod nor a container in libcni's cache is`;
}
