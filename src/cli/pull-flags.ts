/** When images are asked for where they come from: flags of `fetch` and `run`. @see rkt.md 1.4, 2.16 */
import { RuntimeError } from '../model/errors.ts';
import { pullPolicies, type PullPolicy } from '../model/options.ts';
import type { Flags, FlagValues } from './command.ts';

export const pullFlags = {
  'pull-policy': {
    type: 'string',
    value: 'POLICY',
    choices: pullPolicies,
    help: 'ask registries for images: never, when they are new here, or always for an update (default of fetch: update, else new)',
  },
  'store-only': { type: 'boolean', help: 'the same as --pull-policy=never' },
  'no-store': { type: 'boolean', help: 'the same as --pull-policy=update' },
} as const satisfies Flags;

/** @throws ERR_CLI_USAGE for two that contradict each other */
export function pullPolicyOf(flags: FlagValues<typeof pullFlags>, otherwise: PullPolicy): PullPolicy {
  const given: readonly (readonly [string, PullPolicy])[] = [
    ...(flags['store-only'] ? [['--store-only', 'never'] as const] : []),
    ...(flags['no-store'] ? [['--no-store', 'update'] as const] : []),
    ...pullPolicies.filter((policy) => policy === flags['pull-policy']).map((policy) => [`--pull-policy=${policy}`, policy] as const),
  ];
  const [first] = given;
  if (first === undefined) return otherwise;
  const other = given.find(([, policy]) => policy !== first[1]);
  if (other !== undefined) throw new RuntimeError('ERR_CLI_USAGE', `${first[0]} and ${other[0]} contradict each other`, { hint: 'give one of them' });
  return first[1];
}
