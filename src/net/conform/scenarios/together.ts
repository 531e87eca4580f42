/** P15: several containers at the same time. */
import { parseResult } from '../../../model/cni/result.ts';
import { leftText, sawOf, type Answer, type Session } from '../session.ts';

const howMany = 6;

export function together(session: Session): void {
  if (session.subject.single === true) return;
  const pods = Array.from({ length: howMany }, () => session.makePod());
  try {
    const before = session.look();
    const answers = session.callAtOnce('ADD', pods, () => ({}));
    const bad = answers.filter(({ ok }) => !ok);
    session.prove('P15', `${howMany} ADDs at the same time`, bad.length === 0, bad.map(sawOf).join('; ') || 'all succeeded', ...bad);
    if (session.subject.role === 'ipam') {
      const given = answers.flatMap((answer) => addresses(answer, session.version));
      session.prove('P15', 'no address is given twice', new Set(given).size === given.length && given.length >= howMany, given.join(' '), ...answers);
    }
    const undone = session.callAtOnce('DEL', pods, ({ n }) => prev(answers[pods.findIndex((pod) => pod.n === n)]));
    const failed = undone.filter(({ ok }) => !ok);
    session.prove('P15', `${howMany} DELs at the same time`, failed.length === 0, failed.map(sawOf).join('; ') || 'all succeeded', ...failed);
    for (const pod of pods) session.endPod(pod);
    const left = session.left(before);
    session.prove('P15', 'nothing is left of them', left.length === 0, leftText(left));
  } finally {
    for (const pod of pods) session.endPod(pod);
  }
}
const prev = (answer: Answer | undefined) => (answer?.json === undefined ? {} : { prevResult: answer.json });

function addresses({ json, ok }: Answer, version: string): string[] {
  return ok && json !== undefined ? (parseResult(json, version).ips ?? []).map(({ address }) => address) : [];
}
