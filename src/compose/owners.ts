/** Whose the attachments to a network are: pods of this data directory, and whatever other runtimes have cached. @see cni.md L8, rows 9, 25 */
import { heldAttachments } from '../effects/attachments.ts';
import { readJournal } from '../effects/journal.ts';
import { netnsExists } from '../host/netns.ts';
import { isPodId } from '../model/ids.ts';
import type { AttachmentId } from '../model/cni/types.ts';
import { attachmentText } from '../model/ruleset.ts';
import { type CachedAttachment, toolPrefix } from '../net/cni/cache.ts';
import { netnsPath } from '../stage0/prepare/steps.ts';
import { podFiles } from '../state/pod/layout.ts';
import { hasEnded, listPods, podText } from '../state/pod/lifecycle.ts';
import { foreignAttachments } from './cni.ts';

/** An attachment that is in use. */
export interface Owner {
  readonly id: AttachmentId;
  readonly key: string;
  /** `pod 5f3c… (running)`, `container x of another runtime`, `net add to /run/netns/test` */
  readonly text: string;
}
export interface Owners {
  readonly valid: readonly Owner[];
  /** cache entries whose container is certainly gone */
  readonly stale: readonly CachedAttachment[];
  readonly cached: readonly CachedAttachment[];
}

/** @throws ERR_JOURNAL_CORRUPT: then nobody knows what is in use, and nothing may be removed */
export function ownersOf(dataDir: string, network: string): Owners {
  const pods = podAttachments(dataDir, network);
  const cached = foreignAttachments(network);
  const stale = cached.filter((item) => isGone(item, pods));
  const others = cached
    .filter((item) => !stale.includes(item) && !pods.some(({ id }) => id.containerID === item.containerId && id.ifname === item.ifName))
    .map((item) => ownerOf(network, item.containerId, item.ifName, cachedText(item)));
  return { valid: [...pods, ...others], stale, cached };
}

const cachedText = ({ containerId, netns }: CachedAttachment): string =>
  containerId.startsWith(toolPrefix) ? `net add to ${netns}` : `container ${containerId} of another runtime`;

function ownerOf(network: string, containerId: string, ifName: string, text: string): Owner {
  return { id: { containerID: containerId, ifname: ifName }, key: attachmentText({ network, containerId, ifName }), text };
}

/** Of pods that run, and of those that have ended without giving their networks back. */
function podAttachments(dataDir: string, network: string): Owner[] {
  return listPods(dataDir).flatMap((pod) =>
    heldAttachments(readJournal(podFiles(pod.dir).journal), hasEnded(pod), netnsExists).flatMap(({ step }) =>
      step.network.name === network ? [ownerOf(network, step.containerId, step.network.ifName, podText(pod))] : [],
    ),
  );
}

/**
 * A namespace that rkt or its tool command was given and that is not there any more: no other runtime comes back to it. What
 * others have cached is kept whatever became of it: theirs is the DEL (R27).
 */
function isGone({ containerId, ifName, netns }: CachedAttachment, pods: readonly Owner[]): boolean {
  if (pods.some(({ id }) => id.containerID === containerId && id.ifname === ifName)) return false;
  const isOurs = (isPodId(containerId) && netns === netnsPath(containerId)) || (containerId.startsWith(toolPrefix) && netns !== '');
  return isOurs && !netnsExists(netns);
}
