/** What can be judged of a plugin whose ADD cannot work on this machine. */
import { sawOf, type Session } from '../session.ts';
import { valid } from './collection.ts';

/** R8: a plugin that looks before it works says code 8 on any kernel. Another error says nothing: it may have met the kernel first. */
export function refusedOwnNamespace(session: Session): void {
  if (session.subject.role === 'ipam') return;
  session.withPod((pod) => {
    const answer = session.call('ADD', pod, { env: { CNI_NETNS: '/proc/self/ns/net' } });
    if (answer.error?.cniCode === 8) session.prove('R8', 'ADD with its own namespace', true, sawOf(answer), answer);
  });
}

/** X5: STATUS may well fail, since ADD would. */
export function vainCollection(session: Session): void {
  if (!session.speaks('1.1.0')) return;
  session.expectOk('X5', 'GC when there is nothing', session.call('GC', undefined, { conf: valid() }));
}
