/** Random clusters and policies: what is predicted against what packets do. Predictor and kernel share the parsed model only. */
import { isMismatch, isOtherRule, isWithoutEvidence } from '../results.ts';
import { type FuzzCase, type FuzzFinding, type TryOptions, isFinding, tryCases } from './cases.ts';
import { cluster } from './cluster.ts';
import { policies } from './policies.ts';
import { Random } from './random.ts';
import { shrink } from './shrink.ts';

export { textOf } from './cases.ts';
export { cellText } from '../text.ts';

export interface FuzzReport {
  /** tried; fewer than asked for when the first finding ends it */
  readonly cases: number;
  readonly cells: number;
  readonly denied: number;
  readonly mismatches: number;
  readonly noEvidence: number;
  readonly otherRule: number;
  /** the first one, made small */
  readonly finding?: FuzzFinding;
}
export interface FuzzOptions extends TryOptions {
  readonly seed: number;
  readonly count: number;
}

/** Cases in one fixture, with one cluster. */
const batchSize = 25;

function batchOf(seed: number, first: number, count: number): FuzzCase[] {
  const of = cluster(new Random(Math.imul(seed, 1_000_003) + first));
  return Array.from({ length: count }, (_, index) => {
    const number = first + index;
    return { number, cluster: of, policies: policies(new Random(Math.imul(seed, 7_919) + number), of) };
  });
}

/** Goes on until `count` cases are tried, or one has a finding. @throws ERR_LAB_FEATURE, ERR_LAB_PROBER */
export function fuzz({ seed, count, ...options }: FuzzOptions): FuzzReport {
  const totals = { cases: 0, cells: 0, denied: 0, mismatches: 0, noEvidence: 0, otherRule: 0 };
  while (totals.cases < count) {
    const cases = batchOf(seed, totals.cases, Math.min(batchSize, count - totals.cases));
    const results = tryCases(cases, options);
    const measured = results.flat().filter((cell) => cell.measured !== null);
    totals.cases += cases.length;
    totals.cells += measured.length;
    totals.denied += measured.filter((cell) => cell.predicted.verdict === 'deny').length;
    totals.mismatches += measured.filter(isMismatch).length;
    totals.noEvidence += measured.filter(isWithoutEvidence).length;
    totals.otherRule += measured.filter(isOtherRule).length;
    const index = results.findIndex((cells) => cells.some(isFinding));
    const found = cases[index];
    if (found !== undefined) return { ...totals, finding: shrink({ case: found, cells: results[index]?.filter(isFinding) ?? [] }, options) };
  }
  return totals;
}
