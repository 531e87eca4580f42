import { planNetwork, renderPlan } from '../../workbench.ts';
import { appFlags, appRequestFlags } from '../app-flags.ts';
import { defineCommand } from '../command.ts';
import { netOptions } from '../net-flags.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { runFlags } from '../run-flags.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net plan',
  summary: 'show what run would do to the network; touches nothing',
  usage: '[flags] [IMAGE [app flags] [-- ARGS… [---]] [IMAGE2 …]]',
  examples: [
    ['rkt net plan --net=bridge --port=8080:80', 'the plan, for people'],
    ['rkt net plan --port=80-tcp:8080 sha256-5f3c', 'a port by the name a fetched image gives it'],
    ['rkt net plan --net=all --format=json', 'the plan as run stores it'],
  ],
  flags: { ...runFlags, format: formatFlag },
  imageFlags: appFlags,
  run({ flags, global, images }) {
    const plan = planNetwork(settingsFrom(global), { ...netOptions(flags), podName: flags['pod-name'] }, images.map(appRequestFlags));
    if (flags.format === undefined) out(renderPlan(plan));
    else outJson(plan, flags.format);
    return 0;
  },
});
