/** A plugin, held to the requirements one after the other on a throw-away host. */
import { mkdirSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { monotonicMs } from '../../host/clock.ts';
import { findExecutable } from '../../host/run-program.ts';
import { enterThrowawayHost } from '../../host/throwaway.ts';
import { RuntimeError, isErrno } from '../../model/errors.ts';
import { endProcess, ip, processes, programPath, requireTools } from './observe.ts';
import { serveDhcp } from './dhcp.ts';
import { addressOfPod, recorderGateway, recorderRoute } from './recorder.ts';
import { requirements } from './requirements.ts';
import { argumentsOf } from './scenarios/arguments.ts';
import { checks } from './scenarios/checks.ts';
import { collection } from './scenarios/collection.ts';
import { delegation } from './scenarios/delegation.ts';
import { errors, front, version } from './scenarios/front.ts';
import { applied, deletions, eachVersion, firstLife, nameTaken, ownNamespace } from './scenarios/life.ts';
import { inapplicable } from './scenarios/inapplicable.ts';
import { together } from './scenarios/together.ts';
import { refusedOwnNamespace, vainCollection } from './scenarios/without-add.ts';
import { Session, benchDir, sawOf } from './session.ts';
import { subjectOf, type Subject } from './subjects.ts';
import type { ConformReport, ConformRequest, Finding } from './types.ts';

/**
 * Tries the plugin. This process moves to a throw-away host and cannot come back: print the report and end.
 * @throws RuntimeError ERR_PLUGIN_NOT_FOUND, ERR_CLI_USAGE, ERR_HOST_PROGRAM_MISSING
 */
export function conform(request: ConformRequest): ConformReport {
  const started = monotonicMs();
  const plugin = findPlugin(request);
  const subject = subjectOf(basename(plugin), request.conf, request.prevResult, request.capArgs);
  const searchPath = [dirname(plugin), ...request.searchPath.filter((path) => path !== dirname(plugin))];
  requireTools();
  enterThrowawayHost(searchPath);
  mkdirSync(benchDir, { recursive: true });
  const session = new Session(plugin, subject, searchPath);
  try {
    const versions = version(session);
    front(session);
    inapplicable(session);
    const lacking = whatIsMissing(subject) ?? (subject.lan === true ? serveDhcp(session) : undefined);
    for (const command of lacking === undefined ? (subject.host ?? []) : []) ip(command);
    const untried = attachments(session, lacking);
    errors(session);
    return {
      plugin,
      type: subject.type,
      versions,
      untried,
      findings: requirements.map(({ number, text }) => finding(session, number, text)),
      calls: session.calls.length,
      ms: Math.round(monotonicMs() - started),
    };
  } finally {
    // Daemons that a plugin left running end with its host.
    for (const pid of processes()) endProcess(pid);
  }
}

function findPlugin({ plugin, searchPath }: ConformRequest): string {
  if (!plugin.includes('/')) {
    const found = findExecutable(plugin, searchPath);
    if (found !== undefined) return found;
    throw new RuntimeError('ERR_PLUGIN_NOT_FOUND', `no plugin ${JSON.stringify(plugin)} in ${searchPath.join(', ')}`, {
      hint: 'give a path, or set CNI_PATH',
      exitCode: 2,
    });
  }
  const path = resolve(plugin);
  try {
    if (statSync(path).isFile()) return path;
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
  throw new RuntimeError('ERR_PLUGIN_NOT_FOUND', `there is no plugin at ${path}`, { hint: 'give the path of an executable', exitCode: 2 });
}

/** What this kernel lacks for the subject to work at all. */
function whatIsMissing({ linkKind, device, program }: Subject): string | undefined {
  if (device !== undefined && statSync(device, { throwIfNoEntry: false }) === undefined) return `this machine lacks ${device}`;
  if (program !== undefined && findExecutable(program, programPath) === undefined) return `this machine lacks ${program}`;
  if (linkKind === undefined) return undefined;
  try {
    ip(`link add probe0 type ${linkKind}${linkKind === 'vrf' ? ' table 999' : ''}`);
  } catch (error) {
    // Kinds that need a link below them say so only where they exist.
    return /not supported|Unknown device type/i.test(String(error)) ? `kernel lacks ${linkKind}` : undefined;
  }
  ip('link del probe0');
  return undefined;
}

/** Everything that needs an ADD that works. @returns why nothing of it could be tried; '' */
function attachments(session: Session, lacking: string | undefined): string {
  const works = firstLife(session);
  const failure = session.calls.find(({ call, ok }) => call.env['CNI_COMMAND'] === 'ADD' && !ok && session.evidenceOf('P8').length > 0);
  if (!works) {
    const reason = lacking ?? kernelReason(session) ?? `ADD fails: ${failure === undefined ? 'see P3' : lastAdd(session)}`;
    for (const { number } of requirements) session.leave(number, 'unknown', reason);
    if (lacking === undefined && kernelReason(session) === undefined) session.prove('P3', 'ADD', false, lastAdd(session));
    refusedOwnNamespace(session);
    vainCollection(session);
    return reason;
  }
  eachVersion(session);
  nameTaken(session);
  deletions(session);
  applied(session, ({ n }) => addressOfPod(n), recorderRoute, recorderGateway);
  ownNamespace(session);
  checks(session);
  delegation(session);
  collection(session);
  argumentsOf(session);
  together(session);
  return '';
}
const lastAdd = (session: Session): string => {
  const answer = session.calls.findLast(({ call }) => call.env['CNI_COMMAND'] === 'ADD');
  return answer === undefined ? 'never tried' : sawOf(answer);
};
/** A plugin of a kind we do not know says itself that the kernel cannot do it. */
const kernelReason = (session: Session): string | undefined =>
  /operation not supported|unknown device type|protocol not supported/i.test(lastAdd(session))
    ? `kernel lacks what ADD needs (${lastAdd(session)})`
    : undefined;

function finding(session: Session, number: string, requirement: string): Finding {
  const evidence = session.evidenceOf(number);
  const left = session.reasonOf(number);
  if (evidence.some(({ holds }) => !holds)) return { number, requirement, verdict: 'fail', reason: '', evidence };
  // A number that needs ADD is not passed by what could be tried without it.
  if (left !== undefined && (evidence.length === 0 || (left.verdict === 'unknown' && !withoutAdd.has(number))))
    return { number, requirement, verdict: left.verdict, reason: left.reason, evidence };
  if (evidence.length === 0) return { number, requirement, verdict: 'unknown', reason: 'nothing of it can be seen from outside', evidence };
  return { number, requirement, verdict: 'pass', reason: '', evidence };
}
const withoutAdd = new Set(['P1', 'P22', 'P23', 'P24', 'X1', 'X2', 'X3', 'X4', 'X6', 'X7', 'X5', 'X8', 'V4', 'V6', 'V7', 'R8', 'R11', 'R13']);
