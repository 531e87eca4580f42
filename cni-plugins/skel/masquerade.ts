/**
 * Masquerading for the interface plugins (`ipMasq`): elements of `inet rkt`'s masq maps, keyed by attachment,
 * so that removing needs neither the link, nor its addresses, nor the namespace (complaints 15, 20, 22).
 * All functions are idempotent and throw {@link CniError}.
 */
import { claim, missingOf, release, removeTableIfUnused, removeUnusedChains } from '../../src/host/nftables/table.ts';
import { releaseElements } from '../../src/host/nftables/release.ts';
import type { Cidr } from '../../src/model/cidr.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { type AttachmentId, CniError, cniCode } from '../../src/model/cni/types.ts';
import { type AttachmentKey, type Element, type SetName, attachmentText, masqueradeElements } from '../../src/model/ruleset.ts';
import { keyOf, ofAttachment, ofStale } from './attachment.ts';
import { addressesToForget } from './interface.ts';
import type { ReleaseOp } from '../../src/model/release.ts';
import { type Repairs, repairElements } from './repair.ts';
import { withRuleset } from './ruleset.ts';

const sets: readonly SetName[] = ['masq4', 'masq6'];

/** Traffic from `addresses` leaves with the host's address, unless it stays in the address's own subnet or is multicast. */
export function ensureMasquerade(key: AttachmentKey, addresses: readonly Cidr[]): void {
  withRuleset('masquerade', () => claim(masqueradeElements(key, addresses)));
}
/** What there is of {@link ensureMasquerade} for the attachment of `prevResult`. */
export const masqueradeOf = (req: PluginRequest): Element[] => masqueradeElements(keyOf(req), addressesToForget(req));
/** Undoes {@link ensureMasquerade}; fine when there is nothing, or no table. `addresses`, where known, make it independent of the number of pods. */
export function removeMasquerade(key: AttachmentKey, addresses: readonly Cidr[] = []): void {
  withRuleset('masquerade', () => release(ofAttachment(key, sets, masqueradeElements(key, addresses))));
}
/** {@link removeMasquerade} as data. */
export const releaseMasquerade = (key: AttachmentKey, addresses: readonly Cidr[]): ReleaseOp[] => releaseElements(masqueradeElements(key, addresses));
/** CHECK: throws when some of what {@link ensureMasquerade} made is missing. */
export function checkMasquerade(key: AttachmentKey, addresses: readonly Cidr[]): void {
  const [missing] = withRuleset('masquerade', () => missingOf(masqueradeElements(key, addresses)));
  if (missing !== undefined)
    throw new CniError(cniCode.internal, `masquerade of ${attachmentText(key)} is missing from set ${missing.set} of table inet rkt`);
}
/** {@link Repairs} of what {@link ensureMasquerade} made. */
export const repairMasquerade = (repairs: Repairs, key: AttachmentKey, addresses: readonly Cidr[]): void =>
  repairElements(repairs, masqueradeElements(key, addresses));
/** GC: removes the masquerade (and what is then empty: chains of subnets, the table) of attachments of `network` that are not in `valid`. */
export function gcMasquerade(network: string, valid: readonly AttachmentId[]): void {
  withRuleset('masquerade', () => {
    release(ofStale(network, sets, valid));
    removeUnusedChains();
    removeTableIfUnused();
  });
}
