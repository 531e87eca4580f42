/**
 * The front of a plugin as a stand-alone executable: what the reference's skel does (X1-X10), with the namespace
 * looked at before the work instead of after it (Z11).
 */
import { readFileSync, realpathSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { waitReadable } from '../../src/host/linux.ts';
import { findExecutable, runProgram } from '../../src/host/run-program.ts';
import { asCniError, formatErrorObject, parseErrorObject } from '../../src/model/cni/error-object.ts';
import { knownKey } from '../../src/model/cni/known-key.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { commandOf, parseRequest, perform } from '../../src/model/cni/request.ts';
import { formatResult, parseResult } from '../../src/model/cni/result.ts';
import { type CniCommand, CniError, type CniResult, cniCode } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';

declare const __VERSION__: string;

export interface ExecutableOptions {
  /** IPAM plugins of ours that this executable can run itself instead of starting them */
  readonly ipam?: readonly Plugin[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Serves one request from the environment and stdin, then ends the process: 0, or 1 with an error object on stdout. */
export function runAsExecutable(plugin: Plugin, options: ExecutableOptions = {}): never {
  const env = process.env;
  if ((env['CNI_COMMAND'] ?? '') === '') about(plugin);
  let cniVersion: string | undefined;
  try {
    const command = commandOf(env);
    if (command === 'VERSION') {
      print(1, JSON.stringify({ cniVersion: askedVersion() ?? plugin.versions.at(-1), supportedVersions: plugin.versions }));
    } else {
      const stdin = readStdin();
      const req = parseRequest(env, stdin);
      cniVersion = req.conf.cniVersion;
      refuseOwnNamespace(req, env);
      const result = performAndTidy(plugin, req, contextFor(stdin, env, options));
      if (result !== undefined) print(1, JSON.stringify(formatResult(result, cniVersion), undefined, 4));
    }
  } catch (error) {
    print(1, JSON.stringify(formatErrorObject(asCniError(error), cniVersion), undefined, 4));
    process.exit(1);
  }
  process.exit(0);
}

function about(plugin: Plugin): never {
  const version = typeof __VERSION__ === 'string' ? ` ${__VERSION__}` : '';
  print(2, `CNI ${plugin.type} plugin of rkt${version}\nCNI protocol versions supported: ${plugin.versions.join(', ')}\n`);
  process.exit(0);
}

/** The whole text: one write may take only part of it. */
function print(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let offset = 0; offset < bytes.length;) offset += writeSync(fd, bytes, offset);
}

function readStdin(): string {
  try {
    return readFileSync(0, 'utf8');
  } catch (error) {
    throw new CniError(cniCode.io, 'error reading from stdin', messageOf(error));
  }
}

/** VERSION needs no stdin (V7), so one that never says anything must not make us wait; what it says is answered (V6). */
function askedVersion(): string | undefined {
  try {
    if (!waitReadable(0, 500)) return undefined;
    const asked = knownKey(JSON.parse(readFileSync(0, 'utf8')) as Record<string, unknown>, 'cniVersion');
    return typeof asked === 'string' && asked !== '' ? asked : undefined;
  } catch {
    return undefined; // closed, empty or no JSON: the reference does not read it at all
  }
}

/** A runtime that names our own namespace would have the host's network taken apart (R8). CHECK changes nothing. */
function refuseOwnNamespace({ command, netns }: PluginRequest, env: Environment): void {
  if (netns === '' || (command !== 'ADD' && command !== 'DEL')) return;
  if (['1', 'true'].includes((env['CNI_NETNS_OVERRIDE'] ?? '').toLowerCase())) return;
  const [own, theirs] = ['/proc/thread-self/ns/net', netns].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }));
  if (own === undefined || theirs === undefined || own.dev !== theirs.dev || own.ino !== theirs.ino) return;
  throw new CniError(cniCode.netns, `plugin's netns and netns from CNI_NETNS should not be the same`, netns);
}

