/** Types of our plugins, for planning, which does not load them. */
export const builtinTypes = [
  'bridge',
  'dhcp',
  'dummy',
  'firewall',
  'host-device',
  'host-local',
  'ipvlan',
  'loopback',
  'macvlan',
  'portmap',
  'ptp',
  'static',
  'tap',
  'vlan',
] as const;
