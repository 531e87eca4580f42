/** The tap plugin's configuration. @see cni.md 3.9 */
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { isIfName } from '../../src/model/ids.ts';
import { ConfReader } from '../skel/conf.ts';
import { configuredDns } from '../skel/interface.ts';
import { requestedMac } from '../skel/mac.ts';
import type { PodLinkConf } from '../skel/pod-link.ts';

export interface TapConf extends PodLinkConf {
  readonly multiQueue: boolean;
  /** bytes; 0 = the kernel's */
  readonly mtu: number;
  readonly mac: string | undefined;
  /** uid and gid that may open it besides root */
  readonly owner: number | undefined;
  readonly group: number | undefined;
  /** '' = none */
  readonly selinuxContext: string;
  /** bridge in the pod's namespace that it becomes a port of; '' = none */
  readonly bridge: string;
}

/** @throws CniError 7 */
export function readConf(req: PluginRequest): TapConf {
  const conf = new ConfReader(req.conf);
  const bridge = conf.text('bridge') ?? '';
  if (bridge !== '' && !isIfName(bridge)) throw new CniError(cniCode.config, `bridge ${JSON.stringify(bridge)} is not an interface name`);
  return {
    multiQueue: conf.flag('multiQueue') ?? false,
    mtu: conf.integer('mtu', 0, 0xffff) ?? 0,
    mac: requestedMac(req, conf, conf.text('mac')),
    owner: conf.integer('owner', 0, 0xffff_fffe),
    group: conf.integer('group', 0, 0xffff_fffe),
    selinuxContext: conf.text('selinuxContext') ?? '',
    bridge,
    ipamType: conf.object('ipam')?.text('type') ?? '',
    dns: configuredDns(conf),
  };
}
