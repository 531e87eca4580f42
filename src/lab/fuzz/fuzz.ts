/** Random clusters and policies: what is predicted against what packets do. Predictor and kernel share the parsed model only. */
import { flowsOf } from '../../policy/decision/cells.ts';
import { readExperiment } from '../../policy/manifests/experiment.ts';
import type { World } from '../../policy/model/experiment.ts';
import { type JudgedFlow, judge, whyUnmeasured } from '../judge.ts';
import { measure, type MeasureOptions } from '../measure.ts';
import { type ResultCell, isMismatch, isOtherRule, isWithoutEvidence } from '../results.ts';
import { type FuzzCluster, cluster } from './cluster.ts';
import { type Manifest, policies } from './policies.ts';
import { Random } from './random.ts';

/** One experiment.yaml. */
export interface FuzzCase {
  readonly number: number;
  readonly cluster: FuzzCluster;
  readonly policies: readonly Manifest[];
}
export interface FuzzFinding {
  readonly case: FuzzCase;
  readonly cells: readonly ResultCell[];
}
export interface FuzzReport {
  readonly cases: number;
  readonly cells: number;
  readonly denied: number;
  readonly mismatches: number;
  readonly noEvidence: number;
  readonly otherRule: number;
  readonly findings: readonly FuzzFinding[];
}
export interface FuzzOptions extends MeasureOptions {
  readonly seed: number;
  readonly count: number;
  /** what the kernel is given instead; for tests that must find mismatches */
  readonly enforce?: (world: World) => World;
}

/** Cases in one fixture, with one cluster. */
const batchSize = 25;

/** The experiment.yaml of a case. */
export const textOf = ({ cluster: of, policies: manifests }: Pick<FuzzCase, 'cluster' | 'policies'>): string =>
  JSON.stringify({ ...of, policies: manifests });

function worldOf(one: FuzzCase): { world: World; flows: JudgedFlow[] } {
  const none = { files: [], expand: () => [], read: () => ({ fault: 'no files' }) };
  const { world, probes } = readExperiment({ name: `case ${one.number}`, experiment: { file: `case ${one.number}`, text: textOf(one) }, ...none });
  return { world, flows: flowsOf(world, probes).map((flow) => ({ flow, unmeasured: whyUnmeasured(flow, world) })) };
}

/** Cells of cases of one cluster, in one fixture. */
export function tryCases(cases: readonly FuzzCase[], options: Omit<FuzzOptions, 'seed' | 'count'> = {}): ResultCell[][] {
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

const isFinding = (cell: ResultCell): boolean => isMismatch(cell) || isWithoutEvidence(cell) || isOtherRule(cell);

/** @throws ERR_LAB_FEATURE, ERR_LAB_PROBER */
export function fuzz({ seed, count, ...options }: FuzzOptions): FuzzReport {
  const findings: FuzzFinding[] = [];
  const totals = { cells: 0, denied: 0, mismatches: 0, noEvidence: 0, otherRule: 0 };
  for (let first = 0; first < count; first += batchSize) {
    const of = cluster(new Random(seed * 1_000_003 + first));
    const cases = Array.from({ length: Math.min(batchSize, count - first) }, (_, index): FuzzCase => {
      const number = first + index;
      return { number, cluster: of, policies: policies(new Random(seed * 7_919 + number), of) };
    });
    for (const [index, cells] of tryCases(cases, options).entries()) {
      const one = cases[index];
      const measured = cells.filter((cell) => cell.measured !== null);
      totals.cells += measured.length;
      totals.denied += measured.filter((cell) => cell.predicted.verdict === 'deny').length;
      totals.mismatches += measured.filter(isMismatch).length;
      totals.noEvidence += measured.filter(isWithoutEvidence).length;
      totals.otherRule += measured.filter(isOtherRule).length;
      const found = cells.filter(isFinding);
      if (one !== undefined && found.length > 0) findings.push({ case: one, cells: found });
    }
  }
  return { cases: count, ...totals, findings };
}
