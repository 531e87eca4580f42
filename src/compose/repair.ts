/** What a pod's networks miss, and putting it back. */
import { liveAttachments, type LiveAttachment } from '../effects/attachments.ts';
import { readJournal } from '../effects/journal.ts';
import type { Settings } from '../model/settings.ts';
import { repairList, type RepairOutcome } from '../net/cni/repair.ts';
import { lockNetwork } from '../state/network/record.ts';
import { podFiles } from '../state/pod/layout.ts';
import { changePod } from './changing.ts';
import { cniServices } from './cni.ts';

/** One attachment's outcome. */
export interface AttachmentRepair extends RepairOutcome {
  readonly network: string;
  readonly ifName: string;
}

const outcomeOf = ({ step: { network, ...attachment }, result }: LiveAttachment, apply: boolean): AttachmentRepair => ({
  network: network.name,
  ifName: network.ifName,
  ...(result === undefined
    ? { missing: [], failures: ['joining was never finished: rkt gc undoes it'] }
    : repairList(network, attachment, result, cniServices(undefined), apply)),
});

/** Looks at an attachment, changes nothing. */
export const lookAtAttachment = (attachment: LiveAttachment): AttachmentRepair => outcomeOf(attachment, false);

/** Looks at a pod's attachments, changes nothing and holds nothing. */
export const lookAtPod = (podDir: string): AttachmentRepair[] => liveAttachments(readJournal(podFiles(podDir).journal)).map(lookAtAttachment);

export interface PodRepair {
  readonly id: string;
  readonly attachments: readonly AttachmentRepair[];
  /** why the pod could not be worked on at all */
  readonly failure?: string;
}

/** Puts back what the networks of a running pod miss. @throws ERR_POD_STATE */
export const repairPod = (settings: Settings, uuid: string): AttachmentRepair[] =>
  changePod(settings, uuid, ({ connected }) =>
    connected().attachments.map((attachment) => {
      // Keeps a gc away that would take bridge or table for unused.
      using held = lockNetwork(settings.dataDir, attachment.step.network.name);
      void held;
      return outcomeOf(attachment, true);
    }),
  );
