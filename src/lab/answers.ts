/** What rkt-prober answered, read. Pure. */
import type { Direction } from '../policy/model/values.ts';

/**
 * Why a verdict was given. `handshake` (TCP), `reply` (UDP), `delivered` (SCTP: the target saw the INIT, no association is made; UDP: it
 * arrived, its answer did not): allowed. `drop-record`: the kernel noted the flow where it dropped it. `not-delivered`
 * (rules of another enforcer): it was seen on its way, again and again, and never arrived. `none`: nothing is known.
 */
export type Evidence = 'handshake' | 'reply' | 'delivered' | 'drop-record' | 'not-delivered' | 'none';
export type MeasuredVerdict = 'allowed' | 'denied' | 'no-evidence';

export interface Answer {
  readonly verdict: MeasuredVerdict;
  readonly evidence: Evidence;
  /** numbers that the rules recorded, 0: none */
  readonly recorded: Readonly<Record<Direction, number>>;
  /** TCP's own measure; absent without a handshake */
  readonly rttUs?: number;
}
export interface Batch {
  readonly answers: readonly Answer[];
  readonly probeMs: number;
}
/** What became of a connection that was open: its pod may be gone. */
export type HeldState = 'kept' | 'cut' | 'gone';
export interface ProberAnswers {
  /** of connections that stay open: when they were made, then each time they were asked */
  readonly held: readonly (readonly HeldState[])[];
  /** of each transaction, in order: how long the kernel took */
  readonly filterMs: readonly number[];
  readonly batches: readonly Batch[];
  /** what the prober could not go on with; nothing behind it was done */
  readonly failure?: string;
}

const meanings: Readonly<Record<string, readonly [MeasuredVerdict, Evidence]>> = {
  H: ['allowed', 'handshake'],
  R: ['allowed', 'reply'],
  I: ['allowed', 'delivered'],
  d: ['allowed', 'delivered'],
  X: ['denied', 'drop-record'],
  S: ['denied', 'not-delivered'],
  '?': ['no-evidence', 'none'],
};

const heldStates: Readonly<Record<string, HeldState>> = { K: 'kept', C: 'cut', G: 'gone' };

function answerOf(line: string): Answer {
  const [letter = '', egress, ingress, rtt] = line.split(' ');
  const [verdict, evidence] = meanings[letter] ?? ['no-evidence', 'none'];
  const answer = { verdict, evidence, recorded: { egress: Number(egress), ingress: Number(ingress) } };
  return evidence === 'handshake' ? { ...answer, rttUs: Number(rtt) } : answer;
}

export function readAnswers(text: string): ProberAnswers {
  const lines = text.split('\n');
  const filterMs: number[] = [];
  const batches: Batch[] = [];
  const held: HeldState[][] = [];
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const [word, first = '', second] = line.split(' ');
    if (word === 'held') {
      const count = Number(first);
      held.push(lines.slice(at + 1, at + 1 + count).map((letter) => heldStates[letter] ?? 'cut'));
      at += count;
    }
    if (word === 'error') return { filterMs, batches, held, failure: line.slice(6) };
    if (word === 'filter') filterMs.push(Number(first) / 1000);
    if (word === 'batch') {
      const count = Number(first);
      batches.push({ answers: lines.slice(at + 1, at + 1 + count).map(answerOf), probeMs: Number(second) / 1000 });
      at += count;
    }
  }
  return { filterMs, batches, held };
}
