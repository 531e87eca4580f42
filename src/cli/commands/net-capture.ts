import { capturePackets } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { podArgument } from '../pod-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net capture',
  summary: "watch a pod's packets with tcpdump",
  usage: '[flags] UUID [-- FILTER…]',
  maxOperands: Infinity,
  needsRoot: true,
  examples: [
    ['rkt net capture 5f3c -- tcp port 80', 'print them'],
    ['rkt net capture 5f3c -w web.pcap --interface=any', 'into a file, of every interface'],
    ['rkt net capture 5f3c -w - | wireshark -k -i -', 'into a program'],
  ],
  flags: {
    write: { type: 'string', short: 'w', value: 'FILE', help: 'write packets to FILE (pcap) instead of printing them; - is standard output' },
    interface: { type: 'string', value: 'IFACE', default: 'that of its first network', help: 'interface in the pod, or any' },
  },
  run({ flags, global, operands }) {
    const [uuid, ...filter] = operands;
    return capturePackets(settingsFrom(global), podArgument(uuid === undefined ? [] : [uuid], undefined), {
      ifName: flags.interface,
      file: flags.write,
      filter,
    });
  },
});
