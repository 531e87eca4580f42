import { disconnectPod } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { out, warn } from '../output.ts';
import { podAndNetwork } from '../pod-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net disconnect',
  summary: 'take a running pod off a network',
  usage: 'UUID NETWORK',
  maxOperands: 2,
  needsRoot: true,
  examples: [['rkt net disconnect 5f3c db', 'its address, links and rules are free again']],
  flags: {},
  run({ global, operands }) {
    const [uuid, network] = podAndNetwork('net disconnect', operands);
    const { netName, ifName } = disconnectPod(settingsFrom(global), uuid, network, warn);
    out(`${netName}: ${ifName} is gone\n`);
    return 0;
  },
});
