/**
 * One plugin call, in process or as an executable; both are recorded alike and fail alike.
 * @see cni.md L20-L25, P16-P18, Z3, R38
 */
import { findExecutable, runProgram, type ProgramOutcome } from '../../host/run-program.ts';
import { asCniError, formatErrorObject, parseErrorObject } from '../../model/cni/error-object.ts';
import type { PluginContext, PluginNote } from '../../model/cni/plugin.ts';
import { parseRequest, perform } from '../../model/cni/request.ts';
import { formatResult, parseResult } from '../../model/cni/result.ts';
import { CniError, cniCode, type CniCommand, type CniResult } from '../../model/cni/types.ts';
import { RuntimeError, messageOf, printable } from '../../model/errors.ts';
import { CniPluginError, pluginFailed } from './errors.ts';
import type { PluginInput } from './request.ts';
import { recordedBytes, type CniServices } from './services.ts';

/** What is to be called. */
export interface Callee {
  readonly network: string;
  readonly type: string;
  /** 'builtin' or a path */
  readonly via: string;
  readonly ipam?: { readonly type: string; readonly via: string };
  /** the runtime destroys the namespace right after this DEL */
  readonly netnsDies: boolean;
}
const whoIs = (callee: Callee): string => `plugin ${callee.type} of network "${callee.network}"`;

const maxOutputBytes = 4 << 20;
/** First pause before a call is tried again; doubled each time. */
const firstPauseMs = 100;
/** How long a signal may go unnoticed while we wait. */
const glanceMs = 50;
const textBusyErrno = 26;

/**
 * Calls a plugin until it answers something other than "try again later" (R38), at most until `deadlineMs`.
 * @param deadlineMs - on the clock of `services.nowMs`; a delegate has what is left of its caller's time
 * @returns the result in 1.1.0 shape; undefined for verbs that have none
 * @throws CniPluginError ERR_PLUGIN_FAILED, ERR_PLUGIN_TIMEOUT, ERR_PLUGIN_OUTPUT; ERR_PLUGIN_NOT_FOUND; ERR_INTERRUPTED
 */
export function callPlugin(
  callee: Callee,
  verb: CniCommand,
  input: PluginInput,
  services: CniServices,
  deadlineMs = services.nowMs() + services.timeoutMs,
): CniResult | undefined {
  // Told to stop already, this is the way down: one try for each call, the next gc has the others.
  const patient = services.interrupted() === 0;
  for (let pauseMs = firstPauseMs; ; pauseMs *= 2) {
    try {
      return callee.via === 'builtin'
        ? callInProcess(callee, verb, input, services, deadlineMs)
        : callExecutable(callee, verb, input, services, deadlineMs - services.nowMs());
    } catch (error) {
      const again = patient && error instanceof CniPluginError && error.cniCode === cniCode.tryAgain && services.nowMs() + pauseMs < deadlineMs;
      if (!again) throw error;
      for (const untilMs = services.nowMs() + pauseMs; services.nowMs() < untilMs;) {
        services.pause(Math.min(glanceMs, untilMs - services.nowMs()));
        if (services.interrupted() !== 0) throw interrupted(`was waited for, asking to be tried again (${verb}): ${error.message}`, callee, services);
      }
    }
  }
}

const interrupted = (what: string, callee: Callee, services: CniServices): RuntimeError =>
  new RuntimeError('ERR_INTERRUPTED', `${whoIs(callee)} ${what}`, { exitCode: 128 + services.interrupted() });

const kept = (text: string): string => text.slice(0, recordedBytes);

/* ---- in process ---- */

function callInProcess(callee: Callee, verb: CniCommand, input: PluginInput, services: CniServices, deadlineMs: number): CniResult | undefined {
  const plugin = services.plugins.get(callee.type);
  if (plugin === undefined)
    throw new RuntimeError('ERR_PLUGIN_NOT_FOUND', `${whoIs(callee)} is not one of rkt's own any more`, {
      hint: 'an older rkt made this pod: remove it with that version',
    });
  const started = services.nowMs();
  const stoppedBefore = services.interrupted() !== 0;
  const notes: PluginNote[] = [];
  const record = (stdout: string, exit: number): void =>
    services.record({
      verb,
      network: callee.network,
      plugin: callee.type,
      via: 'builtin',
      env: input.env,
      stdin: kept(input.stdin),
      stdout: kept(stdout),
      stderr: '',
      ms: services.nowMs() - started,
      exit,
      notes,
    });
  try {
    const request = parseRequest(input.env, input.stdin);
    const context: PluginContext = {
      delegate: (type, command) => delegate(callee, type, command, input, request.path, services, deadlineMs),
      note: (note) => notes.push(note),
      netnsDies: callee.netnsDies,
    };
    const result = perform(plugin, request, context);
    // Through the wire version and back: what an executable could not have said, ours does not say either.
    const wire = result === undefined ? undefined : formatResult(result, request.conf.cniVersion);
    record(wire === undefined ? '' : JSON.stringify(wire), 0);
    return wire === undefined ? undefined : parseResult(wire, request.conf.cniVersion);
  } catch (error) {
    const known = asCniError(error);
    record(JSON.stringify(formatErrorObject(known)), 1);
    // One that waits for something outside (a DHCP server) notices the signal and gives up.
    if (!stoppedBefore && services.interrupted() !== 0)
      throw interrupted(`gave up because rkt was told to stop (${verb}): ${known.message}`, callee, services);
    throw pluginFailed(whoIs(callee), verb, known);
  }
}

