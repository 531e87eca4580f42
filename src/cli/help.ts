/** Help, rendered by yargs from the commands' declarations. */

import yargs from 'yargs';
import { globalFlags, type AnyCommand, type Flag, type Flags } from './command.ts';
import { out } from './output.ts';
import { commands, findCommand, findGroup } from './registry.ts';

const width = (): number => Math.min(process.stdout.columns ?? 100, 110);

function describe(flag: Flag): string {
  const extra = [
    ...(flag.choices === undefined ? [] : [`one of ${flag.choices.join(', ')}`]),
    ...(flag.default === undefined ? [] : [`default ${flag.default}`]),
  ];
  return `${flag.help}${extra.length === 0 ? '' : ` (${extra.join('; ')})`}`;
}

/** One group of flags for yargs; the placeholder stands behind the name: `--net=NETWORKS`. */
function addFlags(parser: ReturnType<typeof yargs>, flags: Flags, group: string): void {
  for (const [name, flag] of Object.entries(flags)) {
    const shown = flag.value === undefined ? name : `${name}${flag.bare === undefined ? '' : '['}=${flag.value}${flag.bare === undefined ? '' : ']'}`;
    parser.option(shown, { describe: describe(flag), group, ...(flag.short === undefined ? {} : { alias: flag.short }) });
  }
}

const parserFor = (): ReturnType<typeof yargs> => yargs([]).scriptName('rkt').help(false).version(false).wrap(width());

async function commandHelp(command: AnyCommand): Promise<string> {
  const parser = parserFor().usage(`rkt ${command.name}: ${command.summary}\n\nUsage: rkt ${command.name} ${command.usage}`);
  addFlags(parser, command.flags, 'Flags:');
  if (command.imageFlags !== undefined) addFlags(parser, command.imageFlags, 'Flags behind an image, for that app:');
  addFlags(parser, globalFlags, 'Global flags:');
  // Not in yargs' two columns: a command line that is cut cannot be copied.
  const examples = command.examples.flatMap(([line, what]) => [`  ${line}`, `      ${what}`]);
  return `${await parser.getHelp()}\n\nExamples:\n${examples.join('\n')}`;
}

async function overview(among: readonly string[]): Promise<string> {
  const parser = parserFor().usage('rkt: pods and their networks, nothing left behind\n\nUsage: rkt [global flags] COMMAND …');
  for (const name of among) {
    const loader = commands[name];
    if (loader !== undefined) parser.command(name, (await loader()).summary);
  }
  addFlags(parser, globalFlags, 'Global flags:');
  return parser.epilogue('rkt help COMMAND shows its flags and examples').getHelp();
}

/** Prints the help of one command (`words`), of a group, or the list of all. */
export async function printHelp(words: readonly string[]): Promise<number> {
  const group = words.length === 1 ? findGroup(words[0] ?? '') : undefined;
  const members = group === undefined ? [] : Object.keys(commands).filter((name) => name.startsWith(`${group} `));
  let text: string;
  if (words.length === 0) text = await overview(Object.keys(commands));
  else if (members.length > 0) text = await overview(members);
  else {
    const loader = commands[findCommand(words).name];
    if (loader === undefined) throw new Error(`no command ${words.join(' ')}`);
    text = await commandHelp(await loader());
  }
  out(`${text}\n`);
  return 0;
}
