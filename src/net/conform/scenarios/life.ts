/** ADD to DEL in every way a runtime may go: each version, each absence, twice, over what is there already. */
import { removeNetns, withNetns } from '../../../host/netns.ts';
import { isObject, knownKey } from '../../../model/cni/known-key.ts';
import { parseResult } from '../../../model/cni/result.ts';
import type { CniResult } from '../../../model/cni/types.ts';
import { atLeast } from '../../../model/cni/version.ts';
import { messageOf } from '../../../model/errors.ts';
import { added, addressesHere, ip, linkHere } from '../observe.ts';
import { silent } from './checks.ts';
import { leftText, sawOf, type Answer, type Pod, type Session } from '../session.ts';
import type { JsonObject } from '../subjects.ts';

/** The first attachment. What it leaves is the host's from then on (a bridge, shared chains): later ones are compared with that. */
export function firstLife(session: Session): boolean {
  const works = session.withPod((pod) => {
    const before = session.look(pod);
    const answer = session.call('ADD', pod);
    if (!answer.ok) {
      session.expectError('P1', 'the ADD that failed prints its error', answer);
      session.expectOk('P8', 'DEL after an ADD that failed', session.del(pod, undefined));
      return false;
    }
    const made = added(before, session.look(pod));
    const { role, ifName } = session.subject;
    if (role === 'interface' || role === 'loopback') {
      const link = withNetns(pod.netns, () => linkHere(ifName));
      session.prove(
        'P2',
        `${ifName} is in the namespace, and up`,
        link?.flags.includes('UP') === true,
        made.filter((line) => line.startsWith('pod link')).join('; '),
        answer,
      );
    } else if (role === 'chained') session.prove('P2', 'something was made or changed', made.length > 0, made.slice(0, 4).join('; '), answer);
    session.expectOk('P13', 'ADD before any STATUS', answer);
    session.expectOk('P6', 'DEL', session.del(pod, answer.json));
    return true;
  });
  session.share();
  if (!works) failedLife(session);
  return works;
}

/** What every failed ADD leaves adds up. */
function failedLife(session: Session): void {
  session.withPod((pod) => {
    const before = session.look(pod);
    const answer = session.call('ADD', pod);
    const undone = session.del(pod, undefined);
    const left = session.left(before, pod);
    session.prove('P6', 'nothing is left of an ADD that failed', left.length === 0, leftText(left), answer, undone);
  });
}

/** Each version from its ADD to its DEL. */
export function eachVersion(session: Session): void {
  for (const version of session.versions) {
    session.withPod((pod) => {
      const answer = session.call('ADD', pod, { version });
      const needsPrev = session.subject.role === 'chained' && !atLeast(version, '0.3.0');
      if (!session.expectOk('V11 P3', `ADD in ${version}`, answer) && needsPrev) return;
      if (answer.ok) judgeResult(session, answer, version, pod);
      if (atLeast(version, '0.4.0') && answer.ok) {
        const check = session.call('CHECK', pod, { version, ...prevOf(answer) });
        session.expectOk('P10', `CHECK in ${version}, right after ADD`, check);
        silent(session, `CHECK in ${version}`, check);
      }
      const undone = session.call('DEL', pod, { version, ...(atLeast(version, '0.4.0') ? prevOf(answer) : {}) });
      session.expectOk('V11 P6', `DEL in ${version}`, undone);
    });
  }
  const { cniVersion: _version, ...old } = session.confOf(undefined);
  if (session.versions[0] === '0.1.0' && session.subject.role !== 'chained')
    session.withPod((pod) => {
      const stdin = JSON.stringify({ ...old, ...session.subject.conf(pod.n) });
      const answer = session.call('ADD', pod, { stdin });
      session.prove(
        'V5',
        'ADD without cniVersion',
        answer.ok && (answer.json?.['ip4'] !== undefined || answer.json?.['cniVersion'] !== undefined),
        sawOf(answer),
        answer,
      );
      session.call('DEL', pod, { stdin });
    });
}
const prevOf = ({ json }: Answer): { prevResult?: JsonObject } => (json === undefined ? {} : { prevResult: json });

const keys: Readonly<Record<string, readonly string[]>> = {
  '': ['cniVersion', 'interfaces', 'ips', 'ip4', 'ip6', 'routes', 'dns'],
  interfaces: ['name', 'mac', 'mtu', 'sandbox', 'socketPath', 'pciID'],
  ips: ['version', 'address', 'gateway', 'interface'],
  routes: ['dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope'],
  dns: ['nameservers', 'domain', 'search', 'options'],
};

