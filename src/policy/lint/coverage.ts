/** Rules that nothing in the experiment is decided by. */
import type { Evaluator, Observer } from '../decision/evaluate.ts';
import type { Flow } from '../model/flow.ts';
import { ruleKey, type Policy, type Rule } from '../model/policy.ts';
import type { Direction } from '../model/values.ts';
import type { Finding } from './findings.ts';

/** Holds every rule against every connection of the experiment, with the host and what is outside. */
export function lintCoverage(evaluator: Evaluator, flows: readonly Flow[]): Map<Policy, Finding[]> {
  const decided = new Set<Rule>();
  const observer: Observer = { policy: () => undefined, rule: (_policy, _direction, rule, match) => match !== undefined && decided.add(rule) };
  for (const flow of flows) evaluator.decide(flow, observer);
  const all = new Map<Policy, Finding[]>();
  for (const policy of evaluator.world.policies) {
    const findings = (['ingress', 'egress'] as const).flatMap((direction) =>
      policy.directions.includes(direction)
        ? policy[direction].filter((rule) => !decided.has(rule)).flatMap((rule) => findingOf(evaluator, policy, direction, rule, flows))
        : [],
    );
    if (findings.length > 0) all.set(policy, findings);
  }
  return all;
}

function findingOf(evaluator: Evaluator, policy: Policy, direction: Direction, rule: Rule, flows: readonly Flow[]): Finding[] {
  if (rule.failsClosed !== undefined) return [];
  const isMatched = flows.some((flow) => evaluator.matches(policy, rule, direction, flow));
  const key = ruleKey(policy, direction, rule);
  // In a union it does not matter which rule allows: an overlap is no mistake.
  if (isMatched && policy.tier === 'networkpolicy') return [];
  return [
    isMatched
      ? {
          code: 'never-reached',
          text: `${key} is never reached: what comes before it decides all that it matches`,
          cure: 'put it before what covers it, or take it away',
          ...rule.source,
        }
      : {
          code: 'never-hit',
          text: `${key} matches no connection of the experiment`,
          cure: 'look at its peers and ports, or add a pod or a port that it is for',
          ...rule.source,
        },
  ];
}