function performAndTidy(plugin: Plugin, req: PluginRequest, context: PluginContext): CniResult | undefined {
  const result = perform(plugin, req, context);
  if (req.command === 'DEL') plugin.tidy?.(req);
  return result;
}

function contextFor(stdin: string, env: Environment, options: ExecutableOptions): PluginContext {
  const context: PluginContext = {
    note: ({ what, detail }) => print(2, `${what}: ${detail}\n`),
    delegate(type, command, req) {
      const delegated = { ...env, CNI_COMMAND: command };
      const own = ownDelegate(type, req.path, options.ipam ?? []);
      const ask =
        own === undefined
          ? (verb: CniCommand) => execute(type, verb, req, stdin, delegated)
          : (verb: CniCommand) => performAndTidy(own, parseRequest({ ...delegated, CNI_COMMAND: verb }, stdin), context);
      return ipamAnswer(command, ask);
    },
  };
  return context;
}

/** An IPAM that failed to ADD is asked to DEL (P18); what it returns has no interfaces (P19). */
function ipamAnswer(command: CniCommand, ask: (verb: CniCommand) => CniResult | undefined): CniResult | undefined {
  let result: CniResult | undefined;
  try {
    result = ask(command);
  } catch (error) {
    if (command === 'ADD') discard(() => ask('DEL'));
    throw error;
  }
  if (result === undefined) return undefined;
  const { interfaces: _none, ips, ...rest } = result;
  return { ...rest, ...(ips === undefined ? {} : { ips: ips.map(({ interface: _index, ...ip }) => ip) }) };
}

/** The first failure is the one to report; that of the clean-up after it goes to the log. */
function discard(cleanUp: () => unknown): void {
  try {
    cleanUp();
  } catch (error) {
    print(2, `${messageOf(error)}\n`);
  }
}

/** Ours answers in this process when it is what CNI_PATH would give, or when that gives nothing (P16). */
function ownDelegate(type: string, path: readonly string[], ipam: readonly Plugin[]): Plugin | undefined {
  const own = ipam.find((plugin) => plugin.type === type);
  const found = own === undefined ? undefined : findExecutable(type, path);
  if (found === undefined) return own;
  return dirname(realpathSync(found)) === dirname(realpathSync(process.argv[1] ?? '/')) ? own : undefined;
}

/** Whoever started us sets the deadline; this one only ends what nobody waits for any more. */
const delegateTimeoutMs = 600_000;

function execute(type: string, verb: CniCommand, req: PluginRequest, stdin: string, env: Environment): CniResult | undefined {
  const path = findExecutable(type, req.path);
  if (path === undefined) throw new CniError(cniCode.config, `failed to find plugin ${JSON.stringify(type)} in path ${JSON.stringify(req.path)}`);
  const full = Object.fromEntries(
    Object.entries({ ...env, CNI_COMMAND: verb }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  const outcome = runProgram({ path, argv: [path], env: full, stdin: Buffer.from(stdin), timeoutMs: delegateTimeoutMs, maxBytes: 4 << 20 });
  if (outcome.kind === 'not-started') throw new CniError(cniCode.internal, `cannot run ${path}: ${outcome.reason}`);
  const [stdout, stderr] = [outcome.stdout.toString(), outcome.stderr.toString()];
  if (stderr !== '') print(2, stderr);
  if (outcome.kind !== 'exited') throw new CniError(cniCode.internal, `plugin ${type} did not finish: ${outcome.kind}`, stderr.trim());
  if (outcome.status !== 0)
    throw parseErrorObject(stdout) ?? new CniError(cniCode.internal, `plugin ${type} failed with status ${outcome.status}`, (stdout + stderr).trim());
  if (verb !== 'ADD') return undefined;
  let value: unknown;
  try {
    value = JSON.parse(stdout);
  } catch (error) {
    throw new CniError(cniCode.decode, `plugin ${type} printed no JSON`, messageOf(error));
  }
  return parseResult(value, req.conf.cniVersion);
}
