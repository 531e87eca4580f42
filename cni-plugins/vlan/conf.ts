/** The vlan plugin's configuration. @see cni.md 3.5 */
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader } from '../skel/conf.ts';
import { configuredDns } from '../skel/interface.ts';
import { masterConf, mtuOf, type MasterConf } from '../skel/master.ts';
import type { PodLinkConf } from '../skel/pod-link.ts';

export interface VlanConf extends PodLinkConf, MasterConf {
  /** 0-4094 */
  readonly vlanId: number;
  /** bytes; 0 = the master's */
  readonly mtu: number;
}

/** @throws CniError 7 */
export function readConf(req: PluginRequest): VlanConf {
  const conf = new ConfReader(req.conf);
  const where = masterConf(conf);
  if (where.master === '')
    throw new CniError(cniCode.config, '"master" field is required. It specifies the host interface name to create the VLAN for.');
  const vlanId = conf.integer('vlanId', -0x8000_0000, 0x7fff_ffff) ?? 0;
  if (vlanId < 0 || vlanId > 4094) throw new CniError(cniCode.config, `invalid VLAN ID ${vlanId} (must be between 0 and 4094 inclusive)`);
  const ipamType = conf.object('ipam')?.text('type') ?? '';
  if (ipamType === '') throw new CniError(cniCode.config, 'vlan needs an ipam section with a type');
  return { ...where, vlanId, mtu: mtuOf(conf), ipamType, dns: configuredDns(conf) };
}
