import { collectNetworks, toolGc } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { err, formatFlag, out, outJson } from '../output.ts';
import { collectionText } from '../render/net-gc.ts';
import { settingsFrom } from '../settings.ts';
import { withToolStatus } from '../tool-verb.ts';

export const command = defineCommand({
  name: 'net gc',
  summary: 'remove what attachments that are gone left behind: leases, rules, links, cache entries; says why',
  usage: '[flags] [NETWORK… | NETWORK NETNS]',
  needsRoot: true,
  maxOperands: Infinity,
  examples: [
    ['rkt net gc --dry-run', 'what would be removed from which network, and why'],
    ['rkt net gc bridge', 'one network; what pods and other runtimes (libcni cache) are attached with stays'],
    ['rkt net gc bridge /run/netns/test', 'as cnitool: everything that net add attached goes'],
  ],
  flags: { 'dry-run': { type: 'boolean', help: 'remove nothing, only say what would be removed' }, format: formatFlag },
  run({ flags, global, operands }) {
    const settings = settingsFrom(global);
    const [network = '', netns = ''] = operands;
    if (operands.length === 2 && netns.includes('/')) {
      return withToolStatus(() => {
        if (toolGc(settings, network) === 'disabled') err(`network "${network}" is not collected: its list says disableGC\n`);
        return 0;
      });
    }
    const collected = collectNetworks(settings, operands, flags['dry-run']);
    if (flags.format === undefined) out(collectionText(collected));
    else outJson(collected, flags.format);
    const failed = collected.some(
      ({ problems, leftovers, disabled }) => problems.length > 0 || (!disabled && leftovers.some(({ outcome }) => outcome === 'kept')),
    );
    return failed ? 1 : 0;
  },
});
