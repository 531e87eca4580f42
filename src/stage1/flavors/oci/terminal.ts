/** Whether an app gets a terminal. */
import { isTerminal } from '../../../host/linux.ts';
import type { Stage1Pod } from '../../contract.ts';

/** TERM for the app of an interactive pod whose stdin is a terminal; undefined: no terminal. */
export const wantedTerminal = (pod: Stage1Pod): string | undefined => (pod.interactive && isTerminal(0) ? terminalType() : undefined);

/** TERM of this process, as far as a name of a terminal can be expected to look. */
export function terminalType(): string {
  const term = process.env['TERM'] ?? '';
  return /^[\w.+-]{1,64}$/.test(term) ? term : 'vt100';
}
