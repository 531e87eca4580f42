/** What is refused before anything is done, and what VERSION says. Needs no ADD. */
import { isObject } from '../../../model/cni/known-key.ts';
import { cniVersions } from '../../../model/cni/types.ts';
import { versionsOfReply } from '../../../model/cni/version.ts';
import { messageOf } from '../../../model/errors.ts';
import { leftText, sawOf, type Session } from '../session.ts';

/** Learns the versions it supports. */
export function version(session: Session): readonly string[] {
  const asked = session.call('VERSION', undefined, { stdin: '{"cniVersion":"0.4.0"}', env: { CNI_PATH: undefined } });
  let list: readonly string[] = [];
  let saw = sawOf(asked);
  try {
    list = asked.ok ? versionsOfReply(asked.json) : [];
  } catch (error) {
    saw = `${saw}: ${messageOf(error)}`;
  }
  session.prove('V6 V7', 'VERSION with CNI_COMMAND alone lists versions', list.length > 0, saw, asked);
  const silent = session.call('VERSION', undefined, { stdin: '', env: { CNI_PATH: undefined } });
  session.expectOk('V7', 'VERSION without stdin', silent);
  const named = asked.json?.['cniVersion'];
  // The version asked in, or the plugin's own: the specification says the one, the reference does the other (V6).
  session.prove('V6', 'VERSION names the version asked in, or its own', named === '0.4.0' || list.includes(String(named)), saw, asked);
  const known = cniVersions.filter((one) => list.includes(one));
  session.versions = known.length > 0 ? known : ['0.1.0'];
  return list.length > 0 ? list : ['0.1.0'];
}

export function front(session: Session): void {
  const before = session.look();
  environment(session);
  configuration(session);
  verbs(session);
  const left = session.left(before);
  session.prove('X1 X2 X3', 'what is refused changes nothing', left.length === 0, leftText(left));
}

function environment(session: Session): void {
  const pod = { n: 0, id: 'none', netns: '/run/netns/none', ifName: session.subject.ifName, before: undefined };
  const empty = { CNI_CONTAINERID: undefined, CNI_NETNS: undefined, CNI_IFNAME: undefined, CNI_PATH: undefined };
  const needed: Readonly<Record<string, readonly string[]>> = {
    ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
    CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
    DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  };
  for (const [verb, names] of Object.entries(needed)) {
    const answer = session.call(verb, pod, { env: empty });
    const text = `${answer.error?.message ?? ''} ${answer.error?.details ?? ''}`;
    const all = answer.error?.cniCode === 4 && names.every((name) => text.includes(name));
    session.prove('X1 P24', `${verb} without any variable names all of ${names.join(' ')} in one error 4`, all, sawOf(answer), answer);
  }
  const gc = session.call('GC', undefined, { env: { CNI_PATH: undefined } });
  if (session.speaks('1.1.0')) {
    const text = `${gc.error?.message ?? ''} ${gc.error?.details ?? ''}`;
    session.prove('X1 P24', 'GC without CNI_PATH names it', gc.error?.cniCode === 4 && text.includes('CNI_PATH'), sawOf(gc), gc);
  }
  for (const id of ['-begins-badly', 'has/slash', 'has space'])
    session.expectError('R11 X1', `container ID ${JSON.stringify(id)}`, session.call('ADD', pod, { env: { CNI_CONTAINERID: id } }), 4);
  for (const name of ['sixteen-bytes-xx', 'a/b', '..', 'a:b'])
    session.expectError('R13 X1', `interface name ${JSON.stringify(name)}`, session.call('ADD', pod, { env: { CNI_IFNAME: name } }), 4);
  session.expectError('X6', 'CNI_COMMAND=PURGE', session.call('PURGE', pod), 4);
  const about = session.call('', undefined, { env: { CNI_COMMAND: undefined, CNI_PATH: undefined }, stdin: '' });
  const tells = about.ok ? about.call.stderr.trim() !== '' : about.error?.cniCode === 4;
  session.prove('X7', 'no CNI_COMMAND: says what it is on stderr, or error 4', tells, sawOf(about), about);
}

