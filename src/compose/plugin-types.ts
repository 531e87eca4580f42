/** Types of our plugins, for planning, which does not load them. */
export const builtinTypes = ['bridge', 'firewall', 'host-local', 'loopback', 'portmap', 'ptp'] as const;
