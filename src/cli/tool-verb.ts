/** Commands that stand in for cnitool: operands NET NETNS, exit status 1 for a failure. */
import { RuntimeError } from '../model/errors.ts';
import { err, errorText } from './output.ts';

/** @throws ERR_CLI_USAGE */
export function toolOperands(command: string, operands: readonly string[]): readonly [string, string] {
  const [network, netns] = operands;
  if (network === undefined || netns === undefined)
    throw new RuntimeError('ERR_CLI_USAGE', `rkt ${command} needs a network and the path of a network namespace`, {
      hint: `rkt ${command} bridge /run/netns/test`,
    });
  return [network, netns];
}

/** @param act - returns the exit status */
export function withToolStatus(act: () => number): number {
  try {
    return act();
  } catch (error) {
    err(errorText(error));
    return 1;
  }
}
