/** Random cases on real packets. */
import { flowsOf } from '../../policy/decision/cells.ts';
import { readExperiment } from '../../policy/manifests/experiment.ts';
import type { World } from '../../policy/model/experiment.ts';
import { type JudgedFlow, judge, whyUnmeasured } from '../judge.ts';
import { measure, type MeasureOptions } from '../measure.ts';
import { type ResultCell, isMismatch, isOtherRule, isWithoutEvidence } from '../results.ts';
import type { FuzzCluster } from './cluster.ts';
import type { Manifest } from './policies.ts';

/** One experiment.yaml. */
export interface FuzzCase {
  readonly number: number;
  readonly cluster: FuzzCluster;
  readonly policies: readonly Manifest[];
}
export interface FuzzFinding {
  readonly case: FuzzCase;
  /** those that are not as predicted, by verdict or by rule */
  readonly cells: readonly ResultCell[];
}
export interface TryOptions extends MeasureOptions {
  /** what the kernel is given instead of a world's own policies; for tests that must find mismatches */
  readonly enforce?: (world: World) => World;
}

/** The experiment.yaml of a case. */
export const textOf = ({ cluster, policies }: FuzzCase): string => JSON.stringify({ ...cluster, policies }, undefined, 2);

/** @throws ERR_LAB_INPUT when a policy is not valid */
export function worldOf(one: FuzzCase): { readonly world: World; readonly flows: readonly JudgedFlow[] } {
  const none = { files: [], expand: () => [], read: () => ({ fault: 'no files' }) };
  const { world, probes } = readExperiment({ name: `case ${one.number}`, experiment: { file: `case ${one.number}`, text: textOf(one) }, ...none });
  return { world, flows: flowsOf(world, probes).map((flow) => ({ flow, unmeasured: whyUnmeasured(flow, world) })) };
}

/** Cells of cases of one cluster, in one fixture. @throws ERR_LAB_FEATURE, ERR_LAB_PROBER */
export function tryCases(cases: readonly FuzzCase[], options: TryOptions = {}): ResultCell[][] {
  const worlds = cases.map(worldOf);
  const joining = cases[0]?.cluster.networks[0]?.type === 'ptp' ? 'routed' : undefined;
  const measured = measure(
    worlds.map(({ world, flows }) => ({
      world,
      flows: flows.flatMap(({ flow, unmeasured }) => (unmeasured === undefined ? [flow] : [])),
      ...(options.enforce === undefined ? {} : { enforced: options.enforce(world) }),
    })),
    { joining, ...options },
  );
  return worlds.map(({ world, flows }, index) => judge(world, flows, measured[index]?.flows ?? []));
}

export const isFinding = (cell: ResultCell): boolean => isMismatch(cell) || isWithoutEvidence(cell) || isOtherRule(cell);
