/** After the pods: networks that nobody uses lose what their pods shared (bridge, table). @see DESIGN 4; CNI R25-R27 */
import { readJournal } from '../effects/journal.ts';
import { messageOf } from '../model/errors.ts';
import type { AttachmentId } from '../model/cni/types.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import { forgetNetwork, markCleared, recordedNetworks, sweepHalfRecords, tryLockNetwork } from '../state/network/record.ts';
import { podFiles } from '../state/pod/layout.ts';
import { listPods } from '../state/pod/lifecycle.ts';

/** Attachments that may exist, by network: whatever a journal announced and has not undone. */
export function journaledAttachments(dataDir: string): Map<string, AttachmentId[]> {
  const found = new Map<string, AttachmentId[]>();
  for (const pod of listPods(dataDir)) {
    for (const { step, undone } of readJournal(podFiles(pod.dir).journal)) {
      if (step.kind !== 'network.attach' || undone) continue;
      const { name, ifName } = step.network;
      found.set(name, [...(found.get(name) ?? []), { containerID: step.containerId, ifname: ifName }]);
    }
  }
  return found;
}

/**
 * Clears every recorded network without attachments, under its exclusive lock; a network that somebody is
 * attaching to at this moment is left for the next gc.
 * @param clear - sends CNI GC with nothing valid; throws what the plugins report
 * @param foreign - attachments of other runtimes on a network of that name
 */
export function sweepNetworks(
  dataDir: string,
  clear: (network: PlannedNetwork) => void,
  foreign: (network: string) => readonly AttachmentId[],
  report: (network: string, error: string) => void,
): void {
  sweepHalfRecords(dataDir);
  for (const record of recordedNetworks(dataDir)) {
    const { network, cleared } = record;
    using held = tryLockNetwork(dataDir, network.name);
    if (held === undefined) continue;
    const inUse = [...(journaledAttachments(dataDir).get(network.name) ?? []), ...foreign(network.name)];
    if (inUse.length > 0) continue;
    try {
      clear(network);
      if (cleared) forgetNetwork(dataDir, record);
      else markCleared(dataDir, record);
    } catch (error) {
      report(network.name, messageOf(error));
    }
  }
}
