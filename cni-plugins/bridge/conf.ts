/** The bridge plugin's configuration. @see cni.md 3.1 */
import type { PluginNote, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, type CniDns } from '../../src/model/cni/types.ts';
import { isIfName } from '../../src/model/ids.ts';
import { ConfReader, knownKey } from '../skel/conf.ts';
import { configuredDns, ipamTypeOf } from '../skel/interface.ts';
import { requestedMac } from '../skel/mac.ts';

export interface BridgeConf {
  readonly bridge: string;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly ipMasq: boolean;
  readonly mtu: number;
  readonly hairpin: boolean;
  readonly promiscuous: boolean;
  readonly isolated: boolean;
  readonly mac: string | undefined;
  /** '' = layer 2 only */
  readonly ipamType: string;
  readonly dns: CniDns | undefined;
  readonly notes: readonly PluginNote[];
}

/** @throws CniError 7 for a value that is wrong, 2 for one that this plugin does not do */
export function readConf(req: PluginRequest): BridgeConf {
  const conf = new ConfReader(req.conf);
  const flag = (key: string): boolean => conf.flag(key) ?? false;
  const bridge = conf.text('bridge') ?? '';
  const name = bridge === '' ? 'cni0' : bridge;
  if (!isIfName(name)) throw new CniError(cniCode.config, `bridge ${JSON.stringify(name)} is not an interface name`);
  if (flag('hairpinMode') && flag('promiscMode')) throw new CniError(cniCode.config, 'cannot set hairpin mode and promiscuous mode at the same time');
  const vlan = conf.integer('vlan', 0, 4094) ?? 0;
  const trunk = conf.list('vlanTrunk') ?? [];
  if (vlan !== 0 || trunk.length > 0) {
    throw new CniError(
      cniCode.unsupportedField,
      `${vlan === 0 ? `vlanTrunk ${JSON.stringify(trunk)}` : `vlan ${vlan}`} is not supported`,
      'a bridge with VLAN filtering needs a kernel that has it',
    );
  }
  if (flag('macspoofchk')) throw new CniError(cniCode.unsupportedField, 'macspoofchk true is not supported');
  if (flag('disableContainerInterface')) throw new CniError(cniCode.unsupportedField, 'disableContainerInterface true is not supported');
  const backend = conf.text('ipMasqBackend') ?? '';
  return {
    bridge: name,
    isGateway: flag('isGateway') || flag('isDefaultGateway'),
    isDefaultGateway: flag('isDefaultGateway'),
    forceAddress: flag('forceAddress'),
    ipMasq: flag('ipMasq'),
    mtu: conf.integer('mtu', 0, 65_535) ?? 0,
    hairpin: flag('hairpinMode'),
    promiscuous: flag('promiscMode'),
    isolated: flag('portIsolation'),
    mac: requestedMac(req, conf),
    ipamType: conf.object('ipam')?.text('type') ?? '',
    dns: configuredDns(conf),
    notes: backend === 'iptables' ? [{ what: 'backend', detail: 'iptables was asked for; masquerading is handled by nftables table inet rkt' }] : [],
  };
}

/** What DEL and GC need: never fails (see {@link ipamTypeOf}). `bridge` is undefined when ADD cannot have made one. */
export function readRemains(req: PluginRequest): { readonly bridge: string | undefined; readonly ipamType: string } {
  const name = knownKey(req.conf, 'bridge') ?? '';
  const bridge = name === '' ? 'cni0' : name;
  return { bridge: typeof bridge === 'string' && isIfName(bridge) ? bridge : undefined, ipamType: ipamTypeOf(req) };
}
