/** What gc and rm could not undo, as people read it. */
import type { SweepEvent } from '../../gc/sweep.ts';
import { printable } from '../../model/errors.ts';

const lines = (texts: readonly string[]): string => texts.map((text) => `  - ${text}\n`).join('');

/** Kept for another try. */
export function keptText({ what, reasons, pod }: Extract<SweepEvent, { kind: 'failed' }>): string {
  const force = pod === undefined ? '' : `; rkt rm --force ${pod.slice(0, 8)} gives up what cannot be undone`;
  return printable(`gc: ${what} is kept, something of it is left:\n${lines(reasons)}hint: cure the cause; the next rkt gc tries again${force}\n`);
}

/** Forgotten, because somebody said so. */
export function givenUp({ id, reasons, left }: Extract<SweepEvent, { kind: 'abandoned' }>): string {
  const seen = left.length === 0 ? 'nothing of it can be seen from here; what a plugin keeps elsewhere is its own\n' : `still there:\n${lines(left)}`;
  return printable(`warning: pod "${id}" is removed by force, and this could not be undone:\n${lines(reasons)}${seen}`);
}
