/** After the pods: networks that nobody uses lose what their pods shared (bridge, table). @see DESIGN 4; CNI R25-R27 */
import { readJournal } from '../effects/journal.ts';
import { messageOf } from '../model/errors.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import { forgetNetwork, markCleared, recordedNetworks, sweepHalfRecords, tryLockNetwork } from '../state/network/record.ts';
import { podFiles } from '../state/pod/layout.ts';
import { listPods } from '../state/pod/lifecycle.ts';

/** Whether a pod may have an attachment to the network: its journal announced one and has not undone it. @throws ERR_JOURNAL_CORRUPT */
const isAttachedTo = (dataDir: string, network: string): boolean =>
  listPods(dataDir).some((pod) =>
    readJournal(podFiles(pod.dir).journal).some(({ step, undone }) => step.kind === 'network.attach' && !undone && step.network.name === network),
  );

/**
 * Clears every recorded network without attachments, under its exclusive lock; a network that somebody is
 * attaching to at this moment is left for the next gc.
 * @param clear - sends CNI GC with nothing valid; throws what the plugins report
 * @param isUsedByOthers - whether another runtime has attachments to a network of that name
 */
export function sweepNetworks(
  dataDir: string,
  clear: (network: PlannedNetwork) => void,
  isUsedByOthers: (network: string) => boolean,
  report: (network: string, error: string) => void,
): void {
  sweepHalfRecords(dataDir);
  for (const record of recordedNetworks(dataDir)) {
    const { network, cleared } = record;
    using held = tryLockNetwork(dataDir, network.name);
    if (held === undefined) continue;
    try {
      if (isAttachedTo(dataDir, network.name) || isUsedByOthers(network.name)) continue;
      // Whoever wrote disableGC shares the configuration with a runtime whose attachments we do not know (C5).
      if (network.disableGC !== true) clear(network);
      if (cleared) forgetNetwork(dataDir, record);
      else markCleared(dataDir, record);
    } catch (error) {
      report(network.name, messageOf(error));
    }
  }
}
