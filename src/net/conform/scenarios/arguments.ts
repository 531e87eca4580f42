/** P25-P27, X9, X10: what else may be in a configuration and in CNI_ARGS. */
import { parseResult } from '../../../model/cni/result.ts';
import { messageOf } from '../../../model/errors.ts';
import { sawOf, type Answer, type Ask, type Session } from '../session.ts';
import type { JsonObject } from '../subjects.ts';

/** One attachment that differs by `ask`, deleted again. */
function life(session: Session, ask: Ask): Answer {
  return session.withPod((pod) => {
    const answer = session.call('ADD', pod, ask);
    session.call('DEL', pod, { ...ask, ...(answer.ok && answer.json !== undefined ? { prevResult: answer.json } : {}) });
    return answer;
  });
}

export function argumentsOf(session: Session): void {
  const unknown = life(session, { conf: { 'x-nobody-knows': { this: ['key'] } } });
  const named = unknown.error?.cniCode === 2 && `${unknown.error.message}${unknown.error.details}`.includes('x-nobody-knows');
  session.prove('P25', 'an unknown key is tolerated, or refused by name with code 2', unknown.ok || named, sawOf(unknown), unknown);
  session.expectOk('P25', 'unknown args are ignored', life(session, { conf: { args: { cni: { 'x-nobody-knows': 1 }, 'somebody.else': {} } } }));
  session.expectOk('X9', 'CNI_ARGS IgnoreUnknown=1;K8S_POD_NAME=x', life(session, { env: { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=x' } }));
  const bad = life(session, { env: { CNI_ARGS: 'no-pair' } });
  // Only those that are known to read an address there can be told to mind what they read.
  if (bad.ok && session.subject.twice === undefined) session.prove('X9', 'CNI_ARGS that are no pairs are not read', true, 'not read', bad);
  else session.expectError('X9', 'CNI_ARGS that are no pairs are refused', bad);
  anyCase(session);
  twice(session);
  behindAny(session);
}

/** Keys as Go writes its fields. */
function anyCase(session: Session): void {
  const answer = session.withPod((pod) => {
    const conf = spelled(session.confOf(pod));
    const added = session.call('ADD', pod, { stdin: JSON.stringify(conf) });
    session.call('DEL', pod, added.json === undefined ? {} : { prevResult: added.json });
    return added;
  });
  const version = answer.json?.['cniVersion'];
  const holds = answer.ok && (version === session.version || version === undefined);
  session.prove('X10', 'CNIVersion, Name, Type, IPAM…: known keys in another case', holds, sawOf(answer), answer);
}
function spelled(conf: JsonObject): JsonObject {
  const upper: Readonly<Record<string, string>> = { cniVersion: 'CNIVersion', ipam: 'IPAM' };
  return Object.fromEntries(Object.entries(conf).map(([key, value]) => [upper[key] ?? `${key.slice(0, 1).toUpperCase()}${key.slice(1)}`, value]));
}

function twice(session: Session): void {
  const { twice: datum } = session.subject;
  if (datum === undefined) return;
  const answer = life(session, { conf: { args: { cni: datum.args } }, env: { CNI_ARGS: datum.cniArgs } });
  const addresses = answer.json === undefined ? [] : addressesOf(answer.json, session.version);
  const holds = answer.ok && addresses.length === 1 && addresses[0] === datum.expects;
  session.prove('P26', `args.cni ${JSON.stringify(datum.args)} and CNI_ARGS ${datum.cniArgs}`, holds, addresses.join(' ') || sawOf(answer), answer);
}
function addressesOf(json: JsonObject, version: string): string[] {
  try {
    return (parseResult(json, version).ips ?? []).map(({ address }) => address);
  } catch (error) {
    return [messageOf(error)];
  }
}

/** A plugin before it that says less, and more, than bridge does. */
function behindAny(session: Session): void {
  if (session.subject.role !== 'chained') return;
  for (const [what, change] of [
    ['addresses without interface index', (result: JsonObject) => ({ ...result, ips: withoutIndex(result['ips']) })],
    [
      'an interface of another kind more',
      (result: JsonObject) => ({
        ...result,
        interfaces: [...(result['interfaces'] as unknown[]), { name: 'vf0', pciID: '0000:00:00.0', socketPath: '/x' }],
      }),
    ],
    ['dns and an empty list of routes', (result: JsonObject) => ({ ...result, dns: { nameservers: ['10.0.0.1'], search: ['x'] }, routes: [] })],
  ] as const) {
    session.withPod((pod) => {
      const usual = session.confOf(pod)['prevResult'] as JsonObject;
      const answer = session.call('ADD', pod, { prevResult: change(usual) });
      session.expectOk('P27 P4', `ADD behind a plugin with ${what}`, answer);
      session.del(pod, answer.json);
    });
  }
}
const withoutIndex = (ips: unknown): JsonObject[] => (ips as JsonObject[]).map(({ interface: _index, ...ip }) => ip);
