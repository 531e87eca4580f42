/** Our CNI plugins, for use in process. The same values make the executables in dist/cni. */
import { plugin as bandwidth } from '../../cni-plugins/bandwidth/plugin.ts';
import { plugin as bridge } from '../../cni-plugins/bridge/plugin.ts';
import { plugin as dhcp } from '../../cni-plugins/dhcp/plugin.ts';
import { plugin as dnsname } from '../../cni-plugins/dnsname/plugin.ts';
import { plugin as dummy } from '../../cni-plugins/dummy/plugin.ts';
import { plugin as firewall } from '../../cni-plugins/firewall/plugin.ts';
import { plugin as hostDevice } from '../../cni-plugins/host-device/plugin.ts';
import { plugin as hostLocal } from '../../cni-plugins/host-local/plugin.ts';
import { plugin as ipvlan } from '../../cni-plugins/ipvlan/plugin.ts';
import { plugin as loopback } from '../../cni-plugins/loopback/plugin.ts';
import { plugin as macvlan } from '../../cni-plugins/macvlan/plugin.ts';
import { plugin as portmap } from '../../cni-plugins/portmap/plugin.ts';
import { plugin as ptp } from '../../cni-plugins/ptp/plugin.ts';
import { plugin as sbr } from '../../cni-plugins/sbr/plugin.ts';
import { plugin as staticAddresses } from '../../cni-plugins/static/plugin.ts';
import { plugin as tap } from '../../cni-plugins/tap/plugin.ts';
import { plugin as tuning } from '../../cni-plugins/tuning/plugin.ts';
import { plugin as vlan } from '../../cni-plugins/vlan/plugin.ts';
import { plugin as vrf } from '../../cni-plugins/vrf/plugin.ts';
import type { Plugin } from '../model/cni/plugin.ts';

const links = [bridge, ptp, macvlan, ipvlan, vlan, dummy, tap, hostDevice, loopback];
const ipam = [hostLocal, staticAddresses, dhcp];
const chained = [portmap, firewall, bandwidth, tuning, sbr, vrf, dnsname];

export const builtinPlugins: ReadonlyMap<string, Plugin> = new Map([...links, ...ipam, ...chained].map((plugin) => [plugin.type, plugin]));