/** P3, P19, P21: what ADD printed. */
function judgeResult(session: Session, answer: Answer, version: string, pod: Pod): void {
  const { json } = answer;
  let result: CniResult | undefined;
  let saw = sawOf(answer);
  try {
    if (json !== undefined) result = parseResult(json, version);
  } catch (error) {
    saw = messageOf(error);
  }
  if (!session.prove('P3', `ADD in ${version} prints a result`, result !== undefined, saw, answer) || json === undefined || result === undefined)
    return;
  session.prove('P21', `the result is of ${version}`, json['cniVersion'] === version, `cniVersion ${JSON.stringify(json['cniVersion'])}`, answer);
  const unknown = Object.entries(keys).flatMap(([part, known]) => {
    const there = part === '' ? json : json[part];
    const objects = Array.isArray(there) ? there.filter(isObject) : isObject(there) ? [there] : [];
    return objects.flatMap((object) =>
      Object.keys(object)
        .filter((key) => !known.includes(key))
        .map((key) => `${part}.${key}`),
    );
  });
  session.prove('P21', `the result in ${version} has known keys only`, unknown.length === 0, unknown.join(' ') || 'known keys only', answer);
  const { role, ifName } = session.subject;
  if (role === 'ipam') {
    const own = result.interfaces === undefined && (result.ips ?? []).every(({ interface: index }) => index === undefined);
    session.prove('P19', `no interface in the result in ${version}`, own, saw, answer);
    session.prove('P20', `an address in the result in ${version}`, (result.ips ?? []).length > 0, saw, answer);
  } else if (atLeast(version, '0.3.0')) {
    const link = result.interfaces?.find(({ name, sandbox }) => name === ifName && sandbox !== undefined);
    session.prove(
      'P21',
      `${ifName} is in the result in ${version}, with CNI_NETNS as sandbox`,
      link?.sandbox === pod.netns,
      JSON.stringify(result.interfaces),
      answer,
    );
  }
  const previous = pod.before;
  if (previous !== undefined && atLeast(version, '0.3.0')) {
    const passed =
      (previous.interfaces ?? []).every(({ name }) => result.interfaces?.some((link) => link.name === name)) &&
      (previous.ips ?? []).every(({ address }) => result.ips?.some((one) => one.address === address)) &&
      (previous.routes ?? []).every(({ dst }) => result.routes?.some((route) => route.dst === dst));
    session.prove('P4', `prevResult is in the result in ${version}`, passed, saw, answer);
  }
}

/** P5: a link of that name is there already. */
export function nameTaken(session: Session): void {
  const { role, ifName } = session.subject;
  if (role !== 'interface') return;
  session.withPod((pod) => {
    ip(`-n ${pod.id} link add ${ifName} type veth peer name other`);
    const index = withNetns(pod.netns, () => linkHere(ifName)?.ifindex);
    const before = session.look(pod);
    const answer = session.call('ADD', pod);
    session.expectError('P5', `ADD while ${ifName} exists`, answer);
    const after = withNetns(pod.netns, () => linkHere(ifName)?.ifindex);
    session.prove('P5', `the ${ifName} that was there stays`, after === index, `interface index ${index ?? '-'}, then ${after ?? '-'}`, answer);
    // Before any DEL: the link of that name is somebody else's, and a runtime may not know whose.
    if (after !== undefined) ip(`-n ${pod.id} link del ${ifName}`);
    session.del(pod, undefined);
    const left = session.left(before, pod);
    session.prove('P6', 'nothing is left of the refused ADD after its DEL', left.length === 0, leftText(left), answer);
  });
  session.withPod((pod) => {
    const first = session.call('ADD', pod);
    const second = session.call('ADD', pod);
    session.expectError('P5', 'a second ADD of the same attachment', second);
    session.del(pod, first.json);
  });
}

