/** Flags of `run`. `net plan` takes them too, so that one command line does for both. */
import type { PolicyOptions } from '../model/options.ts';
import type { Flags, FlagValues } from './command.ts';
import { pullFlags } from './pull-flags.ts';
import { netFlags } from './net-flags.ts';
import { volumeFlags } from './volume-flags.ts';
import { stage1Flags } from './stage1-flags.ts';

export const runFlags = {
  ...netFlags,
  ...pullFlags,
  ...volumeFlags,
  ...stage1Flags,
  'pod-name': { type: 'string', value: 'NAME', help: "the pod's name, taken wherever a UUID is; unique until gc marks the pod" },
  'no-overlay': { type: 'boolean', help: 'copy the image instead of mounting an overlay' },
  'net-release': {
    type: 'string',
    value: 'WHEN',
    choices: ['exit', 'gc'],
    default: 'exit',
    help: "free the pod's addresses, ports and rules when it exits, or keep them until gc",
  },
  namespace: { type: 'string', value: 'NS', help: 'take part in network policies as a pod of this namespace', default: 'default' },
  label: { type: 'list', value: 'K=V', help: 'label that network policies select the pod by (repeat)' },
  policy: { type: 'list', value: 'PATH', help: 'folder or file of Kubernetes network policies, in force as long as the pod is there (repeat)' },
  'named-port': { type: 'list', value: 'NAME=PORT[/PROTO]', help: 'name of a port of the pod for policies, beside those of the image (repeat)' },
  'uuid-file-save': { type: 'string', value: 'FILE', help: "write the pod's UUID to FILE before anything else is done" },
  interactive: { type: 'boolean', help: 'connect standard input to the app (one app only)' },
} as const satisfies Flags;

/** Undefined when nothing was said of policies. */
export function policyOptions(flags: FlagValues<typeof runFlags>): PolicyOptions | undefined {
  const { namespace, label, policy } = flags;
  const namedPorts = flags['named-port'];
  if (namespace === undefined && label.length + policy.length + namedPorts.length === 0) return undefined;
  return { namespace, labels: label, policies: policy, namedPorts };
}
