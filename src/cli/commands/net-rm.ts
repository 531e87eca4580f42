import { RuntimeError } from '../../model/errors.ts';
import { removeNetworks } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { out } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net rm',
  summary: 'remove network(s) that no pod uses',
  usage: '[flags] NAME…',
  maxOperands: Infinity,
  needsRoot: true,
  examples: [
    ['rkt net rm web', 'the bridge goes, then the file'],
    ['rkt net rm --force mynet', 'also a file that was written by hand'],
  ],
  flags: { force: { type: 'boolean', help: 'also delete files that rkt net create did not write' } },
  run({ flags, global, operands }) {
    if (operands.length === 0) throw new RuntimeError('ERR_CLI_USAGE', 'which network?', { hint: 'rkt net list shows the networks there are' });
    removeNetworks(settingsFrom(global), operands, flags.force, (name) => out(`${name}\n`));
    return 0;
  },
});
