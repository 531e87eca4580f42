/** Looks for the mistakes that people make, in every world of an experiment. */
import { worldsOf } from '../decision/change.ts';
import { flowsOf } from '../decision/cells.ts';
import { Evaluator } from '../decision/evaluate.ts';
import type { Experiment, World } from '../model/experiment.ts';
import type { Policy } from '../model/policy.ts';
import { lintCoverage } from './coverage.ts';
import type { Finding, FindingCode } from './findings.ts';
import { lintDash, lintDns, lintFamilies, lintPolicyTypes } from './policies.ts';
import { lintNamedPorts, lintPeers, lintPriorities, lintSubject } from './selectors.ts';

/** Told only if they hold whenever the policy is there: a step may bring what is missing. */
const mustHoldAlways: ReadonlySet<FindingCode> = new Set<FindingCode>([
  'selects-nothing',
  'peer-matches-nothing',
  'never-hit',
  'never-reached',
  'named-port',
  'no-dns',
]);

/** Most connections that rules are held against: beyond, who asks waits for seconds. */
const mostFlows = 1_000_000;

/** @returns findings by place, each once */
export function lint(experiment: Experiment): Finding[] {
  const worlds = worldsOf(experiment.world, experiment.steps);
  const seen = new Map<string, { finding: Finding; worlds: number; policy: Policy }>();
  for (const world of worlds) {
    for (const { finding, policy } of lintWorld(world, experiment)) {
      const key = `${finding.file}:${finding.line}:${finding.code}:${finding.text}`;
      const before = seen.get(key);
      seen.set(key, { finding, worlds: (before?.worlds ?? 0) + 1, policy });
    }
  }
  const found = [...seen.values()]
    .filter(
      ({ finding, worlds: count, policy }) =>
        !mustHoldAlways.has(finding.code) || count === worlds.filter(({ policies }) => policies.includes(policy)).length,
    )
    .map(({ finding }) => finding);
  const notes = experiment.notes.map(({ text, cure, source }): Finding => ({ code: 'note', text, cure, ...source }));
  return [...notes, ...found].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line));
}

interface Found {
  readonly finding: Finding;
  readonly policy: Policy;
}

function lintWorld(world: World, experiment: Experiment): Found[] {
  const evaluator = new Evaluator(world);
  const flows = flowsOf(world, { ...experiment.probes, from: ['host', 'outside'] });
  const coverage = flows.length > mostFlows ? new Map<Policy, Finding[]>() : lintCoverage(evaluator, flows);
  return world.policies.flatMap((policy) =>
    [
      ...lintSubject(world, policy),
      ...lintPeers(world, policy),
      ...lintNamedPorts(world, policy),
      ...lintPriorities(world, policy),
      ...lintDash(policy),
      ...lintPolicyTypes(policy),
      ...lintDns(world, policy),
      ...lintFamilies(world, policy),
      ...(coverage.get(policy) ?? []),
    ].map((finding) => ({ finding, policy })),
  );
}
