/**
 * argv → invocation. rkt's grammar: flags stop at the first operand; with images, each image may be followed
 * by flags of its own, by the command's, and, behind `--`, by arguments that a lone `---` ends. @see rkt.md 1.3
 */
import yargsParser from 'yargs-parser';
import { RuntimeError } from '../model/errors.ts';
import { didYouMean } from '../model/ids.ts';
import { globalFlags, type AnyCommand, type Flags, type FlagValues, type ImageArgument, type Invocation } from './command.ts';

interface Segment {
  readonly values: Record<string, unknown>;
  /** tokens from the first operand on */
  readonly remaining: string[];
}

/** Reads flags up to the first operand or `--`. @throws ERR_CLI_USAGE naming every fault of the segment */
function readFlags(command: string, flags: Flags, tokens: readonly string[]): Segment {
  const names = Object.keys(flags);
  const ofType = (type: string): string[] => names.filter((name) => flags[name]?.type === type);
  const end = tokens.indexOf('--');
  const head = (end < 0 ? tokens : tokens.slice(0, end)).map((token) => normalise(token, flags));
  const parsed = yargsParser(head, {
    boolean: ofType('boolean'),
    string: [...ofType('string'), ...ofType('list')],
    alias: Object.fromEntries(names.flatMap((name) => (flags[name]?.short === undefined ? [] : [[name, [flags[name].short]]]))),
    configuration: {
      'halt-at-non-option': true,
      'strip-aliased': true,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'boolean-negation': false,
      'short-option-groups': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
    },
  });
  const faults: string[] = [];
  const values: Record<string, unknown> = {};
  for (const name of names) values[name] = flags[name]?.type === 'list' ? [] : flags[name]?.type === 'boolean' ? false : undefined;
  for (const [name, value] of Object.entries(parsed)) {
    if (name === '_') continue;
    const flag = flags[name];
    if (flag === undefined) {
      const near = didYouMean(name, names);
      faults.push(`unknown flag --${name}${near === undefined ? '' : ` (did you mean --${near}?)`}`);
      continue;
    }
    const list = (Array.isArray(value) ? value : [value]) as unknown[];
    if (flag.type === 'boolean') {
      values[name] = list.at(-1) === true || list.at(-1) === 'true';
      continue;
    }
    const texts = list.map(String);
    const isWithoutValue = texts.includes('') && flag.bare === undefined && !head.includes(`--${name}=`);
    if (isWithoutValue) faults.push(`flag --${name} needs a value: --${name}=${flag.value ?? 'VALUE'}`);
    for (const text of texts) {
      if (isWithoutValue && text === '') continue;
      if (flag.choices !== undefined && !flag.choices.includes(text))
        faults.push(`flag --${name}: ${JSON.stringify(text)} is not one of ${flag.choices.join(', ')}`);
    }
    values[name] = flag.type === 'list' ? texts : texts.at(-1);
  }
  if (faults.length > 0) throw usage(command, faults);
  return { values, remaining: [...parsed._.map(String), ...(end < 0 ? [] : tokens.slice(end))] };
}

/** `-h`, and flags whose value is optional: `--net` becomes `--net=default` so that it never eats the image. */
function normalise(token: string, flags: Flags): string {
  if (token === '-h') return '--help';
  if (!token.startsWith('--') || token.includes('=')) return token;
  const bare = flags[token.slice(2)]?.bare;
  return bare === undefined ? token : `${token}=${bare}`;
}

const usage = (command: string, faults: readonly string[]): RuntimeError =>
  new RuntimeError('ERR_CLI_USAGE', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults on the command line`, {
    details: faults.length === 1 ? [] : faults,
    hint: `rkt help ${command} lists the flags`,
  });

/** Parses the tokens behind the command's name. */
export function parseInvocation(command: AnyCommand, tokens: readonly string[]): Invocation<Flags, Flags> {
  const known = { ...globalFlags, ...command.flags };
  const first = readFlags(command.name, known, tokens);
  const values = first.values as FlagValues<typeof globalFlags & Flags>;
  if (values.help) return { flags: values, global: values, operands: [], images: [] };
  if (command.imageFlags !== undefined) {
    const images = readImages(command, known, command.imageFlags, first);
    return { flags: values, global: values, operands: [], images };
  }
  const operands: string[] = [];
  let { remaining } = first;
  const merged: Record<string, unknown> = { ...first.values };
  while (remaining.length > 0 && remaining[0] !== '--') {
    operands.push(remaining[0] ?? '');
    if (command.flagsEndAtOperand === true) {
      // `enter UUID -- ls` and `enter UUID ls` are the same
      operands.push(...remaining.slice(remaining[1] === '--' ? 2 : 1));
      remaining = [];
      continue;
    }
    const next = readFlags(command.name, known, remaining.slice(1));
    mergeInto(merged, next.values);
    ({ remaining } = next);
  }
  operands.push(...remaining.slice(1));
  const spare = operands.slice(command.maxOperands ?? 0);
  if (spare.length > 0) throw usage(command.name, [`rkt ${command.name} does not take ${spare.map((word) => JSON.stringify(word)).join(' ')}`]);
  const all = merged as FlagValues<typeof globalFlags & Flags>;
  return { flags: all, global: all, operands, images: [] };
}

/** What is said later counts, lists grow. */
function mergeInto(values: Record<string, unknown>, later: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(later)) {
    if (Array.isArray(value)) values[name] = [...(values[name] as string[]), ...(value as string[])];
    else if (value !== undefined && value !== false) values[name] = value;
  }
}

/** Behind an image come its own flags, and among them the command's, as in rkt: these are added to `first`. */
function readImages(command: AnyCommand, known: Flags, imageFlags: Flags, first: Segment): ImageArgument<Flags>[] {
  const images: ImageArgument<Flags>[] = [];
  let remaining = [...first.remaining];
  if (remaining[0] === '--') throw usage(command.name, ['"--" must follow an image: it begins the arguments of an app']);
  while (remaining.length > 0) {
    const reference = remaining[0] ?? '';
    if (reference === '' || reference === '---') {
      remaining = remaining.slice(1);
      continue;
    }
    const segment = readFlags(command.name, { ...known, ...imageFlags }, remaining.slice(1));
    const isOwn = ([name]: [string, unknown]): boolean => Object.hasOwn(imageFlags, name);
    const values = Object.entries(segment.values);
    mergeInto(first.values, Object.fromEntries(values.filter((entry) => !isOwn(entry))));
    remaining = segment.remaining;
    let args: string[] = [];
    if (remaining[0] === '--') {
      const end = remaining.indexOf('---');
      args = remaining.slice(1, end < 0 ? undefined : end);
      remaining = end < 0 ? [] : remaining.slice(end + 1);
    }
    images.push({ reference, flags: Object.fromEntries(values.filter(isOwn)) as FlagValues<Flags>, args });
  }
  return images;
}
