import { toolDel } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { settingsFrom } from '../settings.ts';
import { toolOperands, withToolStatus } from '../tool-verb.ts';

export const command = defineCommand({
  name: 'net del',
  summary: 'undo net add; the namespace may be gone already',
  usage: 'NETWORK NETNS',
  needsRoot: true,
  maxOperands: 2,
  examples: [['rkt net del bridge /run/netns/test', 'with the configuration as it was at net add']],
  flags: {},
  run: ({ global, operands }) =>
    withToolStatus(() => {
      toolDel(settingsFrom(global), ...toolOperands('net del', operands));
      return 0;
    }),
});
