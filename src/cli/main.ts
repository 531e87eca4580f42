/** The command line: find the command, load it, run it, print what went wrong. */
import { RuntimeError, isCode, isRuntimeError, messageOf } from '../model/errors.ts';
import { globalFlags } from './command.ts';
import { err, errorText, out } from './output.ts';
import { parseInvocation } from './parse.ts';
import { commands, findCommand, usageStatusOf } from './registry.ts';

declare const __VERSION__: string;

/** Splits leading global flags from the command's words: `rkt --dir=/x run …`. */
function splitGlobals(argv: readonly string[]): { globals: string[]; words: string[] } {
  let index = 0;
  while (argv[index]?.startsWith('-') === true) {
    const token = argv[index] ?? '';
    const name = token.replace(/^--/, '').split('=')[0] ?? '';
    const flag = Object.entries(globalFlags).find(([key]) => key === name)?.[1];
    index += flag !== undefined && flag.type !== 'boolean' && !token.includes('=') ? 2 : 1;
  }
  return { globals: argv.slice(0, index), words: argv.slice(index) };
}

async function main(argv: readonly string[]): Promise<number> {
  const { globals, words } = splitGlobals(argv);
  if (words.length === 0 || words[0] === 'help') {
    const { printHelp } = await import('./help.ts');
    if (words.length === 0 && globals.includes('--version')) {
      out(`${__VERSION__}\n`);
      return 0;
    }
    if (words.length === 0 && !globals.some((token) => token === '--help' || token === '-h')) {
      err('missing command\n');
      await printHelp([]);
      return 2;
    }
    return printHelp(words.slice(1));
  }
  if (words[1] === '--help' || words[1] === '-h') {
    const { printHelp } = await import('./help.ts');
    return printHelp(words.slice(0, 1));
  }
  const found = findCommand(words);
  const loader = commands[found.name];
  if (loader === undefined) throw new Error(`command ${found.name} is not registered`);
  const command = await loader();
  const tokens = [...globals, ...words.slice(found.words)];
  const asksForHelp = ownTokens(tokens).some((token) => token === '--help' || token === '-h');
  if (command.needsRoot === true && process.getuid?.() !== 0 && !asksForHelp)
    throw new RuntimeError('ERR_CLI_NOT_ROOT', 'cannot run as unprivileged user', { hint: `sudo rkt ${found.name} …` });
  const invocation = parseInvocation(command, tokens);
  if (invocation.global.help) {
    const { printHelp } = await import('./help.ts');
    return printHelp(found.name.split(' '));
  }
  return command.run(invocation);
}

/** What is ours on the command line: behind `--` it is an app's. */
const ownTokens = (tokens: readonly string[]): readonly string[] => (tokens.includes('--') ? tokens.slice(0, tokens.indexOf('--')) : tokens);

/** A failure on stderr: for people by default, as one JSON object when the command was asked for JSON. */
function report(error: unknown, argv: readonly string[]): number {
  const own = ownTokens(argv);
  if (own.some((token, i) => token.startsWith('--format=json') || (token === '--format' && own[i + 1]?.startsWith('json')))) {
    const { code = 'ERR_INTERNAL', hint, details } = isRuntimeError(error) ? error : {};
    err(`${JSON.stringify({ error: { code, message: messageOf(error), hint, details } })}\n`);
  } else err(errorText(error, own.includes('--debug')));
  if (!isRuntimeError(error)) return 254;
  const isUsage = isCode(error, 'ERR_CLI_USAGE') || isCode(error, 'ERR_CLI_UNKNOWN_COMMAND');
  return (isUsage ? usageStatusOf(splitGlobals(argv).words) : undefined) ?? error.exitCode;
}

const argv = process.argv.slice(2);
main(argv).then(
  (status) => process.exit(status === 0 ? process.exitCode : status),
  (error: unknown) => process.exit(report(error, argv)),
);
