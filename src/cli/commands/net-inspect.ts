import { RuntimeError } from '../../model/errors.ts';
import { inspectNetwork } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson, warn } from '../output.ts';
import { inspection } from '../render/net-inspect.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net inspect',
  summary: 'show a network as it is configured, where its plugins are, and what exists because of it',
  usage: '[flags] NETWORK',
  needsRoot: true,
  maxOperands: 1,
  examples: [['rkt net inspect bridge', 'file, versions, plugins, subnets, attachments, leases, rules; exit status 1 when pods cannot join']],
  flags: { format: formatFlag },
  run({ flags, global, operands }) {
    const [name] = operands;
    if (name === undefined) throw new RuntimeError('ERR_CLI_USAGE', 'which network?', { hint: 'rkt net list shows them' });
    const network = inspectNetwork(settingsFrom(global), name);
    if (flags.format === undefined) out(inspection(network));
    else outJson(network, flags.format);
    network.notices.forEach(warn);
    return network.problem === undefined ? 0 : 1;
  },
});
