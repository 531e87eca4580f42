/** What a pod's journal says about its networks. Pure. */
import type { CniResult } from '../model/cni/types.ts';
import type { NetInfo } from '../model/net-info.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import type { Entry } from './journal.ts';
import type { StepOf } from './steps.ts';

/** An attachment that exists, whole or in part. */
export interface LiveAttachment {
  /** number of its step */
  readonly n: number;
  readonly step: StepOf<'network.attach'>;
  /** undefined: ADD never finished */
  readonly result: CniResult | undefined;
}

/** Every attachment that is not undone, in joining order. */
export const liveAttachments = (entries: readonly Entry[]): LiveAttachment[] =>
  entries.flatMap(({ n, step, output, undone }) => {
    if (step.kind !== 'network.attach' || undone) return [];
    return [{ n, step, result: output !== null && output !== undefined && 'result' in output ? output.result : undefined }];
  });

/**
 * Those that still hold addresses, rules or ports. A pod that ended gave its networks back, its namespace last; one that was
 * killed, or keeps them for gc, has it still.
 */
export const heldAttachments = (entries: readonly Entry[], hasEnded: boolean, netnsExists: (path: string) => boolean): LiveAttachment[] =>
  liveAttachments(entries).filter(({ step }) => !hasEnded || netnsExists(step.netns));

/** What the pod got from every network it is on: rkt's net-info.json. @see rkt.md 2.2 */
export const attachedNetworks = (entries: readonly Entry[]): NetInfo[] =>
  liveAttachments(entries).flatMap(({ step, result }) => (result === undefined ? [] : [netInfo(step.network, result)]));

function netInfo(network: PlannedNetwork, result: CniResult): NetInfo {
  const own = (result.ips ?? []).filter(({ interface: index }) => index === undefined || result.interfaces?.[index]?.name === network.ifName);
  const ips = own.map(({ address }) => address.split('/')[0] ?? '');
  return { netName: network.name, ifName: network.ifName, ip: ips[0] ?? '', ips, result };
}

/**
 * A change of a running pod that was cut short: an ADD that never finished, or a DEL that was announced (`kept`) and not
 * recorded as done. Whoever may change the pod undoes it first.
 */
export const isInterruptedChange = ({ step, finished, undone, kept }: Entry): boolean =>
  step.kind === 'network.attach' && !undone && (!finished || kept);
