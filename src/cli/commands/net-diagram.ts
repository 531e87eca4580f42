import { writeFileSync } from 'node:fs';
import { RuntimeError, diskHint, messageOf } from '../../model/errors.ts';
import { diagram } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { out } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net diagram',
  summary: 'draw the pods, their networks, addresses and published ports; what is broken is marked',
  usage: '[flags]',
  needsRoot: true,
  examples: [
    ['rkt net diagram', 'in the terminal'],
    ['rkt net diagram --format=svg -o net.svg', 'for a browser or a report'],
  ],
  flags: {
    format: { type: 'string', value: 'FORMAT', choices: ['text', 'svg'], default: 'text; svg for a file that ends in .svg', help: 'how to draw' },
    output: { type: 'string', short: 'o', value: 'FILE', help: 'write to FILE' },
  },
  run({ flags, global }) {
    const isSvg = flags.format === undefined ? flags.output?.endsWith('.svg') === true : flags.format === 'svg';
    const drawn = diagram(settingsFrom(global), isSvg ? 'svg' : 'text');
    if (flags.output === undefined) out(drawn);
    else
      try {
        writeFileSync(flags.output, drawn);
      } catch (cause) {
        throw new RuntimeError('ERR_CLI_USAGE', `cannot write ${flags.output}: ${messageOf(cause)}`, { cause, ...diskHint(cause) });
      }
    return 0;
  },
});
