/** The macvlan plugin's configuration. @see cni.md 3.3 */
import { macvlanModes, type MacvlanMode } from '../../src/host/netlink/link-kinds.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader } from '../skel/conf.ts';
import { configuredDns } from '../skel/interface.ts';
import { requestedMac } from '../skel/mac.ts';
import { masterConf, mtuOf, type MasterConf } from '../skel/master.ts';
import type { PodLinkConf } from '../skel/pod-link.ts';

export interface MacvlanConf extends PodLinkConf, MasterConf {
  readonly mode: MacvlanMode;
  /** bytes; 0 = the master's */
  readonly mtu: number;
  readonly mac: string | undefined;
  /** packets; 0 = the kernel's */
  readonly broadcastQueue: number;
}

const isMode = (name: string): name is MacvlanMode => Object.hasOwn(macvlanModes, name);

/** @throws CniError 7 */
export function readConf(req: PluginRequest): MacvlanConf {
  const conf = new ConfReader(req.conf);
  const given = conf.text('mode') ?? '';
  const mode = given === '' ? 'bridge' : given;
  if (!isMode(mode)) throw new CniError(cniCode.config, `unknown macvlan mode: ${JSON.stringify(mode)}`);
  return {
    ...masterConf(conf),
    mode,
    mtu: mtuOf(conf),
    mac: requestedMac(req, conf, conf.text('mac')),
    broadcastQueue: conf.integer('bcqueuelen', 0, 0xffff_ffff) ?? 0,
    ipamType: conf.object('ipam')?.text('type') ?? '',
    dns: configuredDns(conf),
  };
}
