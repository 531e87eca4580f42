/** Types of our plugins, for planning, which does not load them. */
export const builtinTypes = ['bridge', 'dhcp', 'dnsname', 'firewall', 'host-local', 'loopback', 'portmap', 'ptp', 'static'] as const;
