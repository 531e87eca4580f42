/** GC and STATUS. */
import { leftText, sawOf, type Answer, type Pod, type Session } from '../session.ts';
import type { JsonObject } from '../subjects.ts';

export function collection(session: Session): void {
  if (!session.speaks('1.1.0')) return;
  status(session);
  nothingToCollect(session);
  staleAndValid(session);
}

export const valid = (...pods: readonly Pod[]): JsonObject => ({
  'cni.dev/valid-attachments': pods.map(({ id, ifName }) => ({ containerID: id, ifname: ifName })),
  'cni.dev/attachments': pods.map(({ id, ifName }) => ({ containerID: id, ifname: ifName })),
});
const prev = ({ json }: Answer): { prevResult?: JsonObject } => (json === undefined ? {} : { prevResult: json });

function status(session: Session): void {
  const answer = session.call('STATUS', undefined);
  session.expectOk('P12 X5', 'STATUS when there is room', answer);
  session.prove('P12', 'STATUS prints nothing', answer.call.stdout === '', sawOf(answer), answer);
  const { exhausted } = session.subject;
  if (exhausted === undefined) return;
  session.withPod((pod) => {
    const conf = { ...exhausted };
    const only = session.call('ADD', pod, { conf });
    session.expectOk('P12', 'the only address is given', only);
    session.expectError('P12', 'STATUS when every address is taken', session.call('STATUS', undefined, { conf }), 50, 51);
    session.withPod((other) => {
      session.expectError('P12', 'and ADD fails indeed', session.call('ADD', other, { conf }));
      session.call('DEL', other, { conf });
    });
    session.call('DEL', pod, { conf, ...prev(only) });
    session.expectOk('P12', 'STATUS when it is free again', session.call('STATUS', undefined, { conf }));
  });
}

function nothingToCollect(session: Session): void {
  const answer = session.call('GC', undefined, { conf: valid() });
  session.expectOk('P14 X5', 'GC when there is nothing', answer);
  session.prove('P14', 'GC prints nothing', answer.call.stdout === '', sawOf(answer), answer);
}

/** Of two attachments one is told to be valid. The namespace of the stale one is gone, as after a reboot. */
function staleAndValid(session: Session): void {
  if (session.subject.single === true) onlyValid(session);
  else oneOfTwo(session);
  noneValid(session);
}

function oneOfTwo(session: Session): void {
  const [stale, kept] = [session.makePod(), session.makePod()];
  const before = session.look();
  try {
    const lost = session.call('ADD', stale);
    const own = session.call('ADD', kept);
    session.endPod(stale);
    const answer = session.call('GC', undefined, { conf: valid(kept) });
    session.expectOk('P14', 'GC with one valid attachment of two', answer);
    session.expectOk('P14', 'the valid one still passes CHECK', session.call('CHECK', kept, prev(own)));
    session.del(kept, own.json);
    session.endPod(kept);
    const left = leftOf(session, before);
    session.prove('P14', 'of the stale one nothing is left', left.length === 0, leftText(left), lost, answer);
    session.expectOk('P9', 'DEL of what GC removed', session.del(stale, lost.json));
  } finally {
    for (const pod of [stale, kept]) session.endPod(pod);
  }
}

function onlyValid(session: Session): void {
  session.withPod((pod) => {
    const own = session.call('ADD', pod);
    session.expectOk('P14', 'GC with one valid attachment', session.call('GC', undefined, { conf: valid(pod) }));
    session.expectOk('P14', 'the valid one still passes CHECK', session.call('CHECK', pod, prev(own)));
    session.del(pod, own.json);
  });
}

function noneValid(session: Session): void {
  const pod = session.makePod();
  const before = session.look();
  const answer = session.call('ADD', pod);
  session.endPod(pod);
  const all = session.call('GC', undefined, { conf: valid() });
  session.expectOk('P14', 'GC without any valid attachment', all);
  const left = leftOf(session, before);
  session.prove('P14', 'GC without any valid attachment leaves nothing of one', left.length === 0, leftText(left), answer, all);
  session.del(pod, answer.json);
}
/** The recorder collects nothing: its leases stay for the DEL that follows. */
const leftOf = (session: Session, before: ReadonlySet<string>): string[] => session.left(before).filter((line) => !line.startsWith('lease '));
