import { toolGc } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { err } from '../output.ts';
import { settingsFrom } from '../settings.ts';
import { toolOperands, withToolStatus } from '../tool-verb.ts';

export const command = defineCommand({
  name: 'net gc',
  summary: 'remove what nobody uses any more',
  usage: '[flags] NETWORK NETNS',
  needsRoot: true,
  maxOperands: Infinity,
  examples: [['rkt net gc bridge /run/netns/test', 'as cnitool gc']],
  flags: {},
  run({ global, operands }) {
    return withToolStatus(() => {
      const [network] = toolOperands('net gc', operands);
      if (toolGc(settingsFrom(global), network) === 'disabled') err(`network "${network}" is not collected: its list says disableGC\n`);
      return 0;
    });
  },
});