/** P6-P9: every way to delete; after each the host is as it was. */
export function deletions(session: Session): void {
  const way = (numbers: string, what: string, act: (pod: Pod, added: Answer) => readonly Answer[]): void => {
    const pod = session.makePod();
    const before = session.look();
    // The pod's own links on the host are there before ADD, and gone when the pod is.
    try {
      const answer = session.call('ADD', pod);
      const undone = act(pod, answer);
      for (const one of undone) session.expectOk(numbers, what, one);
      const talks = undone.filter(({ ok, call }) => ok && call.stdout !== '');
      session.prove(numbers, `${what}: prints nothing`, talks.length === 0, talks.map(sawOf).join('; ') || 'no output', ...talks);
      session.endPod(pod);
      const left = session.left(before);
      session.prove(`${numbers} P6`, `${what}: everything of the attachment is gone`, left.length === 0, leftText(left), answer, ...undone);
    } finally {
      session.endPod(pod);
    }
  };
  way('P6', 'DEL with prevResult', (pod, { json }) => {
    const undone = session.del(pod, json);
    const { role, ifName } = session.subject;
    if (role === 'interface') {
      const link = withNetns(pod.netns, () => linkHere(ifName));
      session.prove('P6', `${ifName} is gone from the namespace`, link === undefined, link === undefined ? 'gone' : `still there`, undone);
    }
    return [undone];
  });
  way('P7', 'DEL without prevResult', (pod) => [session.call('DEL', pod)]);
  way('P9', 'DEL twice with prevResult, once without', (pod, { json }) => [session.del(pod, json), session.del(pod, json), session.call('DEL', pod)]);
  way('P8', 'DEL with an empty CNI_NETNS', (pod, { json }) => [session.del(pod, json, { env: { CNI_NETNS: '' } })]);
  way('P8', 'DEL without CNI_NETNS and without prevResult', (pod) => [session.call('DEL', pod, { env: { CNI_NETNS: undefined } })]);
  way('P8', 'DEL when the namespace is gone', (pod, { json }) => {
    removeNetns(pod.netns);
    return [session.del(pod, json)];
  });
  const { role, ifName } = session.subject;
  if (role === 'interface' || role === 'chained')
    way('P8', 'DEL when the interface is gone', (pod, { json }) => {
      withNetns(pod.netns, () => {
        if (linkHere(ifName) !== undefined) ip(`link del ${ifName}`);
      });
      return [session.del(pod, json)];
    });
  session.withPod((pod) => session.expectOk('P9', 'DEL of what was never added', session.call('DEL', pod)));
}

/** P20, R8: what the IPAM said is what the interface has; and the plugin's own namespace is refused. */
export function applied(session: Session, addressOf: (pod: Pod) => string, route: string, gateway: string): void {
  if (!session.subject.delegates) return;
  session.withPod((pod) => {
    const answer = session.call('ADD', pod);
    const [addresses, routes] = withNetns(pod.netns, () => [addressesHere(pod.ifName), ip('-4 route')] as const);
    session.prove(
      'P20',
      'the address of the IPAM is on the interface',
      addresses.includes(addressOf(pod)),
      addresses.join(' ') || 'no address',
      answer,
    );
    session.prove(
      'P20',
      'its routes lead through its gateway',
      routes.includes(`${route} via ${gateway}`) && routes.includes(`default via ${gateway}`),
      routes.trim().replaceAll('\n', '; '),
      answer,
    );
    const told = JSON.stringify(answer.json?.['ips'] ?? '');
    session.prove('P20', 'the result says so', told.includes(addressOf(pod)) && told.includes(gateway), told, answer);
    session.del(pod, answer.json);
  });
}

/** R8: told to work in its own namespace. */
export function ownNamespace(session: Session): void {
  if (session.subject.role === 'ipam') return;
  const pod = session.makePod();
  const before = session.look();
  const answer = session.call('ADD', pod, { env: { CNI_NETNS: '/proc/self/ns/net' } });
  session.expectError('R8', 'ADD with its own namespace', answer, 8);
  // A plugin that did the work before it looked has to take it back.
  session.call('DEL', pod, {
    env: { CNI_NETNS: '/proc/self/ns/net' },
    ...(knownKey(answer.json ?? {}, 'interfaces') === undefined ? {} : prevOf(answer)),
  });
  session.call('DEL', pod, { env: { CNI_NETNS: '' } });
  session.endPod(pod);
  const left = session.left(before).filter((line) => !/ lo( |$)/.test(line));
  session.prove('R8', 'nothing is left of it', left.length === 0, leftText(left), answer);
  for (const line of left) {
    const link = /^host link (\S+) veth/.exec(line)?.[1];
    if (link !== undefined && linkHere(link) !== undefined) ip(`link del ${link}`);
  }
}
