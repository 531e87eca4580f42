/** Worlds, one after the other, on real packets: fixture, rules, probes, what the kernel recorded. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { encodeTable } from '../host/nftables/whole-table.ts';
import { runProgram } from '../host/run-program.ts';
import { RuntimeError } from '../model/errors.ts';
import { compilePolicies, evidenceSets, tableName } from '../policy/compile/compile.ts';
import type { Link, World } from '../policy/model/experiment.ts';
import type { Flow } from '../policy/model/flow.ts';
import type { Direction } from '../policy/model/values.ts';
import { type Answer, type HeldState, readAnswers } from './answers.ts';
import { enforcerInput, observation } from './enforcer.ts';
import { Fixture, type Joining } from './fixture.ts';
import { lossOf } from './links.ts';
import { type ProbeLine, ProberPlan } from './plan.ts';

declare const __DIST__: string;

/** One state of the world, and what is tried in it. */
export interface Stage {
  readonly world: World;
  readonly flows: readonly Flow[];
  /** whose policies the kernel gets; by default those of `world` */
  readonly enforced?: World;
}
export interface MeasuredFlow extends Omit<Answer, 'recorded'> {
  /** keys (ruleKey) of the rules that the kernel recorded, where rules decided */
  readonly rules: Readonly<Partial<Record<Direction, string>>>;
  /** another enforcer's: nothing is known of its rules */
  readonly unattributed?: true;
}
export interface MeasuredStage {
  /** in the order of the stage's flows */
  readonly flows: readonly MeasuredFlow[];
  /** the transaction alone */
  readonly applyMs: number;
  readonly probeMs: number;
  /** of {@link MeasureOptions.held}, in order, once the stage's rules were in place */
  readonly held?: readonly HeldState[];
}

export interface MeasureOptions {
  /** by default bridges, where br_netfilter is there */
  readonly joining?: Joining | undefined;
  /** how long a probe without evidence is sent again */
  readonly patienceMs?: number;
  /** false: bridged packets go past the rules (bridge-nf-call off), which a test must notice */
  readonly filterBridged?: boolean;
  /** connections that are made in the first stage and stay open; `cut`: conntrack forgets them whenever rules change */
  readonly held?: { readonly flows: readonly Flow[]; readonly mode: 'keep' | 'cut' };
  /** what links are like; else they lose and delay nothing */
  readonly links?: readonly Link[];
  /** a shell command that enforces policies in place of rkt's own compiler; see enforcer.ts */
  readonly enforcer?: string;
}

const brNetfilter = '/proc/sys/net/bridge/bridge-nf-call-iptables';
const defaultPatienceMs = 3_000;
/** Long enough for TCP to have sent again. */
const heldPatienceMs = 700;
/** TCP sends again after 1, 3, 7, 15 s. */
const lossyPatienceMs = 20_000;
/** Without records of what was dropped, not to arrive takes this long: ten rounds of sending, none of them heard. */
const foreignPatienceMs = 300;

/** How pods are joined where nothing else is asked for. */
export const defaultJoining = (): Joining => (existsSync(brNetfilter) ? 'bridge' : 'routed');

/**
 * Runs the prober once for all stages. The namespaces are its own, and end with it.
 * @throws ERR_LAB_FEATURE (exit 4) when the kernel lacks what is needed, ERR_LAB_PROBER
 */
export function measure(stages: readonly Stage[], options: MeasureOptions = {}): MeasuredStage[] {
  const [first] = stages;
  if (first === undefined) return [];
  const joining = options.joining ?? defaultJoining();
  if (joining === 'bridge' && !existsSync(brNetfilter))
    throw new RuntimeError('ERR_LAB_FEATURE', 'this kernel has no br_netfilter: what is bridged cannot be filtered', {
      hint: 'modprobe br_netfilter, or leave the choice to rkt: pods are routed then',
      exitCode: 4,
    });
  const plan = new ProberPlan();
  const fixture = new Fixture(plan, joining, first.world, options.filterBridged ?? true, existsSync(brNetfilter), options.links);
  const rules = stages.map(({ world, flows, enforced = world }, index) => {
    const compiled = compilePolicies(enforced, { evidenceFlows: flows.length });
    // Rules are keyed by address and can be there before the pods: one that is created is isolated from its first packet (R43).
    plan.filter(encodeTable(options.enforcer === undefined ? compiled.table : observation(flows.length)));
    plan.evidence(tableName, evidenceSets);
    fixture.follow(world);
    if (options.enforcer !== undefined) plan.enforce(options.enforcer, enforcerInput(index === 0 ? 'ADD' : 'UPDATE', enforced, fixture));
    const loss = lossOf(options.links ?? [], world);
    if (loss !== undefined) plan.quietFilter(encodeTable(loss));
    if (options.held !== undefined && index > 0) {
      if (options.held.mode === 'cut') plan.flush();
      plan.tryHeld(heldPatienceMs);
    }
    const { probes, places } = distinct(fixture.probes(flows));
    plan.probe(
      probes,
      options.patienceMs ?? (options.enforcer !== undefined ? foreignPatienceMs : loss === undefined ? defaultPatienceMs : lossyPatienceMs),
    );
    if (options.held !== undefined && index === 0) plan.hold(fixture.probes(options.held.flows));
    return { keys: compiled.rules, places };
  });
  if (options.enforcer !== undefined) plan.enforce(options.enforcer, enforcerInput('DEL', stages.at(-1)?.world ?? first.world, fixture));
  const { batches, filterMs, held } = run(plan, options.enforcer !== undefined);
  return batches.map(({ answers, probeMs }, index) => {
    const { keys = [], places = [] } = rules[index] ?? {};
    const flows = answers.map(({ recorded, ...answer }): MeasuredFlow => ({
      ...answer,
      ...(options.enforcer === undefined ? { rules: rulesOf(recorded, keys) } : { rules: {}, unattributed: true }),
    }));
    return {
      flows: places.flatMap((place) => flows[place] ?? []),
      applyMs: filterMs[index] ?? 0,
      probeMs,
      ...(options.held === undefined ? {} : { held: held[index] ?? [] }),
    };
  });
}

