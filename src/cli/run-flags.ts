/** Flags of `run`. `net plan` takes them too, so that one command line does for both. */
import type { Flags } from './command.ts';
import { pullFlags } from './pull-flags.ts';
import { netFlags } from './net-flags.ts';
import { volumeFlags } from './volume-flags.ts';

export const runFlags = {
  ...netFlags,
  ...pullFlags,
  ...volumeFlags,
  'pod-name': { type: 'string', value: 'NAME', help: "the pod's name, taken wherever a UUID is; unique until gc marks the pod" },
  'no-overlay': { type: 'boolean', help: 'copy the image instead of mounting an overlay' },
  'net-release': {
    type: 'string',
    value: 'WHEN',
    choices: ['exit', 'gc'],
    default: 'exit',
    help: "free the pod's addresses, ports and rules when it exits, or keep them until gc",
  },
  'uuid-file-save': { type: 'string', value: 'FILE', help: "write the pod's UUID to FILE before anything else is done" },
  interactive: { type: 'boolean', help: 'connect standard input to the app (one app only)' },
} as const satisfies Flags;
