/** What IPAM plugins do alike, and what main plugins must know of them. @see cni.md 3.16-3.18, P19, P20 */
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { parseResult } from '../../src/model/cni/result.ts';
import { CniError, type CniResult, type CniRoute, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader } from './conf.ts';

/**
 * Whether the IPAM plugin works through the pod's interface, which then has to be there, under its name and with its final MAC,
 * before ADD is delegated, and still be there when DEL is. All others choose an address without looking at it, and the interface's
 * MAC can come from that.
 */
export const needsInterface = (ipamType: string): boolean => ipamType === 'dhcp';

/** Undoing and clearing, in order: an IPAM that works through the interface gives its address back before that is taken away, others after. */
export function withIpam(ipamType: string, ask: () => void, others: readonly (() => void)[]): readonly (() => void)[] {
  if (ipamType === '') return others;
  return needsInterface(ipamType) ? [ask, ...others] : [...others, ask];
}

/** The `ipam` section. @throws CniError 7 when there is none */
export function ipamOf({ conf }: PluginRequest): ConfReader {
  const ipam = new ConfReader(conf).object('ipam');
  if (ipam === undefined) throw new CniError(cniCode.config, "IPAM config missing 'ipam' key");
  return ipam;
}

/** What a configuration says for the result to pass on (`routes`, `dns`): read as a result's. @throws CniError 7 */
function passedOn(fields: Readonly<Record<string, unknown>>): CniResult {
  try {
    return parseResult(fields, '1.1.0');
  } catch (error) {
    throw error instanceof CniError ? new CniError(cniCode.config, error.message.replace(' of the result', '')) : error;
  }
}
export const configuredRoutes = (ipam: ConfReader): readonly CniRoute[] => passedOn({ routes: ipam.list('routes') ?? [] }).routes ?? [];
export const configuredIpamDns = (ipam: ConfReader): CniResult['dns'] => passedOn({ dns: ipam.value('dns') }).dns;

/** Results before 0.3.0 have one address of a family. @throws CniError 7 */
export function refuseSecondOfFamily(families: readonly (4 | 6)[], cniVersion: string): void {
  if (cniVersion !== '0.1.0' && cniVersion !== '0.2.0') return;
  if (new Set(families).size < families.length)
    throw new CniError(cniCode.config, `CNI version ${cniVersion} does not support more than 1 address per family`);
}
