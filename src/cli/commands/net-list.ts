import { listNetworks } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson, warn } from '../output.ts';
import { renderTable } from '../render/table.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net list',
  summary: 'list the networks a pod can join',
  usage: '[flags]',
  examples: [['rkt net list', 'name, plugins and the file each network comes from']],
  flags: { 'no-legend': { type: 'boolean', help: 'no header' }, format: formatFlag },
  run({ flags, global }) {
    const { networks, warnings } = listNetworks(settingsFrom(global));
    if (flags.format !== undefined) outJson(networks, flags.format);
    else
      out(
        renderTable(
          flags['no-legend'] ? undefined : ['NETWORK', 'VERSION', 'PLUGINS', 'OWNER', 'FILE'],
          networks.map((net) => [net.name, net.cniVersion, net.types.join(','), net.owner, net.path]),
        ),
      );
    warnings.forEach(warn);
    return 0;
  },
});
