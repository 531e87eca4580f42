import { toolCheck } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { err } from '../output.ts';
import { settingsFrom } from '../settings.ts';
import { toolOperands, withToolStatus } from '../tool-verb.ts';

export const command = defineCommand({
  name: 'net check',
  summary: 'CHECK a namespace attached by net add',
  usage: '[flags] NETWORK NETNS',
  needsRoot: true,
  maxOperands: 2,
  examples: [['rkt net check bridge /run/netns/test', 'CHECK of what net add attached']],
  flags: {},
  run({ global, operands }) {
    return withToolStatus(() => {
      const [network, netns] = toolOperands('net check', operands);
      if (toolCheck(settingsFrom(global), network, netns) === 'disabled') err(`network "${network}" is not checked: its list says disableCheck\n`);
      return 0;
    });
  },
});
