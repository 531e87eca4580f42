import { explainPod } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { podArgument, uuidFileFlag } from '../pod-argument.ts';
import { explanation } from '../render/net-explain.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net explain',
  summary: "everything about a pod's networks: plugin calls, what exists because of it, what is wrong and its cure",
  usage: '[flags] UUID',
  needsRoot: true,
  maxOperands: 1,
  examples: [
    ['rkt net explain 5f3c', 'what is wrong and its cure at the end, in the order in which a packet meets it'],
    ['rkt net explain --raw 5f3c', 'with whole stdin and stdout of every plugin call'],
  ],
  flags: {
    raw: { type: 'boolean', help: 'show stdin and stdout of plugin calls whole, as they were' },
    'uuid-file': uuidFileFlag,
    format: formatFlag,
  },
  run({ flags, global, operands }) {
    const pod = explainPod(settingsFrom(global), podArgument(operands, flags['uuid-file']));
    if (flags.format === undefined) out(explanation(pod, flags.raw));
    else outJson(pod, flags.format);
    return 0;
  },
});
