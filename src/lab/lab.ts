/** `rkt lab run`: an experiment's worlds, predicted and measured. */
import { createHash } from 'node:crypto';
import { release } from 'node:os';
import { flowsOf } from '../policy/decision/cells.ts';
import { worldsOf } from '../policy/decision/change.ts';
import { RuntimeError } from '../model/errors.ts';
import type { Experiment, Note, World } from '../policy/model/experiment.ts';
import { policyKey, ruleKey, type Policy } from '../policy/model/policy.ts';
import type { Joining } from './fixture.ts';
import { violationsOf } from './expectations.ts';
import { existingOf, openFlows } from './existing.ts';
import { type JudgedFlow, judge, outcomesOf, whyUnmeasured } from './judge.ts';
import { unsupportedOf } from './links.ts';
import { defaultJoining, measure, type MeasureOptions } from './measure.ts';
import { type LabResult, type ResultStep, isMismatch, isOtherRule, isWithoutEvidence } from './results.ts';

declare const __VERSION__: string;

export interface RunExperimentOptions extends MeasureOptions {
  /** what the kernel is given instead of a world's own policies; for tests that must find mismatches */
  readonly enforce?: (world: World) => World;
  /** what becomes of open connections that a change of policies denies: they live on, or are cut */
  readonly existing?: 'keep' | 'cut';
}

export { exitStatus } from './results.ts';
export { renderResult } from './text.ts';

/** Before the first step the experiment is as it was written. */
const firstStep = 'start';

/** An experiment's worlds on real packets, beside what was predicted. @throws ERR_LAB_FEATURE, ERR_LAB_PROBER */
export function runExperiment(experiment: Experiment, options: RunExperimentOptions = {}): LabResult {
  const { name, world, probes, steps, expect, skipped, notes } = experiment;
  const joining = options.joining ?? joiningOf(world);
  const worlds = worldsOf(world, steps);
  const flows = worlds.map((at) => flowsOf(at, probes).map((flow): JudgedFlow => ({ flow, unmeasured: whyUnmeasured(flow, at) })));
  const held = options.existing === undefined ? [] : openFlows(worlds, flows[0] ?? []);
  const measured = measure(
    worlds.map((at, index) => ({
      world: at,
      flows: (flows[index] ?? []).flatMap(({ flow, unmeasured }) => (unmeasured === undefined ? [flow] : [])),
      ...(options.enforce === undefined ? {} : { enforced: options.enforce(at) }),
    })),
    { links: experiment.links, ...options, joining, ...(options.existing === undefined ? {} : { held: { flows: held, mode: options.existing } }) },
  );
  const judged = worlds.map((at, index): ResultStep => {
    const step = index === 0 ? { name: firstStep, expect } : (steps[index - 1] ?? { name: '', expect: [] });
    const { flows: found = [], applyMs = 0, probeMs = 0 } = measured[index] ?? {};
    const cells = judge(at, flows[index] ?? [], found);
    return {
      name: step.name,
      policies: hashOf(at.policies),
      apply_ms: applyMs,
      probe_ms: probeMs,
      cells,
      violations: violationsOf(step.name, step.expect, at, outcomesOf(flows[index] ?? [], cells)),
    };
  });
  const cells = judged.flatMap((step) => step.cells);
  const count = (test: (cell: (typeof cells)[number]) => boolean): number => cells.filter(test).length;
  return {
    format: 'rkt-lab-result-1',
    name,
    ...(options.existing === undefined ? {} : { existing: existingOf(options.existing, held, worlds, judged, measured) }),
    environment: {
      kernel: release(),
      node: process.version,
      rkt: __VERSION__,
      user: process.geteuid?.() === 0 ? 'root' : 'ordinary',
      joining,
      sctp: 'INIT delivered',
      ...(options.enforcer === undefined ? {} : { enforcer: options.enforcer }),
    },
    steps: judged,
    rulesNeverHit: options.enforcer === undefined ? neverHit(worlds, judged) : [],
    skipped,
    notes: [...notes, ...unmeasuredParts(experiment)].map(({ text, cure, source: { file, line } }) => ({ text, cure, file, line })),
    summary: {
      cells: cells.length,
      measured: count((cell) => cell.measured !== null),
      mismatches: count(isMismatch),
      noEvidence: count(isWithoutEvidence),
      otherRule: count(isOtherRule),
      violations: judged.reduce((sum, { violations }) => sum + violations.length, 0),
    },
  };
}

/** All networks of an experiment are joined in one way. */
function joiningOf({ networks }: World): Joining {
  const other = networks.find(({ type }) => type === 'macvlan');
  if (other !== undefined)
    throw new RuntimeError('ERR_LAB_FEATURE', `network ${other.id}: what leaves a pod through macvlan is seen by no rule of the host`, {
      hint: 'measure with type bridge or ptp: policies mean the same there; rkt lab predict needs no packets',
      exitCode: 4,
    });
  return networks.every(({ type }) => type === 'ptp') ? 'routed' : defaultJoining();
}

/** What was read and is not part of what was measured. */
const unmeasuredParts = ({ links }: Experiment): Note[] =>
  links.flatMap((link) => {
    const missing = unsupportedOf(link);
    if (missing.length === 0) return [];
    return [
      {
        text: `packets were measured without the ${missing.join(' and ')} of this link, which is not supported`,
        cure: 'take it out of links',
        source: link.source,
      },
    ];
  });

/** Rules of all policies that were ever in force and that no packet was decided by: policy text that was not tried. */
function neverHit(worlds: readonly World[], steps: readonly ResultStep[]): string[] {
  const hit = new Set(steps.flatMap(({ cells }) => cells.flatMap(({ measured }) => [measured?.rules.egress, measured?.rules.ingress])));
  const policies = new Map(worlds.flatMap((world) => world.policies.map((policy) => [policyKey(policy), policy])));
  return [...policies.values()].flatMap(rulesOf).filter((key) => !hit.has(key));
}
const rulesOf = (policy: Policy): string[] =>
  policy.directions.flatMap((direction) =>
    policy[direction].filter(({ action }) => action !== 'Pass').map((rule) => ruleKey(policy, direction, rule)),
  );

const hashOf = (policies: readonly Policy[]): string =>
  createHash('sha256')
    .update(JSON.stringify(policies, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)))
    .digest('hex');
