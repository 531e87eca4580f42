/** What an ADD that refused the configuration's version never made. @see cni.md V4, R4 */
import { parseErrorObject } from '../../model/cni/error-object.ts';
import { cniCode } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { Attachment, CniCall } from './services.ts';

/**
 * The index from which on the plugins of a list made nothing, because the attachment's last ADD ended with the plugin there
 * refusing the version: that comes before everything else, and those behind it were not called. Infinity when the
 * recorded calls do not show it (they may be lost: then a DEL that is refused has to be taken for one that failed).
 */
export function refusedFrom(network: PlannedNetwork, { containerId }: Attachment, calls: readonly CniCall[]): number {
  const last = calls.findLast(
    ({ verb, network: name, env }) =>
      verb === 'ADD' && name === network.name && env['CNI_CONTAINERID'] === containerId && env['CNI_IFNAME'] === network.ifName,
  );
  if (last === undefined || last.exit === 0) return Infinity;
  const error = parseErrorObject(last.stdout) ?? parseErrorObject(last.stderr);
  const index = network.plugins.findIndex(({ type }) => type === last.plugin);
  return error?.cniCode === cniCode.version && index >= 0 ? index : Infinity;
}
