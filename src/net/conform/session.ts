/** One plugin on the bench: pods are made, it is called, what came of it is written down by requirement. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs } from '../../host/clock.ts';
import { createNetns, removeNetns, withNetns } from '../../host/netns.ts';
import { runProgram } from '../../host/run-program.ts';
import { parseErrorObject } from '../../model/cni/error-object.ts';
import { isObject } from '../../model/cni/known-key.ts';
import { formatResult, parseResult } from '../../model/cni/result.ts';
import type { CniError, CniResult } from '../../model/cni/types.ts';
import { compareVersions, isCniVersion } from '../../model/cni/version.ts';
import { ip, leftSince, linkHere, snapshot } from './observe.ts';
import { addressOfPod, Recorder, recorderGateway } from './recorder.ts';
import type { JsonObject, Subject } from './subjects.ts';
import type { Evidence, PluginCall, Verdict } from './types.ts';

/** A container without a process: its namespace, and the interface asked for. */
export interface Pod {
  readonly n: number;
  readonly id: string;
  readonly netns: string;
  readonly ifName: string;
  /** result of the plugin before this one, 1.1.0 shape */
  readonly before: CniResult | undefined;
}

/** One call and what it came to. */
export interface Answer {
  readonly call: PluginCall;
  readonly ok: boolean;
  /** stdout decoded */
  readonly json: JsonObject | undefined;
  /** the error object, when it printed one */
  readonly error: CniError | undefined;
}

/** What a call differs in from the usual one. */
export interface Ask {
  readonly conf?: JsonObject;
  /** stdin instead of a configuration */
  readonly stdin?: string;
  readonly version?: string;
  readonly prevResult?: JsonObject;
  /** undefined: not set */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export const networkName = 'conform';
const timeoutMs = 60_000;
export const benchDir = '/run/rkt-conform';
/** the bridge with a DHCP server */
export const lanName = 'lan0';
/** the bridge of the plugin before a chained one */
const bridgeName = 'net0';

export class Session {
  readonly subject: Subject;
  readonly recorder: Recorder;
  readonly plugin: string;
  readonly #cniPath: string;
  readonly #evidence = new Map<string, Evidence[]>();
  readonly #reasons = new Map<string, { verdict: Verdict; reason: string }>();
  readonly calls: Answer[] = [];
  /** versions it says it supports that we know as well, oldest first */
  versions: readonly string[] = ['0.1.0'];
  /** what the first attachment left to all later ones: a bridge, a table, shared chains */
  #shared: ReadonlySet<string> = new Set();
  #pods = 0;

  constructor(plugin: string, subject: Subject, searchPath: readonly string[]) {
    this.subject = subject;
    this.plugin = plugin;
    this.recorder = new Recorder(join(benchDir, 'ipam'));
    this.#cniPath = [this.recorder.path, ...searchPath].join(':');
  }

  get version(): string {
    return this.versions.at(-1) ?? '0.1.0';
  }
  speaks(version: string): boolean {
    return compareVersions(this.version, version) >= 0;
  }

  // ---- what was found -----------------------------------------------------------------------------------------------

