/** Commands that act on one pod or several: names, UUID prefixes, or a file that holds a UUID. */
import { readFileSync } from 'node:fs';
import { RuntimeError, messageOf } from '../model/errors.ts';
import { isPodId } from '../model/ids.ts';
import type { Flag } from './command.ts';

export const uuidFileFlag = { type: 'string', value: 'FILE', help: 'read the UUID from FILE' } as const satisfies Flag;

/** The names, UUIDs or prefixes a command is given. @throws ERR_CLI_USAGE */
export function podArguments(operands: readonly string[], uuidFile: string | undefined): readonly string[] {
  if (uuidFile === undefined) {
    if (operands.length === 0)
      throw new RuntimeError('ERR_CLI_USAGE', 'which pod?', { hint: 'give a name, a UUID (a unique beginning will do) or --uuid-file=FILE' });
    return operands;
  }
  if (operands.length > 0) throw new RuntimeError('ERR_CLI_USAGE', 'give pods or --uuid-file, not both');
  let text: string;
  try {
    text = readFileSync(uuidFile, 'utf8').trim();
  } catch (cause) {
    throw new RuntimeError('ERR_CLI_USAGE', `cannot read UUID file: ${messageOf(cause)}`, { cause });
  }
  if (!isPodId(text))
    throw new RuntimeError('ERR_CLI_USAGE', `${uuidFile} holds no UUID`, { hint: 'the file is what rkt run --uuid-file-save=FILE wrote' });
  return [text];
}

export function podArgument(operands: readonly string[], uuidFile: string | undefined): string {
  const [first = '', ...more] = podArguments(operands, uuidFile);
  if (more.length > 0) throw new RuntimeError('ERR_CLI_USAGE', `one pod at a time, got ${more.length + 1}`);
  return first;
}

/** The operands of a command that takes a pod and a network. @throws ERR_CLI_USAGE */
export function podAndNetwork(command: string, [uuid = '', network = '']: readonly string[]): [uuid: string, network: string] {
  if (uuid === '' || network === '')
    throw new RuntimeError('ERR_CLI_USAGE', uuid === '' ? 'which pod?' : 'which network?', { hint: `rkt ${command} UUID NETWORK` });
  return [uuid, network];
}
