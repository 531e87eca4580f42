/** `rkt net policy`: what is in force beside what pods bring, and what it does to running pods. */
import { createHash } from 'node:crypto';
import { findFlows } from '../lab/question.ts';
import { RuntimeError } from '../model/errors.ts';
import { didYouMean } from '../model/ids.ts';
import type { Settings } from '../model/settings.ts';
import { counterOf } from '../policy/compile/compile.ts';
import { Evaluator } from '../policy/decision/evaluate.ts';
import { explain, type Explanation } from '../policy/decision/explain.ts';
import { policySetFrom, policySetText } from '../policy/model/json.ts';
import { policyKey } from '../policy/model/policy.ts';
import { nameInWorld } from '../policy/running/world.ts';
import { appliedTexts, removeApplied, writeApplied } from '../state/policy/store.ts';
import { changePolicies, policyState } from './policy.ts';
import { readPolicies } from './policy-files.ts';

const fileOf = (key: string): string => createHash('sha256').update(key).digest('hex').slice(0, 32);

/** Puts the policies of a folder, a file or `-` in force, in place of those of the same names. @returns their keys @throws ERR_LAB_INPUT */
export function applyPolicies({ dataDir }: Settings, path: string): string[] {
  const { policies, namespaces } = readPolicies(path);
  changePolicies(dataDir, () => {
    for (const policy of policies) writeApplied(dataDir, fileOf(policyKey(policy)), policySetText({ policies: [policy], namespaces: [] }));
    for (const namespace of namespaces)
      writeApplied(dataDir, fileOf(`Namespace ${namespace.name}`), policySetText({ policies: [], namespaces: [namespace] }));
  });
  return policies.map(policyKey);
}

/** A policy in force. */
export interface PolicyInForce {
  readonly key: string;
  /** where it is written */
  readonly file: string;
  readonly line: number;
  /** `applied`, or the pods that brought it (`ns/name`) */
  readonly by: readonly string[];
}
/** A pod that takes part. */
export interface PodInPolicies {
  readonly name: string;
  readonly uuid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ips: readonly string[];
}

export function listPolicies({ dataDir }: Settings): { readonly policies: PolicyInForce[]; readonly pods: PodInPolicies[] } {
  const { pods, world } = policyState(dataDir);
  const applied = new Set(appliedTexts(dataDir).flatMap(({ text }) => policySetFrom(text).policies.map(policyKey)));
  const bringers = new Map<string, string[]>();
  for (const { namespace, name, brought } of pods)
    for (const key of policySetFrom(brought).policies.map(policyKey)) bringers.set(key, [...(bringers.get(key) ?? []), `${namespace}/${name}`]);
  return {
    policies: world.policies.map((policy) => {
      const key = policyKey(policy);
      return { key, ...policy.source, by: applied.has(key) ? ['applied'] : (bringers.get(key) ?? []) };
    }),
    pods: pods.map(({ namespace, name, id, labels, interfaces }) => ({
      name: `${namespace}/${name}`,
      uuid: id,
      labels,
      ips: interfaces.flatMap(({ ips }) => ips),
    })),
  };
}

/** `text`: `shop/db`, `db` when there is one of that name, or with its kind in front. @returns the key @throws ERR_POLICY_NOT_FOUND */
export function removePolicy({ dataDir }: Settings, text: string): string {
  const applied = appliedTexts(dataDir).flatMap(({ name, text: set }) =>
    policySetFrom(set).policies.map((policy) => ({ name, policy, key: policyKey(policy) })),
  );
  const found = applied.filter(({ key, policy }) => key === text || key.endsWith(` ${text}`) || policy.name === text);
  const [only] = found;
  if (only === undefined || found.length > 1) {
    const near = didYouMean(
      text,
      applied.flatMap(({ key }) => key.split(' ').at(-1) ?? []),
    );
    const brought = listPolicies({ dataDir } as Settings).policies.find(({ key }) => key === text || key.endsWith(` ${text}`));
    throw new RuntimeError(
      'ERR_POLICY_NOT_FOUND',
      found.length > 1 ? `${text} could be ${found.map(({ key }) => key).join(' or ')}` : `no policy ${text} was applied`,
      {
        hint:
          brought !== undefined
            ? `${brought.by.join(', ')} brought it: it goes with the pod`
            : near === undefined
              ? 'rkt net policy list shows what is in force'
              : `did you mean ${near}?`,
      },
    );
  }
  changePolicies(dataDir, () => removeApplied(dataDir, only.name));
  return only.key;
}

/** Why two running pods (or an address, or the host) may or may not talk, and how often the kernel decided so. */
export interface RunningExplanation extends Explanation {
  readonly counters: readonly { readonly rule: string; readonly packets: number; readonly bytes: number }[];
}

/** @throws ERR_LAB_INPUT for an end or port that is not there */
export function explainRunning({ dataDir }: Settings, from: string, to: string, port: string): RunningExplanation[] {
  const { pods, world, counters } = policyState(dataDir);
  const evaluator = new Evaluator(world);
  return findFlows(world, nameInWorld(pods, from), nameInWorld(pods, to), port).map((flow) => {
    const explanation = explain(evaluator, flow);
    const rules = explanation.directions.flatMap(({ decidedBy }) => (decidedBy === undefined ? [] : [decidedBy.key]));
    return {
      ...explanation,
      counters: rules.flatMap((rule) => {
        const counter = counters.find(({ name }) => name === counterOf(rule));
        return counter === undefined ? [] : [{ rule, packets: Number(counter.packets), bytes: Number(counter.bytes) }];
      }),
    };
  });
}