  /** Writes down one thing tried, for each number of `numbers` (separated by blanks). */
  prove(numbers: string, what: string, holds: boolean, saw: string, ...answers: readonly Answer[]): boolean {
    const evidence: Evidence = { what, holds, saw, calls: answers.map(({ call }) => call) };
    for (const number of new Set(numbers.split(' '))) this.#evidence.set(number, [...(this.#evidence.get(number) ?? []), evidence]);
    return holds;
  }
  /** Says why numbers are not tried; evidence that exists all the same counts more. */
  leave(numbers: string, verdict: 'not applicable' | 'unknown', reason: string): void {
    for (const number of numbers.split(' ')) if (!this.#reasons.has(number)) this.#reasons.set(number, { verdict, reason });
  }
  evidenceOf(number: string): readonly Evidence[] {
    return this.#evidence.get(number) ?? [];
  }
  reasonOf(number: string): { readonly verdict: Verdict; readonly reason: string } | undefined {
    return this.#reasons.get(number);
  }

  expectOk(numbers: string, what: string, answer: Answer): boolean {
    return this.prove(numbers, what, answer.ok, sawOf(answer), answer);
  }
  /** @param codes - codes any of which will do; none: any error */
  expectError(numbers: string, what: string, answer: Answer, ...codes: number[]): boolean {
    const holds = !answer.ok && answer.error !== undefined && (codes.length === 0 || codes.includes(answer.error.cniCode));
    return this.prove(numbers, what, holds, sawOf(answer), answer);
  }

  // ---- pods ---------------------------------------------------------------------------------------------------------

  /** A pod, with the interface of the plugin before when the subject is chained. */
  makePod(): Pod {
    const n = ++this.#pods;
    const id = `pod${n}`;
    const netns = `/run/netns/${id}`;
    createNetns(netns);
    for (const command of this.subject.podHost?.(n) ?? []) ip(command);
    const { ifName, role, lan } = this.subject;
    if (lan === true) {
      ip(`link add host${n} type veth peer name ${ifName} netns ${id}`);
      ip(`link set host${n} master ${lanName} up`);
      ip(`-n ${id} link set ${ifName} up`);
    }
    const pod = { n, id, netns, ifName };
    const before = role === 'chained' ? this.#precede(pod) : undefined;
    return { ...pod, before };
  }
  /** What a bridge before it would have made, and told. */
  #precede({ n, id, netns, ifName }: Omit<Pod, 'before'>): CniResult {
    const given = this.subject.prevResult === undefined ? undefined : parseResult(this.subject.prevResult, this.version);
    const own = given?.ips?.filter(({ interface: index }) => index === undefined || given.interfaces?.[index]?.sandbox !== undefined);
    const ips = own?.map(({ address, gateway }) => ({ address, interface: 2, ...(gateway === undefined ? {} : { gateway }) })) ?? [
      { address: addressOfPod(n), gateway: recorderGateway, interface: 2 },
    ];
    const host = `host${n}`;
    const gateways = ips.flatMap(({ address, gateway }) => (gateway === undefined ? [] : [`${gateway}/${address.split('/')[1] ?? ''}`]));
    if (linkHere(bridgeName) === undefined) ip(`link add ${bridgeName} address 02:00:0a:57:00:01 type bridge`);
    ip(`link set ${bridgeName} up`);
    for (const gateway of gateways) ip(`addr replace ${gateway} dev ${bridgeName} nodad`);
    ip(`link add ${host} type veth peer name ${ifName} netns ${id}`);
    ip(`link set ${host} master ${bridgeName} up`);
    ip(`-n ${id} link set ${ifName} up`);
    for (const { address } of ips) ip(`-n ${id} addr add ${address} dev ${ifName} nodad`);
    const routes = given?.routes ?? [{ dst: '0.0.0.0/0', gw: recorderGateway }];
    for (const { dst, gw } of routes) ip(`-n ${id} route add ${dst} ${gw === undefined ? `dev ${ifName}` : `via ${gw}`}`);
    const inside = withNetns(netns, () => linkHere(ifName)?.address ?? '');
    return {
      ...given,
      cniVersion: '1.1.0',
      interfaces: [
        { name: bridgeName, mac: linkHere(bridgeName)?.address ?? '' },
        { name: host, mac: linkHere(host)?.address ?? '' },
        { name: ifName, mac: inside, sandbox: netns },
      ],
      ips,
      routes,
    };
  }
  /** Its namespace ends, with everything in it. */
  endPod({ netns }: Pod): void {
    removeNetns(netns);
  }
  /** Work on a pod that is gone afterwards, DEL included. */
  withPod<T>(work: (pod: Pod) => T): T {
    const pod = this.makePod();
    try {
      return work(pod);
    } finally {
      this.endPod(pod);
    }
  }

  // ---- calls --------------------------------------------------------------------------------------------------------

  confOf(pod: Pod | undefined, ask: Ask = {}): JsonObject {
    const version = ask.version ?? this.version;
    const prev = ask.prevResult ?? (pod?.before === undefined || !isCniVersion(version) ? undefined : formatResult(pod.before, version));
    return {
      cniVersion: version,
      name: networkName,
      type: this.subject.type,
      ...this.subject.conf(pod?.n ?? 0),
      ...ask.conf,
      ...(prev === undefined ? {} : { prevResult: prev }),
    };
  }

