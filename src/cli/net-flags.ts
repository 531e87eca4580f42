/** Flags of every command that plans a pod's network. */
import type { NetOptions } from '../model/options.ts';
import type { Flags, FlagValues } from './command.ts';

export const netFlags = {
  net: {
    type: 'list',
    value: 'NETWORKS',
    bare: 'default',
    default: 'default',
    help: 'networks to join: default, none, host, all, ns:/PATH, NAME[,NAME], NAME:K=V;K2=V2, NAME:ip=IP,mac=MAC,cap.KEY=JSON',
  },
  port: {
    type: 'list',
    value: 'PORT',
    help: 'publish a port: NAME:[IP:]HOST (a port of the image) or [IP:]HOST:POD[/PROTOCOL]; ranges: 8000-8010:80-90; HOST 0: any free port',
  },
  'net-exec': { type: 'boolean', help: "run every CNI plugin as an executable, rkt's own as well" },
  hostname: { type: 'string', value: 'NAME', help: "the pod's host name", default: 'rkt-UUID' },
  dns: { type: 'list', value: 'IP', help: "resolver of the pod (repeat): an address, host (the host's file), none (the image's file)" },
  'dns-search': { type: 'list', value: 'DOMAIN', help: 'search domain of the resolver (repeat)' },
  'dns-opt': { type: 'list', value: 'OPTION', help: 'option of the resolver (repeat)' },
  'dns-domain': { type: 'string', value: 'DOMAIN', help: "the resolver's own domain" },
  'hosts-entry': { type: 'list', value: 'IP=NAME', help: "line of /etc/hosts (repeat), or host (the host's file)" },
} as const satisfies Flags;

/** What the flags ask of the planner. */
export const netOptions = (flags: FlagValues<typeof netFlags>): NetOptions => ({
  net: flags.net,
  ports: flags.port,
  netExec: flags['net-exec'],
  hostname: flags.hostname,
  dns: flags.dns,
  dnsSearch: flags['dns-search'],
  dnsOpt: flags['dns-opt'],
  dnsDomain: flags['dns-domain'],
  hostsEntries: flags['hosts-entry'],
});
