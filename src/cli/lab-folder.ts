/** What the commands of `rkt lab` share. */
import type { Experiment } from '../policy/model/experiment.ts';
import { RuntimeError, printable } from '../model/errors.ts';
import type { Joining } from '../lab/fixture.ts';
import type { Flag } from './command.ts';
import { note } from './output.ts';

/** The folder of a command that takes one. @throws ERR_CLI_USAGE */
export function folderOf(verb: string, operands: readonly string[]): string {
  const [dir] = operands;
  if (dir === undefined)
    throw new RuntimeError('ERR_CLI_USAGE', `rkt lab ${verb} needs the folder of an experiment`, {
      hint: 'a folder of Kubernetes manifests is one; - reads standard input',
    });
  return dir;
}

/** Says that lint has findings, and how to see them: what came from standard input cannot be read again. */
export function tellFindings(count: number, folder: string): void {
  if (count === 0) return;
  const things = count === 1 ? 'one thing' : `${count} things`;
  note(`${things} to look at${folder === '-' ? '' : `: rkt lab lint ${printable(folder)}`}`);
}

/** Says what was passed over, so that nobody takes it for read. */
export function tellSkipped({ skipped }: Pick<Experiment, 'skipped'>): void {
  const kinds = Object.entries(skipped);
  if (kinds.length > 0) note(`passed over: ${kinds.map(([kind, count]) => `${count} ${kind}`).join(', ')}`);
}

/** Where the rules sit: how pods are joined, so that the kernel shows the rules what they send. */
export const backendFlag = {
  type: 'string',
  value: 'BACKEND',
  choices: ['bridge', 'isolated', 'ptp'],
  default: 'as the networks say',
  help: 'where the rules sit: bridge (br_netfilter), isolated (ports of a bridge that only the host hears), ptp (routed links)',
} as const satisfies Flag;

/** What {@link backendFlag} says; nothing where it was not given. */
export const backendOf = (name: string | undefined): { readonly joining?: Joining } =>
  name === 'bridge' || name === 'isolated' ? { joining: name } : name === 'ptp' ? { joining: 'routed' } : {};

export const enforcerFlag = {
  type: 'string',
  value: 'COMMAND',
  help: "what enforces the policies instead of rkt's own rules: gets JSON on standard input, in the pods' router (src/lab/README.md)",
} as const satisfies Flag;
