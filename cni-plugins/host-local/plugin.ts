/** host-local: addresses from ranges of this machine, kept in files. @see cni.md 3.16 */
import { type Ip, cidrText, parseCidr } from '../../src/model/cidr.ts';
import type { Plugin, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, type CniIp, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { dataDirOf, readConf, readResolvConf } from './conf.ts';
import { LeaseStore, releaseLeases } from './store.ts';
import { type Range, type RangeSet, candidates, capacityOf, rangeFor, setText } from './range.ts';

const fail = (message: string): CniError => new CniError(cniCode.internal, message);

const openStore = (req: PluginRequest, create: boolean): LeaseStore | undefined => {
  try {
    return LeaseStore.open(dataDirOf(req), req.conf.name, { create });
  } catch (error) {
    throw error instanceof CniError ? error : new CniError(cniCode.io, `cannot open the address store: ${messageOf(error)}`);
  }
};

/** Reserves one address of `set` (number `index`). */
function allocate(
  store: LeaseStore,
  set: RangeSet,
  index: number,
  requested: Ip | undefined,
  { containerId, ifName }: PluginRequest,
): { ip: Ip; range: Range } {
  const held = store.leasesOf(containerId, ifName).find((ip) => rangeFor(set, ip) !== undefined);
  if (held !== undefined) throw fail(`${held.text} has been allocated to ${containerId}, duplicate allocation is not allowed`);
  if (requested !== undefined) {
    const range = rangeFor(set, requested);
    if (range === undefined) throw fail(`${requested.text} not in range set ${setText(set)}`);
    if (requested.family === range.gateway.family && requested.value === range.gateway.value)
      throw fail(`requested ip ${requested.text} is subnet's gateway`);
    if (!store.reserve(requested, containerId, ifName, index))
      throw fail(`requested IP address ${requested.text} is not available in range set ${setText(set)}`);
    return { ip: requested, range };
  }
  for (const candidate of candidates(set, store.last(index))) {
    if (store.reserve(candidate.ip, containerId, ifName, index)) return candidate;
  }
  throw fail(`no IP addresses available in range set: ${setText(set)}`);
}

/** What DEL frees and CHECK looks for: files of versions without interface count when there is no exact one. */
function heldBy(store: LeaseStore, { containerId, ifName }: PluginRequest): { ips: readonly Ip[]; ifName: string | undefined } {
  const exact = store.leasesOf(containerId, ifName);
  return exact.length > 0 ? { ips: exact, ifName } : { ips: store.unnamedLeasesOf(containerId), ifName: undefined };
}

/** Requested addresses that are left when each set has taken the first that is in it. */
function unclaimed(sets: readonly RangeSet[], requested: readonly Ip[]): Ip[] {
  const wanted = new Set(requested);
  for (const set of sets) {
    const own = [...wanted].find((ip) => rangeFor(set, ip) !== undefined);
    if (own !== undefined) wanted.delete(own);
  }
  return [...wanted];
}
const notInRanges = (ips: readonly Ip[]): CniError => fail(`failed to allocate all requested IPs: ${ips.map((ip) => ip.text).join(' ')}`);

export const plugin: Plugin = {
  type: 'host-local',
  versions: cniVersions,

  validate(req) {
    const { sets, requested } = readConf(req);
    const spare = unclaimed(sets, requested);
    if (spare.length > 0) throw notInRanges(spare);
  },

  add(req) {
    const { sets, requested, routes, resolvConf } = readConf(req);
    const dns = resolvConf === undefined ? undefined : readResolvConf(resolvConf);
    using store = openStore(req, true);
    if (store === undefined) throw fail('the address store vanished while it was opened');
    const wanted = new Set(requested);
    const made: Ip[] = [];
    const ips: CniIp[] = [];
    try {
      sets.forEach((set, index) => {
        const own = [...wanted].find((ip) => rangeFor(set, ip) !== undefined);
        if (own !== undefined) wanted.delete(own);
        try {
          const { ip, range } = allocate(store, set, index, own, req);
          made.push(ip);
          ips.push({ address: cidrText({ ip, prefixLen: range.subnet.prefixLen }), gateway: range.gateway.text });
        } catch (error) {
          throw error instanceof CniError ? fail(`failed to allocate for range ${index}: ${error.message}`) : error;
        }
      });
      if (wanted.size > 0) throw notInRanges([...wanted]);
    } catch (error) {
      // Only what this call made: a lease that was there before belongs to a living attachment.
      store.release({ id: req.containerId, ifName: req.ifName }, made);
      throw error;
    }
    return { cniVersion: '1.1.0', ips, ...(routes.length === 0 ? {} : { routes: [...routes] }), ...(dns === undefined ? {} : { dns }) };
  },

  check(req) {
    using store = openStore(req, false);
    if (store === undefined || heldBy(store, req).ips.length === 0)
      throw fail(`host-local: Failed to find address added by container ${req.containerId}`);
  },

  del(req) {
    using store = openStore(req, false);
    if (store === undefined) return;
    const { ips, ifName } = heldBy(store, req);
    store.release({ id: req.containerId, ifName }, ips);
  },

  /** The final result has every address of the interface: one that is not ours has no lease with our name in it. */
  release(req) {
    const ips = (req.prevResult?.ips ?? []).flatMap(({ address }) => parseCidr(address)?.ip ?? []);
    return releaseLeases(dataDirOf(req), req.conf.name, { id: req.containerId, ifName: req.ifName }, ips);
  },

  /** Files that do not say their interface are left alone: whether they are in use cannot be told (cni#1047). */
  gc(req) {
    using store = openStore(req, false);
    if (store === undefined) return;
    const valid = new Set(req.validAttachments.map(({ containerID, ifname }) => `${containerID}:${ifname}`));
    for (const { ip, owner } of store.all()) {
      if (owner.ifName !== undefined && !valid.has(`${owner.id}:${owner.ifName}`)) store.release(owner, [ip]);
    }
    if (valid.size === 0) store.removeIfEmpty();
  },

  tidy(req) {
    using store = openStore(req, false);
    store?.removeIfEmpty();
  },

  /** Reserves again what the attachment has and the store does not know: the next pod would get it too. */
  repair(req, _ctx, apply) {
    const { sets } = readConf(req);
    const { ips = [], interfaces } = req.prevResult ?? {};
    const own = ips
      .filter(({ interface: index }) => index === undefined || interfaces?.[index]?.name === req.ifName)
      .flatMap(({ address }) => parseCidr(address)?.ip ?? []);
    using store = openStore(req, apply);
    const held = new Set(store === undefined ? [] : heldBy(store, req).ips.map(({ text }) => text));
    const missing = own.filter((ip) => sets.some((set) => rangeFor(set, ip) !== undefined) && !held.has(ip.text));
    for (const ip of apply ? missing : []) {
      const set = sets.findIndex((candidate) => rangeFor(candidate, ip) !== undefined);
      if (store?.reserve(ip, req.containerId, req.ifName, set) !== true) throw fail(`the lease of ${ip.text} is somebody else's meanwhile`);
    }
    return missing.map((ip) => `lease of ${ip.text}`);
  },

  /** Code 50: pods that are there keep their addresses, new ones get none. */
  status(req) {
    const { sets } = readConf(req);
    using store = openStore(req, false);
    const taken = store?.addresses() ?? [];
    sets.forEach((set, index) => {
      const used = taken.filter((ip) => {
        const range = rangeFor(set, ip);
        return range !== undefined && ip.value !== range.gateway.value;
      });
      if (store === undefined || BigInt(used.length) < capacityOf(set)) return;
      throw new CniError(cniCode.notAvailable, `no IP addresses available in range set: ${setText(set)}`, holdersText(store, set, index));
    });
  },
};

const namedHolders = 5;
/** Who has the addresses of a set that is full. */
function holdersText(store: LeaseStore, set: RangeSet, index: number): string {
  const held = store.all().filter(({ ip }) => rangeFor(set, ip) !== undefined);
  const named = held
    .slice(0, namedHolders)
    .map(({ ip, owner }) => `${ip.text} by ${owner.id}${owner.ifName === undefined ? '' : ` (${owner.ifName})`}`);
  return `range set ${index}: held are ${named.join(', ')}${held.length > named.length ? ` and ${held.length - named.length} more` : ''}`;
}