/** An IPAM delegate gets the whole configuration and the same environment but for the command (P16), and the rest of the time. */
function delegate(
  caller: Callee,
  type: string,
  command: CniCommand,
  input: PluginInput,
  path: readonly string[],
  services: CniServices,
  deadlineMs: number,
): CniResult | undefined {
  const planned = caller.ipam?.type === type ? caller.ipam.via : undefined;
  const via = planned ?? (services.plugins.has(type) ? 'builtin' : findExecutable(type, path));
  if (via === undefined) throw new CniError(cniCode.config, `IPAM plugin ${JSON.stringify(type)} not found`, `searched ${path.join(', ')}`);
  try {
    return callPlugin(
      { network: caller.network, type, via, netnsDies: caller.netnsDies },
      command,
      { stdin: input.stdin, env: { ...input.env, CNI_COMMAND: command } },
      services,
      deadlineMs,
    );
  } catch (error) {
    // The delegate's own code reaches the caller's caller (P17).
    if (error instanceof CniPluginError && error.cause instanceof CniError) throw error.cause;
    throw error;
  }
}

/* ---- executables ---- */

function callExecutable(callee: Callee, verb: CniCommand, input: PluginInput, services: CniServices, timeoutMs: number): CniResult | undefined {
  const started = services.nowMs();
  const outcome = runOnce(callee, input, services, timeoutMs);
  const { stdout, stderr } = textsOf(outcome);
  const exit = outcome.kind === 'exited' ? outcome.status : -1;
  services.record({
    verb,
    network: callee.network,
    plugin: callee.type,
    via: callee.via,
    env: input.env,
    stdin: kept(input.stdin),
    notes: [],
    stdout: kept(stdout),
    stderr: kept(stderr),
    ms: services.nowMs() - started,
    exit,
  });
  if (outcome.kind === 'interrupted') throw interrupted(`was killed because rkt was told to stop (${verb})`, callee, services);
  if (outcome.kind !== 'exited') throw didNotExit(callee, verb, outcome, timeoutMs, stderr);
  if (outcome.truncated) throw new CniPluginError('ERR_PLUGIN_OUTPUT', `${whoIs(callee)} printed more than ${maxOutputBytes} bytes (${verb})`, {});
  if (outcome.status !== 0) throw failureOf(callee, verb, outcome.status, stdout, stderr);
  if (verb !== 'ADD') return undefined;
  const version = (JSON.parse(input.stdin) as { cniVersion?: string }).cniVersion ?? '0.1.0';
  try {
    return parseResult(JSON.parse(stdout), version);
  } catch (cause) {
    throw new CniPluginError('ERR_PLUGIN_OUTPUT', `${whoIs(callee)} succeeded but printed no CNI result: ${excerpt(stdout)} (${messageOf(cause)})`, {
      cause,
    });
  }
}

/** A plugin that is being written at this moment is tried again for a while (L22). */
function runOnce(callee: Callee, input: PluginInput, services: CniServices, timeoutMs: number): ProgramOutcome {
  for (let tries = 0; ; tries++) {
    const outcome = runProgram({
      path: callee.via,
      argv: [callee.via],
      env: { ...services.env, ...input.env },
      stdin: Buffer.from(input.stdin),
      timeoutMs,
      maxBytes: maxOutputBytes,
    });
    if (outcome.kind !== 'not-started' || outcome.errno !== textBusyErrno || tries >= 20) return outcome;
    services.pause(50);
  }
}

function textsOf(outcome: ProgramOutcome): { stdout: string; stderr: string } {
  return outcome.kind === 'not-started' ? { stdout: '', stderr: '' } : { stdout: outcome.stdout.toString(), stderr: outcome.stderr.toString() };
}

function didNotExit(
  callee: Callee,
  verb: CniCommand,
  outcome: Exclude<ProgramOutcome, { kind: 'exited' | 'interrupted' }>,
  timeoutMs: number,
  stderr: string,
): RuntimeError {
  const said = stderr.trim() === '' ? '' : `: ${excerpt(stderr)}`;
  switch (outcome.kind) {
    case 'not-started':
      return new RuntimeError('ERR_PLUGIN_NOT_FOUND', `${whoIs(callee)}: cannot run ${callee.via}: ${outcome.reason}`, {
        hint: 'is the plugin still installed, executable and for this machine?',
      });
    case 'timeout':
      return new CniPluginError(
        'ERR_PLUGIN_TIMEOUT',
        `${whoIs(callee)} did not finish within ${Math.round(timeoutMs)} ms and was killed (${verb})${said}`,
        {},
      );
    case 'signal':
      return new CniPluginError('ERR_PLUGIN_FAILED', `${whoIs(callee)} was ended by signal ${outcome.signal} (${verb})${said}`, {});
  }
}

/** The error object is on stdout in every implementation; the specification's overview says stderr: take both, in that order (Z3, L24). */
function failureOf(callee: Callee, verb: CniCommand, status: number, stdout: string, stderr: string): RuntimeError {
  const known = parseErrorObject(stdout) ?? parseErrorObject(stderr);
  if (known !== undefined) return pluginFailed(whoIs(callee), verb, known);
  if (stdout.trim() === '')
    return new CniPluginError(
      'ERR_PLUGIN_FAILED',
      `${whoIs(callee)} failed (${verb}) with status ${status}${stderr.trim() === '' ? ' and said nothing' : `: ${excerpt(stderr)}`}`,
      {},
    );
  return new CniPluginError(
    'ERR_PLUGIN_OUTPUT',
    `${whoIs(callee)} failed (${verb}) with status ${status} and printed no CNI error: ${excerpt(stdout)}`,
    {},
  );
}

const excerpt = (text: string): string => printable(text.trim().slice(0, 300));
