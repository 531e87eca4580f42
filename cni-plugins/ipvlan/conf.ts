/** The ipvlan plugin's configuration. @see cni.md 3.4 */
import { ipvlanModes, type IpvlanMode } from '../../src/host/netlink/link-kinds.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader } from '../skel/conf.ts';
import { configuredDns } from '../skel/interface.ts';
import { masterConf, type MasterConf } from '../skel/master.ts';
import type { PodLinkConf } from '../skel/pod-link.ts';

export interface IpvlanConf extends PodLinkConf, MasterConf {
  readonly mode: IpvlanMode;
  /** bytes; 0 = the master's */
  readonly mtu: number;
}

const isMode = (name: string): name is IpvlanMode => Object.hasOwn(ipvlanModes, name);

/** @throws CniError 7 */
export function readConf(req: PluginRequest): IpvlanConf {
  const conf = new ConfReader(req.conf);
  const given = conf.text('mode') ?? '';
  const mode = given === '' ? 'l2' : given;
  if (!isMode(mode)) throw new CniError(cniCode.config, `unknown ipvlan mode: ${JSON.stringify(mode)}`);
  const ipamType = conf.object('ipam')?.text('type') ?? '';
  // Without IPAM the addresses are those of the plugin before (a request of GC or STATUS has no plugin before).
  if (ipamType === '' && req.command === 'ADD' && (req.prevResult?.ips ?? []).length === 0)
    throw new CniError(cniCode.config, 'ipvlan needs an ipam section with a type, or a prevResult with addresses');
  return { ...masterConf(conf), mode, mtu: conf.integer('mtu', 0, 0xffff) ?? 0, ipamType, dns: configuredDns(conf) };
}

/** The master of an ADD: the configured one; in a chain that of the plugin before; else that of the default route. */
export function masterOfAdd(req: PluginRequest, conf: IpvlanConf): MasterConf {
  if (conf.master !== '' || req.prevResult === undefined) return conf;
  const [only, ...more] = req.prevResult.interfaces ?? [];
  if (only === undefined || more.length > 0 || only.name === '')
    throw new CniError(cniCode.config, 'chained master failure. PrevResult lacks a single named interface');
  return { ...conf, master: only.name };
}
