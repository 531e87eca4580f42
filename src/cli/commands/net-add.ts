import { toolAdd } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { out } from '../output.ts';
import { settingsFrom } from '../settings.ts';
import { toolOperands, withToolStatus } from '../tool-verb.ts';

export const command = defineCommand({
  name: 'net add',
  summary: 'attach a network namespace to a network, as cnitool does; prints the CNI result',
  usage: 'NETWORK NETNS',
  needsRoot: true,
  maxOperands: 2,
  examples: [
    ['rkt net add bridge /run/netns/test', 'with the networks and plugins of rkt'],
    ['CNI_PATH=$PWD/bin NETCONFPATH=$PWD/net.d CAP_ARGS={…} CNI_ARGS=K=V CNI_IFNAME=eth1 rkt net add mine /run/netns/test', "a plugin's test-bed"],
  ],
  flags: {},
  run: ({ global, operands }) =>
    withToolStatus(() => {
      const result = toolAdd(settingsFrom(global), ...toolOperands('net add', operands));
      out(`${JSON.stringify(result, undefined, 4)}\n`);
      return 0;
    }),
});
