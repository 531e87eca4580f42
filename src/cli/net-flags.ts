/** Flags of every command that plans a pod's network. */
import type { Flags } from './command.ts';

export const netFlags = {
  net: {
    type: 'list',
    value: 'NETWORKS',
    bare: 'default',
    default: 'default',
    help: 'networks to join: default, none, host, all, NAME[,NAME], NAME:K=V;K2=V2',
  },
  port: { type: 'list', value: 'PORT', help: 'publish a port: NAME:[IP:]HOST (a port of the image) or [IP:]HOST:POD[/PROTOCOL]' },
  'net-exec': { type: 'boolean', help: "run every CNI plugin as an executable, rkt's own as well" },
} as const satisfies Flags;
