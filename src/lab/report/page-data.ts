/** What a report's page is given: everything once, the rest by number, so that the file stays small. Types only. */

export type Verdict = 'allow' | 'deny';

/** An end of connections: a pod, or who is none. */
export interface PartyData {
  readonly name: string;
  /** '' : no pod */
  readonly namespace: string;
}
/** What a party is like in a step; the same in many steps, mostly. */
export interface TraitsData {
  readonly labels: string;
  readonly ips: readonly string[];
  readonly ports: readonly string[];
}
/** One family of addresses on one network. */
export interface LaneData {
  readonly family: number;
  readonly network: string;
}
/** What can decide: a rule, or the isolation of a policy ("selected, but no rule matched"). */
export interface RuleData {
  readonly key: string;
  readonly file: string;
  readonly line: number;
  /** in words; '' when only the result is known */
  readonly text: string;
  /** of an isolation: what the policy allows, in words */
  readonly allows?: readonly string[];
}
/** One direction of one connection. */
export interface HalfData {
  readonly verdict: Verdict;
  readonly reason: string;
  /** number of a rule */
  readonly rule?: number;
  /** further lines that made the rule match: of its peer and port */
  readonly lines?: readonly number[];
}
/** How a connection came out; many came out alike. */
export interface OutcomeData {
  readonly verdict: Verdict;
  readonly egress: HalfData;
  readonly ingress: HalfData;
  readonly ambiguous?: readonly string[];
  readonly unmeasured?: 'loopback' | 'hostNetwork';
  readonly measured?: {
    readonly verdict: Verdict | 'no-evidence';
    readonly evidence: string;
    readonly egress: string | null;
    readonly ingress: string | null;
  };
}
export interface ExpectationData {
  readonly text: string;
  readonly file: string;
  readonly line: number;
  readonly met: boolean;
  /** cells that are otherwise, in words, the first of them */
  readonly cells: readonly string[];
}
export interface StepData {
  readonly name: string;
  /** what was done before this matrix, in words, with places */
  readonly changes: readonly { readonly text: string; readonly file: string; readonly line: number }[];
  /** of each connection the number of its outcome, -1: not asked */
  readonly outcomes: readonly number[];
  /** of each party the number of its traits, -1: not there */
  readonly traits: readonly number[];
  readonly expectations: readonly ExpectationData[];
  readonly applyMs?: number;
  readonly probeMs?: number;
}
export interface ReportData {
  readonly name: string;
  /** `diff`: steps are two experiments, in pairs */
  readonly kind: 'measured' | 'predicted' | 'diff';
  readonly version: string;
  readonly environment: readonly string[];
  readonly parties: readonly PartyData[];
  readonly traits: readonly TraitsData[];
  readonly ports: readonly string[];
  readonly lanes: readonly LaneData[];
  readonly rules: readonly RuleData[];
  readonly outcomes: readonly OutcomeData[];
  /** four numbers each: from, to, port, lane */
  readonly connections: readonly number[];
  readonly steps: readonly StepData[];
  /** texts that rules are written in */
  readonly files: readonly { readonly file: string; readonly text: string }[];
  readonly findings: readonly { readonly text: string; readonly cure: string; readonly file: string; readonly line: number }[];
  readonly neverHit: readonly { readonly key: string; readonly file: string; readonly line: number }[];
}
