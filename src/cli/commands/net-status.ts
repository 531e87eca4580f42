import { networkStatus } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { readinessText } from '../render/net-status.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net status',
  summary: 'ask the plugins of networks whether they could serve a pod now',
  usage: '[flags] [NETWORK… | NETWORK NETNS]',
  needsRoot: true,
  maxOperands: Infinity,
  examples: [
    ['rkt net status', 'every network; exit status 1 when one is not ready'],
    ['rkt net status bridge --format=json', 'for programs'],
  ],
  flags: { format: formatFlag },
  run({ flags, global, operands }) {
    // cnitool is given a namespace too, and has no use for it; a path is no name.
    const networks = networkStatus(
      settingsFrom(global),
      operands.filter((operand) => !operand.includes('/')),
    );
    if (flags.format === undefined) out(networks.map(readinessText).join(''));
    else outJson(networks, flags.format);
    return networks.every(({ ready }) => ready) ? 0 : 1;
  },
});
