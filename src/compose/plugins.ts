/** Our CNI plugins, for use in process. The same values make the executables in dist/cni. */
import { plugin as bridge } from '../../cni-plugins/bridge/plugin.ts';
import { plugin as dhcp } from '../../cni-plugins/dhcp/plugin.ts';
import { plugin as dummy } from '../../cni-plugins/dummy/plugin.ts';
import { plugin as firewall } from '../../cni-plugins/firewall/plugin.ts';
import { plugin as hostDevice } from '../../cni-plugins/host-device/plugin.ts';
import { plugin as hostLocal } from '../../cni-plugins/host-local/plugin.ts';
import { plugin as ipvlan } from '../../cni-plugins/ipvlan/plugin.ts';
import { plugin as loopback } from '../../cni-plugins/loopback/plugin.ts';
import { plugin as macvlan } from '../../cni-plugins/macvlan/plugin.ts';
import { plugin as portmap } from '../../cni-plugins/portmap/plugin.ts';
import { plugin as ptp } from '../../cni-plugins/ptp/plugin.ts';
import { plugin as staticAddresses } from '../../cni-plugins/static/plugin.ts';
import { plugin as tap } from '../../cni-plugins/tap/plugin.ts';
import { plugin as vlan } from '../../cni-plugins/vlan/plugin.ts';
import type { Plugin } from '../model/cni/plugin.ts';

const links = [bridge, ptp, macvlan, ipvlan, vlan, dummy, tap, hostDevice, loopback];

export const builtinPlugins: ReadonlyMap<string, Plugin> = new Map(
  [...links, hostLocal, staticAddresses, dhcp, portmap, firewall].map((plugin) => [plugin.type, plugin]),
);
