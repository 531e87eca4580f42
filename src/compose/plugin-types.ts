/** Types of our plugins, for planning, which does not load them. */
export const builtinTypes = [
  'bandwidth',
  'bridge',
  'dhcp',
  'dnsname',
  'firewall',
  'host-local',
  'loopback',
  'portmap',
  'ptp',
  'sbr',
  'static',
  'tuning',
  'vrf',
] as const;