  #request(verb: string, pod: Pod | undefined, ask: Ask): { env: Record<string, string>; stdin: string } {
    const attached = pod === undefined ? {} : { CNI_CONTAINERID: pod.id, CNI_NETNS: pod.netns, CNI_IFNAME: pod.ifName };
    const wanted = { CNI_COMMAND: verb, CNI_PATH: this.#cniPath, ...attached, ...ask.env };
    const env = Object.fromEntries(Object.entries(wanted).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
    return { env, stdin: ask.stdin ?? JSON.stringify(this.confOf(pod, ask)) };
  }
  environment(env: Readonly<Record<string, string>>): Record<string, string> {
    const inherited = Object.entries(process.env).flatMap(([name, value]) => (value === undefined || name.startsWith('CNI_') ? [] : [[name, value]]));
    return { ...(Object.fromEntries(inherited) as Record<string, string>), ...env };
  }

  call(verb: string, pod: Pod | undefined, ask: Ask = {}): Answer {
    const { env, stdin } = this.#request(verb, pod, ask);
    const started = monotonicMs();
    const path = this.plugin;
    const outcome = runProgram({ path, argv: [path], env: this.environment(env), stdin: Buffer.from(stdin), timeoutMs, maxBytes: 4 << 20 });
    const ms = Math.round(monotonicMs() - started);
    const printed =
      outcome.kind === 'not-started'
        ? { exit: -1, stdout: '', stderr: `cannot be run: ${outcome.reason}` }
        : {
            exit: outcome.kind === 'exited' ? outcome.status : -1,
            stdout: outcome.stdout.toString(),
            stderr: outcome.kind === 'exited' ? outcome.stderr.toString() : `${outcome.stderr.toString()}(${outcome.kind})`,
          };
    return this.#noted({ env, stdin, ...printed, ms });
  }

  #noted(call: PluginCall): Answer {
    const json = decode(call.stdout);
    const answer = { call, ok: call.exit === 0, json, error: call.exit === 0 ? undefined : parseErrorObject(call.stdout) };
    this.calls.push(answer);
    return answer;
  }

  /** The same verb for many pods at the same time. */
  callAtOnce(verb: string, pods: readonly Pod[], ask: (pod: Pod) => Ask): Answer[] {
    const dir = join(benchDir, 'at-once');
    mkdirSync(dir, { recursive: true });
    const requests = pods.map((pod) => this.#request(verb, pod, ask(pod)));
    const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
    requests.forEach(({ stdin }, i) => writeFileSync(join(dir, `${i}.in`), stdin));
    const lines = requests.map(({ env }, i) => {
      const variables = Object.entries(env).map(([name, value]) => `${name}=${quote(value)}`);
      return `(${variables.join(' ')} ${quote(this.plugin)} <${i}.in >${i}.out 2>${i}.err; echo $? >${i}.exit) &`;
    });
    const started = monotonicMs();
    runProgram({
      path: '/bin/sh',
      argv: ['sh', '-c', `${lines.join('\n')}\nwait`],
      env: this.environment({}),
      cwd: dir,
      timeoutMs,
      maxBytes: 1 << 20,
    });
    const ms = Math.round(monotonicMs() - started);
    const read = (i: number, what: string): string => readFileSync(join(dir, `${i}.${what}`), 'utf8');
    try {
      return requests.map(({ env, stdin }, i) =>
        this.#noted({ env, stdin, exit: Number(read(i, 'exit')), stdout: read(i, 'out'), stderr: read(i, 'err'), ms }),
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  }

  /** DEL as a runtime does it: with the final result. */
  del(pod: Pod, result: JsonObject | undefined, ask: Ask = {}): Answer {
    return this.call('DEL', pod, { ...(result === undefined ? {} : { prevResult: result }), ...ask });
  }

  // ---- what is there ------------------------------------------------------------------------------------------------

  look(...pods: readonly Pod[]): Set<string> {
    return new Set([
      ...snapshot(
        pods.map(({ netns }) => netns),
        benchDir,
      ),
      ...this.recorder.leases().map((lease) => `lease ${lease} of the delegate`),
    ]);
  }
  /** What is there that was not in `before`, shared objects apart: they come and go with the first and the last attachment. */
  left(before: ReadonlySet<string>, ...pods: readonly Pod[]): string[] {
    return leftSince(new Set([...before, ...this.#shared]), () => this.look(...pods));
  }
  /** What is there now belongs to all attachments. */
  share(): void {
    this.#shared = this.look();
  }
}

function decode(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // whoever expects JSON says so
  }
}

const excerpt = (text: string, length = 160): string => {
  const line = text.trim().replace(/\s+/g, ' ');
  return line.length > length ? `${line.slice(0, length)}…` : line;
};

/** `exit 1, code 4: required env …` */
export function sawOf({ call, error }: Answer): string {
  const status = call.exit === -1 ? 'no exit' : `exit ${call.exit}`;
  if (error !== undefined) return excerpt(`${status}, code ${error.cniCode}: ${error.message}${error.details === '' ? '' : `; ${error.details}`}`);
  const said = call.stdout.trim() === '' ? (call.stderr.trim() === '' ? '' : `, stderr: ${call.stderr}`) : `, ${call.stdout}`;
  return excerpt(`${status}${said}`);
}
/** `nothing left`, or what is. */
export const leftText = (left: readonly string[]): string => (left.length === 0 ? 'nothing left' : excerpt(`left: ${left.join('; ')}`, 300));
