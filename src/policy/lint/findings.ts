/** What a person who reads the policies would ask about: legal, but hardly meant. */
import type { Source } from '../model/values.ts';

export type FindingCode =
  | 'no-dns'
  | 'selects-nothing'
  | 'peer-matches-nothing'
  | 'dash'
  | 'equal-priority'
  | 'policy-types'
  | 'named-port'
  | 'one-family'
  | 'never-hit'
  | 'never-reached'
  | 'note';

export interface Finding extends Source {
  readonly code: FindingCode;
  readonly text: string;
  /** the change that is proposed */
  readonly cure: string;
}

/** `file:line: text [code]`, and the proposed change below. */
export const findingText = ({ file, line, code, text, cure }: Finding): string => `${file}:${line}: ${text} [${code}]\n    ${cure}\n`;
