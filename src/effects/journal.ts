/**
 * The write-ahead journal of one pod: one JSON record a line, appended by a single pwrite(2).
 *
 * | record | written | means |
 * |---|---|---|
 * | `intent` | before a step runs | its effect may exist, whole or in part |
 * | `done` | after it ran | its effect exists; `output` is what undo may need |
 * | `undone` | after its undo | nothing of it is left |
 * | `abandoned` | when somebody gave up undoing it | something may be left, and nobody tries again |
 * | `kept` | after a failed undo, or before that of a step of a running pod | something may be left; the next gc tries again |
 *
 * What a record describes lives in the kernel and dies with the boot, so no record is fsynced; the one
 * exception is {@link Journal.sync}, before the first step that leaves something on disk. A torn last line (power loss, disk full)
 * is cut off: the effect it would have announced was not begun.
 * @see DESIGN 3; cni.md H2
 */
import { closeSync, constants, ftruncateSync, fstatSync, openSync, writeSync } from 'node:fs';
import { readText, writeAtomic } from '../host/files.ts';
import { fdatasync } from '../host/linux.ts';
import { RuntimeError, diskHint, messageOf } from '../model/errors.ts';
import type { Step, StepOutputs } from './steps.ts';

export type Output = StepOutputs[keyof StepOutputs];
export type JournalRecord =
  | { readonly at: 'intent'; readonly n: number; readonly boot: string; readonly step: Step }
  | { readonly at: 'done'; readonly n: number; readonly output: Output }
  | { readonly at: 'undone'; readonly n: number }
  | { readonly at: 'abandoned'; readonly n: number; readonly error: string }
  | { readonly at: 'kept'; readonly n: number; readonly error: string };

/** One step as the journal knows it. */
export interface Entry {
  readonly n: number;
  readonly boot: string;
  readonly step: Step;
  /** undefined: it never finished */
  output: Output | undefined;
  finished: boolean;
  /** or given up */
  undone: boolean;
  /** an undo was begun, or failed, and has not been done since */
  kept: boolean;
}

/** A pod whose effects are not known any more. */
export const journalDamage = (message: string, cause?: unknown): RuntimeError =>
  new RuntimeError('ERR_JOURNAL_CORRUPT', message, {
    cause,
    hint: 'the pod is kept: restore the journal, or rkt rm --force UUID undoes what net/plan.json in its directory says and gives up the rest',
  });

/** Parses the text of a journal. @throws ERR_JOURNAL_CORRUPT for a damaged record that is not the torn last line */
export function parseJournal(text: string, path: string): Entry[] {
  const entries: Entry[] = [];
  const lines = text.split('\n');
  lines.pop(); // after the last newline: empty, or torn
  for (const [index, line] of lines.entries()) {
    const damaged = (why: string, cause?: unknown): RuntimeError => journalDamage(`journal ${path}: line ${index + 1} ${why}`, cause);
    let record: JournalRecord;
    try {
      record = JSON.parse(line) as JournalRecord;
    } catch (cause) {
      throw damaged('is not JSON', cause);
    }
    if (record.at === 'intent') {
      if (record.n !== entries.length) throw damaged(`announces step ${record.n}, expected ${entries.length}`);
      entries.push({ n: record.n, boot: record.boot, step: record.step, output: undefined, finished: false, undone: false, kept: false });
      continue;
    }
    const entry = entries[record.n];
    if (entry === undefined) throw damaged(`speaks of step ${record.n}, which was never announced`);
    if (record.at === 'done') {
      entry.finished = true;
      entry.output = record.output;
    } else if (record.at === 'undone' || record.at === 'abandoned') {
      entry.undone = true;
    } else {
      entry.kept = true;
    }
  }
  return entries;
}

/** Entries of a pod's journal; none when there is no journal. */
export const readJournal = (path: string): Entry[] => parseJournal(readText(path) ?? '', path);

export class Journal implements Disposable {
  readonly entries: Entry[];
  readonly #fd: number;
  #length: number;
  #synced = false;

  private constructor(
    readonly path: string,
    readonly boot: string,
    fd: number,
    entries: Entry[],
    length: number,
  ) {
    this.#fd = fd;
    this.entries = entries;
    this.#length = length;
  }

  /** Opens (or begins) a journal for appending. `boot`: this boot's id. */
  static open(path: string, boot: string): Journal {
    const text = readText(path) ?? '';
    const entries = parseJournal(text, path);
    const whole = Buffer.byteLength(text.slice(0, text.lastIndexOf('\n') + 1));
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o640);
    if (fstatSync(fd).size > whole) ftruncateSync(fd, whole);
    return new Journal(path, boot, fd, entries, whole);
  }

  /** Puts a journal in place of a damaged one, whole or not at all: the effects of `steps` may exist. */
  static replace(path: string, boot: string, steps: readonly Step[]): void {
    const records = steps.map((step, n): JournalRecord => ({ at: 'intent', n, boot, step }));
    writeAtomic(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  }

  /** @returns the number of the step */
  intent(step: Step): number {
    const n = this.entries.length;
    this.#append({ at: 'intent', n, boot: this.boot, step });
    this.entries.push({ n, boot: this.boot, step, output: undefined, finished: false, undone: false, kept: false });
    return n;
  }

  done(n: number, output: Output): void {
    this.#append({ at: 'done', n, output });
    const entry = this.#entry(n);
    entry.finished = true;
    entry.output = output;
  }

  undone(n: number): void {
    this.#entry(n).undone = true;
    this.#append({ at: 'undone', n });
  }

  /** @param error - why it could not be undone */
  abandoned(n: number, error: string): void {
    this.#entry(n).undone = true;
    this.#append({ at: 'abandoned', n, error });
  }

  kept(n: number, error: string): void {
    this.#entry(n).kept = true;
    this.#append({ at: 'kept', n, error });
  }

  /** Puts everything written so far on the platter; once. */
  sync(): void {
    if (this.#synced) return;
    fdatasync(this.#fd);
    this.#synced = true;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #entry(n: number): Entry {
    const entry = this.entries[n];
    if (entry === undefined) throw new Error(`journal ${this.path} has no step ${n}`);
    return entry;
  }

  #append(record: JournalRecord): void {
    const bytes = Buffer.from(`${JSON.stringify(record)}\n`);
    try {
      // On a disk that fills up the first write may be short; the next one says why.
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at, bytes.length - at, this.#length + at);
    } catch (cause) {
      // A full disk may have taken part of the line: cut it, so that the next record does not glue to it.
      ftruncateSync(this.#fd, this.#length);
      throw new RuntimeError('ERR_POD_IO', `cannot write journal ${this.path}: ${messageOf(cause)}`, { cause, ...diskHint(cause) });
    }
    this.#length += bytes.length;
  }
}