function configuration(session: Session): void {
  const pod = { n: 0, id: 'none', netns: '/run/netns/none', ifName: session.subject.ifName, before: undefined };
  const conf = session.confOf(undefined);
  const add = (what: object | string) => session.call('ADD', pod, { stdin: typeof what === 'string' ? what : JSON.stringify(what) });
  session.expectError('X2', 'stdin that is not JSON', add('{"cniVersion":'), 6);
  session.expectError('X2', 'no stdin', add(''), 5, 6);
  const { name: _name, ...nameless } = conf;
  session.expectError('X2', 'no network name', add(nameless), 7);
  session.expectError('X2', 'network name "../x"', add({ ...conf, name: '../x' }), 7);
  session.expectError('X3', 'cniVersion 7, a number', add({ ...conf, cniVersion: 7 }), 6);
  session.expectError('X3', 'cniVersion "1.2.3.4.5"', add({ ...conf, cniVersion: '1.2.3.4.5' }), 1, 6);
  const unsupported = add({ ...conf, cniVersion: '99.0.0' });
  session.expectError('V4 X3', 'cniVersion "99.0.0"', unsupported, 1);
  const named = unsupported.error;
  const tells = named !== undefined && `${named.message} ${named.details}`.includes('99.0.0');
  session.prove('X3', 'which version was asked for is told', tells, sawOf(unsupported), unsupported);
  const between = add({ ...conf, cniVersion: '0.3.2' });
  session.expectError('V11 V4', 'cniVersion "0.3.2", which nobody lists', between, 1);
}

function verbs(session: Session): void {
  const pod = { n: 0, id: 'none', netns: '/run/netns/none', ifName: session.subject.ifName, before: undefined };
  const older = (verb: string, than: string): void => {
    const version = session.versions.findLast((one) => one < than);
    if (version === undefined) return;
    session.expectError(
      'X4',
      `${verb} of a configuration of ${version}`,
      session.call(verb, verb === 'CHECK' ? pod : undefined, { version, conf: { 'cni.dev/valid-attachments': [] } }),
      1,
    );
  };
  older('CHECK', '0.4.0');
  if (!session.speaks('1.1.0')) return;
  older('GC', '1.1.0');
  older('STATUS', '1.1.0');
}

/** What every failing call must look like, of all that were made. Call it last. */
export function errors(session: Session): void {
  const failed = session.calls.filter(({ ok }) => !ok);
  const mute = failed.filter(({ error }) => error === undefined);
  const count = `${failed.length - mute.length} of ${failed.length} failing calls printed an error object`;
  session.prove(
    'P1',
    'a call that fails prints an error object on stdout',
    mute.length === 0,
    [count, ...mute.slice(0, 1).map(sawOf)].join('; '),
    ...mute.slice(0, 3),
  );
  const died = failed.filter(({ call }) => call.exit !== 1);
  session.prove('X8', 'a call that fails exits 1', died.length === 0, [count, ...died.slice(0, 1).map(sawOf)].join('; '), ...died.slice(0, 3));
  const loud = session.calls.filter(({ ok, error, call }) => ok && error === undefined && looksLikeError(call.stdout));
  session.prove(
    'P1',
    'a call that succeeds prints no error',
    loud.length === 0,
    `${session.calls.length - failed.length} calls succeeded`,
    ...loud.slice(0, 3),
  );
  const untyped = failed.filter(
    ({ json }) => json !== undefined && (typeof json['code'] !== 'number' || typeof json['msg'] !== 'string' || json['msg'] === ''),
  );
  session.prove('P22', 'code is a number, msg a text', untyped.length === 0, count, ...untyped.slice(0, 3));
  const codes = [...new Set(failed.flatMap(({ error }) => (error === undefined ? [] : [error.cniCode])))].sort((a, b) => a - b);
  const known = (code: number): boolean => (code >= 1 && code <= 8) || [11, 50, 51].includes(code) || code >= 100;
  session.prove('P23', 'codes that were seen', codes.every(known), codes.join(' '));
}
function looksLikeError(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) && typeof value['code'] === 'number' && typeof value['msg'] === 'string';
  } catch {
    return false; // no JSON is no error object
  }
}
