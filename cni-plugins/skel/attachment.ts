/** Which attachment a request is about, and what belongs to it: found by its name in a comment or alias, never by shape. */
import type { Doomed } from '../../src/host/nftables/table.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, type AttachmentId, type CniResult } from '../../src/model/cni/types.ts';
import { type AttachmentKey, type Element, type SetName, attachmentText, networkText } from '../../src/model/ruleset.ts';

export const keyOf = (req: PluginRequest): AttachmentKey => ({ network: req.conf.name, containerId: req.containerId, ifName: req.ifName });

/** GC: names of the attachments that stay. An empty list is meaningful: all others are stale (row 9). */
export const aliveTexts = (network: string, valid: readonly AttachmentId[]): Set<string> =>
  new Set(valid.map(({ containerID, ifname }) => attachmentText({ network, containerId: containerID, ifName: ifname })));

/** DEL: what ADD made of `prevResult`, as far as it can be told. DEL must not fail over a setting, so doubts mean "unknown": none. */
export function expectedOf(req: PluginRequest, elementsFor: (result: CniResult) => Element[]): Element[] {
  if (req.prevResult === undefined) return [];
  try {
    return elementsFor(req.prevResult);
  } catch (error) {
    if (error instanceof CniError) return [];
    throw error;
  }
}

/** DEL: all elements of the attachment in `sets`; `expected` are those its result and configuration speak of. */
export function ofAttachment(key: AttachmentKey, sets: readonly SetName[], expected: readonly Element[] = []): Doomed {
  const text = attachmentText(key);
  return { sets, hint: text, selects: (comment) => comment === text, expected };
}

/** GC: elements of attachments of `network` that are not in `valid`. */
export function ofStale(network: string, sets: readonly SetName[], valid: readonly AttachmentId[]): Doomed {
  const prefix = networkText(network);
  const alive = aliveTexts(network, valid);
  return { sets, hint: prefix, selects: (comment) => comment.startsWith(prefix) && !alive.has(comment) };
}
