/** Which elements DEL and GC remove: found by the comment, never by shape. */
import type { Doomed } from '../../src/host/nftables/table.ts';
import type { AttachmentId } from '../../src/model/cni/types.ts';
import { type AttachmentKey, type Element, type SetName, attachmentText, networkText } from '../../src/model/ruleset.ts';

/** DEL: all elements of the attachment in `sets`; `expected` are those its result and configuration speak of. */
export function ofAttachment(key: AttachmentKey, sets: readonly SetName[], expected: readonly Element[] = []): Doomed {
  const text = attachmentText(key);
  return { sets, hint: text, selects: (comment) => comment === text, expected };
}

/** GC: elements of attachments of `network` that are not in `valid`. An empty list is meaningful: all are stale (row 9). */
export function ofStale(network: string, sets: readonly SetName[], valid: readonly AttachmentId[]): Doomed {
  const prefix = networkText(network);
  const alive = new Set(valid.map((id) => attachmentText({ network, containerId: id.containerID, ifName: id.ifname })));
  return { sets, hint: prefix, selects: (comment) => comment.startsWith(prefix) && !alive.has(comment) };
}