/** Flows of ends that share an address (hostNetwork pods and the host) are one and the same on the wire: tried once. */
function distinct(lines: readonly ProbeLine[]): { readonly probes: readonly ProbeLine[]; readonly places: readonly number[] } {
  const probes: ProbeLine[] = [];
  const known = new Map<string, number>();
  const places = lines.map((line) => {
    const key = `${line.from} ${line.to} ${line.protocol} ${line.port}`;
    const place = known.get(key) ?? probes.push(line) - 1;
    known.set(key, place);
    return place;
  });
  return { probes, places };
}

function rulesOf(recorded: Answer['recorded'], rules: readonly string[]): MeasuredFlow['rules'] {
  const { egress, ingress } = { egress: rules[recorded.egress - 1], ingress: rules[recorded.ingress - 1] };
  return { ...(egress === undefined ? {} : { egress }), ...(ingress === undefined ? {} : { ingress }) };
}

/** What somebody's command finds its programs by. */
const ownEnvironment = (): Record<string, string> =>
  Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));

/** `isForeign`: it runs somebody's commands. */
function run(plan: ProberPlan, isForeign: boolean): Required<Omit<ReturnType<typeof readAnswers>, 'failure'>> {
  const path = join(__DIST__, 'lab/rkt-prober');
  const outcome = runProgram({
    path,
    argv: [path],
    env: isForeign ? ownEnvironment() : {},
    stdin: plan.bytes(),
    timeoutMs: 3_600_000,
    maxBytes: 1 << 30,
  });
  if (outcome.kind === 'interrupted') throw new RuntimeError('ERR_INTERRUPTED', 'the experiment was interrupted', { exitCode: 130 });
  if (outcome.kind === 'not-started') throw new RuntimeError('ERR_LAB_PROBER', `cannot start ${path}: ${outcome.reason}`);
  const { failure, ...answers } = readAnswers(outcome.stdout.toString());
  if (failure !== undefined) throw failureOf(failure, outcome.stderr.toString());
  if (outcome.kind !== 'exited' || outcome.status !== 0)
    throw new RuntimeError('ERR_LAB_PROBER', `the prober ended early (${outcome.kind})`, { details: [outcome.stderr.toString().trim()] });
  return answers;
}

/** What the prober's complaint means to who reads it. */
function failureOf(failure: string, said: string): RuntimeError {
  const feature = (what: string, hint: string): RuntimeError => new RuntimeError('ERR_LAB_FEATURE', `${what}: ${failure}`, { hint, exitCode: 4 });
  if (failure.startsWith('unshare') || failure.startsWith('user '))
    return feature(
      'network namespaces cannot be made',
      'run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)',
    );
  if (/^filter .*Message too long/.test(failure))
    return feature('the policies are too large for one transaction of an ordinary user', 'run as root, or raise net.core.wmem_max');
  if (/^(filter|netlink 12|evidence|flush)/.test(failure))
    return feature('nftables cannot be used', 'the kernel needs nf_tables with inet tables, and nf_conntrack');
  if (/^route .*No such file/.test(failure)) return feature('a rate cannot be set', 'the kernel needs tbf (NET_SCH_TBF)');
  if (/^route .*Operation not supported/.test(failure)) return feature('links cannot be made', 'the kernel needs bridge and veth');
  if (failure.startsWith('sysctl ')) return feature('a network setting cannot be made', '/proc/sys must be writable');
  if (failure.startsWith('enforcer '))
    return new RuntimeError('ERR_LAB_PROBER', failure, {
      details: said
        .trim()
        .split('\n')
        .slice(-20)
        .filter((line) => line !== ''),
      hint: 'it must end with status 0 once the rules are in force; src/lab/README.md has the protocol',
    });
  return new RuntimeError('ERR_LAB_PROBER', `the prober failed: ${failure}`);
}
