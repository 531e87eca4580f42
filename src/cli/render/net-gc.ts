/** What was collected, for people. */
import { printable } from '../../model/errors.ts';
import type { CollectedNetwork } from '../../workbench.ts';

export function collectionText(networks: readonly CollectedNetwork[]): string {
  const lines = networks.flatMap(({ name, inUse, leftovers, problems, disabled }) => [
    `${name}: ${leftovers.length === 0 ? 'nothing to remove' : `${leftovers.length} left over`}${inUse.length === 0 ? '' : `; in use by ${inUse.join(', ')}`}`,
    ...(disabled ? ['  GC is not sent: the list says disableGC'] : []),
    ...leftovers.map(({ what, why, outcome }) => `  ${outcome}: ${what}: ${why}`),
    ...problems.map((problem) => `  problem: ${problem}`),
  ]);
  return lines.map((line) => `${printable(line).replaceAll('\n', ' ')}\n`).join('');
}
