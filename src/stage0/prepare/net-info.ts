/** Plan + CNI results → what the pod got: rkt's net-info.json. Pure. @see rkt.md 2.2 */
import type { Entry } from '../../effects/journal.ts';
import type { CniResult } from '../../model/cni/types.ts';
import type { NetInfo } from '../../model/net-info.ts';
import type { PlannedNetwork } from '../../model/plan.ts';

/** Every attachment the journal finished, in joining order. */
export const attachedNetworks = (entries: readonly Entry[]): NetInfo[] =>
  entries.flatMap(({ step, output }) =>
    step.kind === 'network.attach' && output !== null && output !== undefined && 'result' in output ? [netInfo(step.network, output.result)] : [],
  );

function netInfo(network: PlannedNetwork, result: CniResult): NetInfo {
  const own = (result.ips ?? []).filter(({ interface: index }) => index === undefined || result.interfaces?.[index]?.name === network.ifName);
  const ips = own.map(({ address }) => address.split('/')[0] ?? '');
  return { netName: network.name, ifName: network.ifName, ip: ips[0] ?? '', ips, result };
}
