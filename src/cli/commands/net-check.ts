import { checkPod, toolCheck } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { err, formatFlag, out, outJson } from '../output.ts';
import { podArgument, uuidFileFlag } from '../pod-argument.ts';
import { checkText } from '../render/net-check.ts';
import { settingsFrom } from '../settings.ts';
import { withToolStatus } from '../tool-verb.ts';

export const command = defineCommand({
  name: 'net check',
  summary: "compare a pod's networks with what was made for it, and ask the plugins (CHECK)",
  usage: '[flags] UUID | NETWORK NETNS',
  needsRoot: true,
  maxOperands: 2,
  examples: [
    ['rkt net check 5f3c', 'line by line what is missing or changed; exit status 1 when anything is'],
    ['rkt net check bridge /run/netns/test', 'CHECK of what net add attached, as cnitool does'],
  ],
  flags: { 'uuid-file': uuidFileFlag, format: formatFlag },
  run({ flags, global, operands }) {
    const settings = settingsFrom(global);
    const [network, netns] = operands;
    if (network !== undefined && netns !== undefined) {
      return withToolStatus(() => {
        if (toolCheck(settings, network, netns) === 'disabled') err(`network "${network}" is not checked: its list says disableCheck\n`);
        return 0;
      });
    }
    const checked = checkPod(settings, podArgument(operands, flags['uuid-file']));
    if (flags.format === undefined) out(checkText(checked));
    else outJson(checked, flags.format);
    return checked.passed ? 0 : 1;
  },
});
