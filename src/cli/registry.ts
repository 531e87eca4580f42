/** Every command, loaded when it is used. One line a command. */
import { RuntimeError } from '../model/errors.ts';
import { didYouMean } from '../model/ids.ts';
import type { AnyCommand } from './command.ts';

const load = async (module: Promise<{ command: unknown }>): Promise<AnyCommand> => (await module).command as AnyCommand;

export const commands: Readonly<Record<string, () => Promise<AnyCommand>>> = {
  run: () => load(import('./commands/run.ts')),
  fetch: () => load(import('./commands/fetch.ts')),
  list: () => load(import('./commands/list.ts')),
  status: () => load(import('./commands/status.ts')),
  stop: () => load(import('./commands/stop.ts')),
  enter: () => load(import('./commands/enter.ts')),
  rm: () => load(import('./commands/rm.ts')),
  gc: () => load(import('./commands/gc.ts')),
  cp: () => load(import('./commands/cp.ts')),
  export: () => load(import('./commands/export.ts')),
  'cat-manifest': () => load(import('./commands/cat-manifest.ts')),
  'image list': () => load(import('./commands/image-list.ts')),
  'image fetch': () => load(import('./commands/fetch.ts')),
  'image inspect': () => load(import('./commands/image-inspect.ts')),
  'image history': () => load(import('./commands/image-history.ts')),
  'image cat-manifest': () => load(import('./commands/image-cat-manifest.ts')),
  'image export': () => load(import('./commands/image-export.ts')),
  'image extract': () => load(import('./commands/image-extract.ts')),
  'image render': () => load(import('./commands/image-render.ts')),
  'image convert': () => load(import('./commands/image-convert.ts')),
  'image verify': () => load(import('./commands/image-verify.ts')),
  'image rm': () => load(import('./commands/image-rm.ts')),
  'image gc': () => load(import('./commands/image-gc.ts')),
  'net list': () => load(import('./commands/net-list.ts')),
  'net plan': () => load(import('./commands/net-plan.ts')),
  'net inspect': () => load(import('./commands/net-inspect.ts')),
  'net status': () => load(import('./commands/net-status.ts')),
  'net explain': () => load(import('./commands/net-explain.ts')),
  'net add': () => load(import('./commands/net-add.ts')),
  'net check': () => load(import('./commands/net-check.ts')),
  'net del': () => load(import('./commands/net-del.ts')),
  'net gc': () => load(import('./commands/net-gc.ts')),
  'net create': () => load(import('./commands/net-create.ts')),
  'net rm': () => load(import('./commands/net-rm.ts')),
  'net connect': () => load(import('./commands/net-connect.ts')),
  'net disconnect': () => load(import('./commands/net-disconnect.ts')),
  'net diagram': () => load(import('./commands/net-diagram.ts')),
  'net capture': () => load(import('./commands/net-capture.ts')),
  'net repair': () => load(import('./commands/net-repair.ts')),
  'net policy': () => load(import('./commands/net-policy.ts')),
  'net conform': () => load(import('./commands/net-conform.ts')),
  'lab predict': () => load(import('./commands/lab-predict.ts')),
  'lab explain': () => load(import('./commands/lab-explain.ts')),
  'lab lint': () => load(import('./commands/lab-lint.ts')),
  'lab run': () => load(import('./commands/lab-run.ts')),
  'lab suite': () => load(import('./commands/lab-suite.ts')),
  'lab fuzz': () => load(import('./commands/lab-fuzz.ts')),
  trust: () => load(import('./commands/trust.ts')),
  config: () => load(import('./commands/config.ts')),
  version: () => load(import('./commands/version.ts')),
};

/** Groups: words that only begin a command. */
const groups = new Set(Object.keys(commands).flatMap((name) => (name.includes(' ') ? [name.split(' ')[0] ?? ''] : [])));

/** The group that `word`, or a unique prefix of it, means; undefined: none. */
export function findGroup(word: string): string | undefined {
  const first = expand(word, firstWords(), '');
  return groups.has(first) ? first : undefined;
}

/** Of a group whose commands' statuses mean something: what is wrong with what the user wrote, its words included, is one of them. */
const usageStatuses: Readonly<Record<string, number>> = { lab: 2 };

/** The exit status when `words` make no sense, where the group that they begin with has one of its own. */
export function usageStatusOf([word = '']: readonly string[]): number | undefined {
  const [group = '', other] = matchesOf(word, firstWords());
  return other === undefined ? usageStatuses[group] : undefined;
}

/**
 * Finds the command that `words` begin with; any unique prefix of a word will do (`rkt li`, `rkt net pl`).
 * @returns its full name and how many words it took
 * @throws ERR_CLI_UNKNOWN_COMMAND
 */
export function findCommand(words: readonly string[]): { name: string; words: number } {
  const first = expand(words[0] ?? '', firstWords(), '');
  if (!groups.has(first)) return { name: first, words: 1 };
  const members = Object.keys(commands)
    .filter((name) => name.startsWith(`${first} `))
    .map((name) => name.slice(first.length + 1));
  if (words[1] === undefined || words[1].startsWith('-')) {
    throw new RuntimeError('ERR_CLI_UNKNOWN_COMMAND', `rkt ${first} needs one of: ${members.join(', ')}`, { hint: `rkt help ${first} says more` });
  }
  return { name: `${first} ${expand(words[1], members, `${first} `)}`, words: 2 };
}

const firstWords = (): string[] => [...new Set(Object.keys(commands).map((name) => name.split(' ')[0] ?? ''))];

/** What a word, or its beginning, can mean. */
const matchesOf = (word: string, candidates: readonly string[]): readonly string[] =>
  candidates.includes(word) ? [word] : candidates.filter((candidate) => word !== '' && candidate.startsWith(word));

function expand(word: string, candidates: readonly string[], group: string): string {
  const matches = matchesOf(word, candidates);
  if (matches.length === 1 && matches[0] !== undefined) return matches[0];
  if (matches.length > 1) throw new RuntimeError('ERR_CLI_UNKNOWN_COMMAND', `"rkt ${group}${word}" could be ${matches.join(' or ')}`);
  const near = didYouMean(word, candidates);
  throw new RuntimeError('ERR_CLI_UNKNOWN_COMMAND', `unknown command "rkt ${group}${word}"`, {
    hint: near === undefined ? 'rkt help lists the commands' : `did you mean "rkt ${group}${near}"?`,
  });
}
