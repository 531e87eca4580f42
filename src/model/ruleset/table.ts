/** A table of nftables as one value: made whole, put in place whole. For rulesets that are computed; what comes and goes with attachments is in ../ruleset.ts. */
import type { FieldType } from '../ruleset.ts';
import type { Chain } from './skeleton.ts';

/** `mark`: 32 bits in host byte order; here a number of ours in a key. */
export type KeyField = FieldType | 'mark';

export interface TableSet {
  readonly name: string;
  readonly key: readonly KeyField[];
  /** a map: what its elements lead to is jumped to */
  readonly verdicts?: boolean;
  /** rules add to it; room for this many */
  readonly dynamicSize?: number;
  readonly elements: readonly TableElement[];
}
/** Fields of a key are padded to four bytes each. */
export interface TableElement {
  readonly key: Uint8Array;
  readonly chain?: string;
}

/** What a rule has counted; rules name it (`count`). */
export interface TableCounter {
  readonly name: string;
  readonly packets: bigint;
  readonly bytes: bigint;
}

export interface TableValue {
  /** `bridge` sees what a bridge forwards, whatever is above it; conntrack is not to be had there. Absent: `inet` */
  readonly family?: 'inet' | 'bridge';
  readonly name: string;
  /** where they begin */
  readonly counters?: readonly TableCounter[];
  readonly comment: string;
  readonly sets: readonly TableSet[];
  readonly chains: readonly Chain[];
}
