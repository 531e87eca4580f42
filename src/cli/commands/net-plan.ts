import { planNetwork, renderPlan } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { netFlags, netOptions } from '../net-flags.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net plan',
  summary: 'show what run would do to the network; touches nothing',
  usage: '[flags]',
  examples: [
    ['rkt net plan --net=bridge --port=8080:80', 'the plan, for people'],
    ['rkt net plan --net=all --format=json', 'the plan as run stores it'],
  ],
  flags: { ...netFlags, format: formatFlag },
  run({ flags, global }) {
    const plan = planNetwork(settingsFrom(global), netOptions(flags));
    if (flags.format === undefined) out(renderPlan(plan));
    else outJson(plan, flags.format);
    return 0;
  },
});
