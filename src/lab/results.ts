/** What an experiment found: every cell with what was predicted, what packets did, and which rule decided. The shape of result.json (policy.md 5f). */
import type { Verdict } from '../policy/decision/evaluate.ts';
import type { Evidence, MeasuredVerdict } from './answers.ts';
import type { Violation } from './expectations.ts';
import type { Both, CellJson } from './prediction.ts';

export interface MeasuredCell {
  readonly verdict: Verdict | 'no-evidence';
  readonly evidence: Evidence;
  readonly rule: string | null;
  readonly rules: Both<string | null>;
  /** another enforcer's rules record nothing: which of them decided is not known */
  readonly unattributed?: true;
  /** TCP's own measure; null without a handshake */
  readonly rtt_us: number | null;
}
export interface ResultCell extends CellJson {
  /** null: not measured, since packets to oneself never leave (`loopback`), or the rules would have to tell ends apart that share one address (`hostNetwork`) */
  readonly measured: MeasuredCell | null;
  readonly unmeasured?: 'loopback' | 'hostNetwork';
}
export interface ResultStep {
  readonly name: string;
  /** SHA-256 of the policies in force */
  readonly policies: string;
  readonly apply_ms: number;
  readonly probe_ms: number;
  readonly cells: readonly ResultCell[];
  readonly violations: readonly Violation<ResultCell>[];
}
export interface Summary {
  readonly cells: number;
  readonly measured: number;
  readonly mismatches: number;
  readonly noEvidence: number;
  /** the verdict is as predicted, but another rule gave it */
  readonly otherRule: number;
  readonly violations: number;
}
/** Open connections over a change of rules (R29). */
export interface ExistingStep {
  readonly name: string;
  readonly kept: number;
  readonly cut: number;
  /** a pod of theirs is */
  readonly gone: number;
  /** `x/a → x/b TCP/80 was cut`: not as the mode says */
  readonly unexpected: readonly string[];
}
export interface Existing {
  readonly mode: 'keep' | 'cut';
  readonly steps: readonly ExistingStep[];
}
export interface LabResult {
  /** with --existing */
  readonly existing?: Existing;
  readonly format: 'rkt-lab-result-1';
  readonly name: string;
  readonly environment: Environment;
  readonly steps: readonly ResultStep[];
  /** rules that no probe hit, in any step */
  readonly rulesNeverHit: readonly string[];
  readonly skipped: Readonly<Record<string, number>>;
  readonly notes: readonly { readonly text: string; readonly cure: string; readonly file: string; readonly line: number }[];
  readonly summary: Summary;
}
export interface Environment {
  readonly kernel: string;
  readonly node: string;
  readonly rkt: string;
  readonly user: 'root' | 'ordinary';
  /** how pods were joined */
  readonly joining: string;
  readonly sctp: 'INIT delivered';
  /** whose rules were measured, when they are not rkt's own */
  readonly enforcer?: string;
}

/** Whether packets did other than was predicted. Without evidence nothing is said. */
export const isMismatch = ({ predicted, measured }: ResultCell): boolean =>
  measured !== null && measured.verdict !== 'no-evidence' && measured.verdict !== predicted.verdict;
export const isWithoutEvidence = ({ measured }: ResultCell): boolean => measured?.verdict === 'no-evidence';

/** Whether another rule than the predicted one decided, with the same outcome. A direction that packets did not reach is not asked. */
export function isOtherRule({ predicted, measured }: ResultCell): boolean {
  if (measured === null || measured.unattributed === true || measured.verdict !== predicted.verdict) return false;
  if (measured.verdict === 'deny') return measured.rule !== predicted.rule;
  return measured.rules.egress !== predicted.rules.egress || measured.rules.ingress !== predicted.rules.ingress;
}

export const verdictOf = (verdict: MeasuredVerdict): MeasuredCell['verdict'] =>
  verdict === 'allowed' ? 'allow' : verdict === 'denied' ? 'deny' : 'no-evidence';

/** 0 as predicted; 1 mismatch or violated expectation; 3 cells without evidence (5f). */
export const exitStatus = ({ mismatches, violations, noEvidence }: Summary): number => (mismatches + violations > 0 ? 1 : noEvidence > 0 ? 3 : 0);
