/** Which numbers do not concern the plugin: known from its kind and its versions, before anything is tried. */
import type { Session } from '../session.ts';

/** Says so of each. Evidence that exists all the same counts more. */
export function inapplicable(session: Session): void {
  const { role, delegates, twice, single } = session.subject;
  const left = (numbers: string, reason: string): void => session.leave(numbers, 'not applicable', reason);
  if (role === 'ipam') left('P2', 'an IPAM makes no interface');
  if (role !== 'chained') left('P4', 'it comes first in a list');
  if (role !== 'interface') left('P5', 'it makes no interface');
  if (!session.speaks('0.4.0')) left('P10 P11', 'it supports no version with CHECK (0.4.0)');
  if (!session.speaks('1.1.0')) left('P12 P14 X5', 'it supports no version with GC and STATUS (1.1.0)');
  if (single === true) left('P15', 'the given configuration is good for one pod at a time');
  if (!delegates) left('P16 P17 P18', 'it delegates to nobody');
  if (role !== 'ipam') left('P19', 'it is no IPAM');
  if (role !== 'ipam' && !delegates) left('P20', 'it has no IPAM');
  if (twice === undefined) left('P26', 'no datum is known that it reads from args and from CNI_ARGS');
  if (role !== 'chained') left('P27', 'it makes the interface, or none');
  if (role === 'chained') left('V5', 'a plugin that needs prevResult needs a newer version');
  else if (session.versions[0] !== '0.1.0') left('V5', 'it does not support 0.1.0');
  if (role === 'ipam') left('R8', 'an IPAM does not look at the namespace');
  if (!session.versions.some((one) => one < '0.4.0')) left('X4', 'it supports no version before 0.4.0');
}
