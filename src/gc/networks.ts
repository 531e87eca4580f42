/** After the pods: networks that nobody uses lose what their pods shared (bridge, table). @see DESIGN 4; CNI R25-R27 */
import { heldAttachments } from '../effects/attachments.ts';
import { readJournal } from '../effects/journal.ts';
import { netnsExists } from '../host/netns.ts';
import { RuntimeError, messageOf } from '../model/errors.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import { forgetNetwork, markCleared, recordedNetworks, sweepHalfRecords, tryLockNetwork } from '../state/network/record.ts';
import { podFiles } from '../state/pod/layout.ts';
import { hasEnded, listPods, podText, type PodEntry } from '../state/pod/lifecycle.ts';

/** Pods that may have an attachment to the network: their journal announced one, and neither undo nor their end gave it back. @throws ERR_JOURNAL_CORRUPT */
const usersOf = (dataDir: string, network: string): PodEntry[] =>
  listPods(dataDir).filter((pod) =>
    heldAttachments(readJournal(podFiles(pod.dir).journal), hasEnded(pod), netnsExists).some(({ step }) => step.network.name === network),
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
      if (usersOf(dataDir, network.name).length > 0 || isUsedByOthers(network.name)) continue;
      // Whoever wrote disableGC shares the configuration with a runtime whose attachments we do not know (C5).
      if (network.disableGC !== true) clear(network);
      if (cleared) forgetNetwork(dataDir, record);
      else markCleared(dataDir, record);
    } catch (error) {
      report(network.name, messageOf(error));
    }
  }
}

/** What giving up a network needs. */
export interface RetireServices {
  /** sends CNI GC with nothing valid */
  clear(network: PlannedNetwork): void;
  /** attachments that other runtimes have to a network of that name: container IDs */
  foreignUsers(network: string): readonly string[];
}

/** @throws ERR_NET_IN_USE naming every pod that may have an attachment to one of `networks` */
export function refuseUsedNetworks(dataDir: string, networks: readonly string[], { foreignUsers }: Pick<RetireServices, 'foreignUsers'>): void {
  const uses = networks.flatMap((network) => {
    const pods = usersOf(dataDir, network);
    const ids = new Set<string>(pods.map(({ id }) => id));
    return [
      ...pods.map((pod) => ({ network, pod: podText(pod), isRunning: pod.state === 'running' })),
      ...foreignUsers(network).flatMap((id) => (ids.has(id) ? [] : [{ network, pod: `container ${id} of another runtime`, isRunning: false }])),
    ];
  });
  const [first, ...more] = uses;
  if (first === undefined) return;
  throw new RuntimeError('ERR_NET_IN_USE', more.length === 0 ? `network "${first.network}" is used by ${first.pod}` : 'networks are in use', {
    details: more.length === 0 ? [] : uses.map(({ network, pod }) => `network "${network}" is used by ${pod}`),
    hint: first.isRunning
      ? `rkt net disconnect POD ${first.network}, or rkt stop and rkt rm`
      : 'rkt rm UUID, or rkt gc --grace-period=0, gives up what an exited pod holds',
  });
}

/**
 * Gives up a network: what its pods shared goes, then its file (`removeFile`), and it is waited until the kernel is done.
 * @throws ERR_NET_IN_USE, and what the plugins report; the file is then still there
 */
export function retireNetwork(dataDir: string, network: string, services: RetireServices, removeFile: () => void): void {
  const records = recordedNetworks(dataDir).filter((record) => record.network.name === network);
  {
    using held = tryLockNetwork(dataDir, network);
    if (held === undefined)
      throw new RuntimeError('ERR_NET_IN_USE', `a pod is joining or leaving network "${network}" at this moment`, { hint: 'try again' });
    refuseUsedNetworks(dataDir, [network], services);
    for (const record of records) if (record.network.disableGC !== true) services.clear(record.network);
    removeFile();
  }
  // A detached link deletion keeps the lock until it is done: holding it again means that the bridge is gone.
  using done = tryLockNetwork(dataDir, network);
  if (done !== undefined) for (const record of records) forgetNetwork(dataDir, record);
}
