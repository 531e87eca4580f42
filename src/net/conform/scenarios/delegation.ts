/** P13, P16-P18: the recorder on CNI_PATH tells what a main plugin asked of its IPAM. */
import { recorderError, recorderNoise } from '../recorder.ts';
import { recorderType } from '../subjects.ts';
import { leftText, sawOf, type Answer, type Pod, type Session } from '../session.ts';

export function delegation(session: Session): void {
  if (!session.subject.delegates) return;
  session.recorder.heard();
  session.withPod((pod) => {
    const args = { env: { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=x' }, conf: { 'x-of-somebody-else': { deep: [1, 2, { three: true }] } } };
    const answer = session.call('ADD', pod, args);
    heard(session, 'ADD', pod, answer);
    session.prove(
      'P16',
      "the delegate's stderr comes through",
      answer.call.stderr.includes(recorderNoise),
      `stderr: ${answer.call.stderr.trim().slice(0, 100)}`,
      answer,
    );
    const prev = answer.json === undefined ? {} : { prevResult: answer.json };
    if (session.speaks('0.4.0')) {
      heard(session, 'CHECK', pod, session.call('CHECK', pod, { ...args, ...prev }));
      const refused = session.recorder.failing('CHECK', () => session.call('CHECK', pod, { ...args, ...prev }));
      session.expectError('P17', "CHECK passes on the delegate's error", refused, recorderError);
      session.recorder.heard();
    }
    const failed = session.recorder.failing('DEL', () => session.del(pod, answer.json, args));
    session.expectError('P17', "DEL passes on the delegate's error", failed);
    heard(session, 'DEL', pod, failed);
    session.expectOk('P9', 'DEL again after one that failed', session.del(pod, answer.json, args));
    heard(session, 'DEL', pod, failed);
  });
  withoutNamespace(session);
  refusedAddress(session);
  without1_1(session);
}

/** The delegate heard `verb` of this attachment, with everything its caller got. */
function heard(session: Session, verb: string, pod: Pod, answer: Answer): void {
  const all = session.recorder.heard();
  const one = all.find(({ command }) => command === verb);
  const saw = all.map(({ command, containerId }) => `${command} ${containerId}`).join(', ') || 'nothing';
  if (!session.prove('P17 P16', `${verb} reaches the delegate`, one !== undefined, `it heard ${saw}`, answer) || one === undefined) return;
  const { env } = answer.call;
  const same =
    one.containerId === pod.id &&
    one.ifName === pod.ifName &&
    one.netns === env['CNI_NETNS'] &&
    one.path === env['CNI_PATH'] &&
    one.args === (env['CNI_ARGS'] ?? '');
  session.prove('P16', `${verb}: the delegate has the same environment`, same, JSON.stringify({ ...one, stdin: undefined }), answer);
  const [sent, got] = [answer.call.stdin, one.stdin].map(canonical);
  session.prove(
    'P16',
    `${verb}: the delegate has the complete configuration`,
    sent === got,
    sent === got ? 'equal' : `got ${one.stdin.slice(0, 200)}`,
    answer,
  );
}
/** Order and spacing of JSON say nothing. */
function canonical(text: string): string {
  const sort = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(sort)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([key, item]) => [key, sort(item)]),
          )
        : value;
  try {
    return JSON.stringify(sort(JSON.parse(text)));
  } catch {
    return text; // it is compared as it came
  }
}

function withoutNamespace(session: Session): void {
  session.withPod((pod) => {
    const answer = session.call('ADD', pod);
    session.recorder.heard();
    session.endPod(pod);
    const undone = session.del(pod, answer.json, { env: { CNI_NETNS: '' } });
    const asked = session.recorder.heard().some(({ command, containerId }) => command === 'DEL' && containerId === pod.id);
    session.prove('P8 P17', 'DEL without namespace still reaches the IPAM', asked && undone.ok, sawOf(undone), undone);
  });
}

/** P18: the IPAM fails to ADD. Nothing may stay. */
function refusedAddress(session: Session): void {
  session.withPod((pod) => {
    const before = session.look(pod);
    session.recorder.heard();
    const answer = session.recorder.failing('ADD', () => session.call('ADD', pod));
    session.expectError('P17 P18', "ADD passes on the delegate's error", answer, recorderError);
    const verbs = session.recorder.heard().map(({ command }) => command);
    session.prove(
      'P18',
      'the delegate is asked to DEL after it failed to ADD',
      verbs.indexOf('DEL') > verbs.indexOf('ADD') && verbs.includes('ADD'),
      `it heard ${verbs.join(', ')}`,
      answer,
    );
    session.del(pod, undefined);
    const left = session.left(before, pod);
    session.prove('P18 P6', 'nothing is left of that ADD', left.length === 0, leftText(left), answer);
  });
  session.withPod((pod) => {
    const missing = session.call('ADD', pod, { conf: { ipam: { type: 'no-such-ipam' } } });
    session.expectError('P16', 'a delegate that is not on CNI_PATH', missing);
    session.call('DEL', pod, { conf: { ipam: { type: recorderType } } });
  });
}

function without1_1(session: Session): void {
  if (!session.speaks('1.1.0')) return;
  const asks = { 'cni.dev/valid-attachments': [] };
  for (const [verb, number, conf] of [
    ['GC', 'P14 P17', asks],
    ['STATUS', 'P13', {}],
  ] as const) {
    session.recorder.heard();
    const answer = session.call(verb, undefined, { conf });
    const asked = session.recorder.heard().some(({ command }) => command === verb);
    session.prove(number, `${verb} reaches the delegate`, asked && answer.ok, sawOf(answer), answer);
    const failed = session.recorder.failing(verb, () => session.call(verb, undefined, { conf }));
    session.expectError(number, `${verb} passes on the delegate's error`, failed);
  }
}
