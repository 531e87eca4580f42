import { connectPod } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson, warn } from '../output.ts';
import { podAndNetwork } from '../pod-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net connect',
  summary: 'join a running pod to one more network',
  usage: '[flags] UUID NETWORK[:ARGS]',
  maxOperands: 2,
  needsRoot: true,
  examples: [
    ['rkt net connect 5f3c db', 'the next free interface, eth1'],
    ['rkt net connect 5f3c db:IP=10.89.3.7', 'with this address'],
  ],
  flags: { format: formatFlag },
  run({ flags, global, operands }) {
    const [uuid, network] = podAndNetwork('net connect', operands);
    const joined = connectPod(settingsFrom(global), uuid, network, warn);
    if (flags.format === undefined) out(`${joined.netName}: ${joined.ifName}${joined.ips.map((ip) => ` ${ip}`).join('')}\n`);
    else outJson(joined, flags.format);
    return 0;
  },
});
