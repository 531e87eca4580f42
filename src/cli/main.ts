/** The command line: find the command, load it, run it, print what went wrong. */
import { writeSync } from 'node:fs';
import { RuntimeError, messageOf, printable } from '../model/errors.ts';
import { globalFlags } from './command.ts';
import { parseInvocation } from './parse.ts';
import { commands, findCommand } from './registry.ts';

declare const __VERSION__: string;

/** Splits leading global flags from the command's words: `rkt --dir=/x run …`. */
function splitGlobals(argv: readonly string[]): { globals: string[]; words: string[] } {
  let index = 0;
  while (argv[index]?.startsWith('-') === true) {
    const token = argv[index] ?? '';
    const name = token.replace(/^--/, '').split('=')[0] ?? '';
    const flag = Object.entries(globalFlags).find(([key]) => key === name)?.[1];
    index += flag?.type === 'string' && !token.includes('=') ? 2 : 1;
  }
  return { globals: argv.slice(0, index), words: argv.slice(index) };
}

async function main(argv: readonly string[]): Promise<number> {
  const { globals, words } = splitGlobals(argv);
  if (words.length === 0 || words[0] === 'help') {
    const { printHelp } = await import('./help.ts');
    if (words.length === 0 && globals.includes('--version')) return writeOut(`${__VERSION__}\n`);
    if (words.length === 0 && !globals.some((token) => token === '--help' || token === '-h')) {
      writeSync(2, 'missing command\n');
      await printHelp([]);
      return 2;
    }
    return printHelp(words.slice(1));
  }
  const found = findCommand(words);
  const loader = commands[found.name];
  if (loader === undefined) throw new Error(`command ${found.name} is not registered`);
  const command = await loader();
  const tokens = [...globals, ...words.slice(found.words)];
  if (command.needsRoot === true && process.getuid?.() !== 0 && !tokens.includes('--help') && !tokens.includes('-h')) {
    throw new RuntimeError('ERR_CLI_NOT_ROOT', 'cannot run as unprivileged user', { hint: `sudo rkt ${found.name} …` });
  }
  const invocation = parseInvocation(command, tokens);
  if (invocation.global.help) {
    const { printHelp } = await import('./help.ts');
    return printHelp(found.name.split(' '));
  }
  return command.run(invocation);
}

function writeOut(text: string): number {
  writeSync(1, text);
  return 0;
}

/** A failure on stderr: for people by default, as one JSON object when the command was asked for JSON. */
function report(error: unknown, argv: readonly string[]): number {
  const known = error instanceof Error && 'code' in error && 'exitCode' in error ? (error as RuntimeError) : undefined;
  if (argv.some((token, i) => token.startsWith('--format=json') || (token === '--format' && argv[i + 1]?.startsWith('json')))) {
    const { code = 'ERR_INTERNAL', hint, details } = known ?? {};
    writeSync(2, `${JSON.stringify({ error: { code, message: messageOf(error), hint, details } })}\n`);
    return known?.exitCode ?? 254;
  }
  if (known === undefined) {
    writeSync(2, `error: this is a bug in rkt: ${printable(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
    return 254;
  }
  const lines = [`error: ${known.message} [${known.code}]`, ...known.details.map((line) => `  - ${line}`)];
  if (known.hint !== undefined) lines.push(`hint: ${known.hint}`);
  if (argv.includes('--debug') && known.stack !== undefined)
    lines.push(known.stack, ...(known.cause === undefined ? [] : [`caused by: ${messageOf(known.cause)}`]));
  writeSync(2, `${printable(lines.join('\n'))}\n`);
  return known.exitCode;
}

const argv = process.argv.slice(2);
main(argv).then(
  (status) => process.exit(status),
  (error: unknown) => process.exit(report(error, argv)),
);
