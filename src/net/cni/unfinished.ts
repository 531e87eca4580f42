/** What the recorded calls tell of an ADD that did not get to its end. @see cni.md R4, R21, V4 */
import { parseErrorObject } from '../../model/cni/error-object.ts';
import { parseResult } from '../../model/cni/result.ts';
import { cniCode, type CniResult } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { Attachment, CniCall } from './services.ts';

export interface UnfinishedAdd {
  /** the result of the last plugin that succeeded: without it the reference's firewall does not know which rules to remove */
  readonly result: CniResult | undefined;
  /**
   * From this plugin on nothing was made, because the ADD ended with its refusing the version: that comes before everything
   * else, and those behind it were not called. Infinity when it did not.
   */
  readonly refusedFrom: number;
}

/** Calls may be lost (a kill, a full disk): then less is known, and a DEL that is refused has to be taken for one that failed. */
export function unfinishedAdd(network: PlannedNetwork, { containerId }: Attachment, calls: readonly CniCall[]): UnfinishedAdd {
  const own = calls.filter(
    ({ network: name, env }) => name === network.name && env['CNI_CONTAINERID'] === containerId && env['CNI_IFNAME'] === network.ifName,
  );
  const end = own.findLastIndex(({ verb }) => verb === 'ADD') + 1;
  const isOver = own.slice(end).some(({ verb, plugin, exit }) => verb === 'DEL' && exit === 0 && plugin === network.plugins[0]?.type);
  // Of an attachment that the pod had before and that was undone: its addresses may be another pod's by now.
  if (isOver) return { result: undefined, refusedFrom: Infinity };
  const adds = own.slice(own.slice(0, end).findLastIndex(({ verb }) => verb !== 'ADD') + 1, end);
  return { result: resultOf(network, adds), refusedFrom: refusedFrom(network, adds.at(-1)) };
}

function resultOf(network: PlannedNetwork, adds: readonly CniCall[]): CniResult | undefined {
  // Delegates are recorded as well.
  for (const { stdout } of adds.filter(({ plugin, exit }) => exit === 0 && network.plugins.some(({ type }) => type === plugin)).reverse()) {
    try {
      return parseResult(JSON.parse(stdout), network.cniVersion);
    } catch {
      continue; // what the ADD failed for, or longer than what is kept of a call: the one before is nearly as good
    }
  }
  return undefined;
}

function refusedFrom(network: PlannedNetwork, last: CniCall | undefined): number {
  if (last === undefined || last.exit === 0) return Infinity;
  const error = parseErrorObject(last.stdout) ?? parseErrorObject(last.stderr);
  const index = network.plugins.findIndex(({ type }) => type === last.plugin);
  return error?.cniCode === cniCode.version && index >= 0 ? index : Infinity;
}
