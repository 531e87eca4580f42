/** What is wrong with what somebody wrote: all of it at once, each with its place. */
import { RuntimeError, printable } from '../../model/errors.ts';
import type { Note } from '../model/experiment.ts';
import type { Source } from '../model/values.ts';

export interface Fault extends Source {
  /** `spec.ingress[0].ports[0].endPort`; '' when it is about the file or document */
  readonly field: string;
  readonly message: string;
}

/** `web.yaml:12: spec.ingress[0].ports[0].port: 70000 is no port` */
export const faultText = ({ file, line, field, message }: Fault): string =>
  printable(`${file}:${line}: ${field === '' ? '' : `${field}: `}${message}`);

/** How many faults of one experiment are told: the rest is a number. */
const mostTold = 1000;

/** Exit status of everything that is about what the user wrote. @see policy.md 5f */
export const badInputStatus = 2;

/** Collects; never throws by itself. */
export class Faults {
  readonly list: Fault[] = [];
  /** what is legal, but hardly meant */
  readonly notes: Note[] = [];
  add(source: Source, field: string, message: string): void {
    this.list.push({ file: source.file, line: source.line, field, message });
  }
  /** @throws ERR_LAB_INPUT with every fault, sorted by place, when there is one */
  throwIfAny(what: string): void {
    if (this.list.length === 0) return;
    const texts = [...new Set([...this.list].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line)).map(faultText))];
    const more = texts.length - mostTold;
    throw new RuntimeError('ERR_LAB_INPUT', `${texts.length === 1 ? '1 fault' : `${texts.length} faults`} in ${what}`, {
      details: more > 0 ? [...texts.slice(0, mostTold), `and ${more} more`] : texts,
      exitCode: badInputStatus,
    });
  }
}
