import { printable } from '../../model/errors.ts';
import { repairPods } from '../../workbench.ts';
import { defineCommand } from '../command.ts';
import { err, formatFlag, out, outJson } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'net repair',
  summary: 'put back what the networks of running pods miss',
  usage: '[flags] [UUID]',
  maxOperands: 1,
  needsRoot: true,
  examples: [
    ['rkt net repair', 'after nft flush ruleset, a firewall reload, ip forwarding off, an address removed'],
    ['rkt net repair --dry-run 5f3c', 'only say what is missing'],
  ],
  flags: { 'dry-run': { type: 'boolean', help: 'only say what is missing; exit status 1 when something is' }, format: formatFlag },
  run({ flags, global, operands }) {
    const apply = !flags['dry-run'];
    const pods = repairPods(settingsFrom(global), operands[0], apply);
    const attachments = pods.flatMap(({ id, attachments: of }) => of.map((attachment) => ({ id, ...attachment })));
    const missing = attachments.flatMap((of) => of.missing);
    const broken = pods.flatMap(({ id, failure }) => (failure === undefined ? [] : [`pod ${id.slice(0, 8)}: ${failure}`]));
    const failures = [...broken, ...attachments.flatMap((of) => of.failures)];
    if (flags.format !== undefined) outJson(pods, flags.format);
    else {
      for (const { id, network, ifName, missing: lines, failures: lost } of attachments) {
        const where = `pod ${id.slice(0, 8)}, network "${network}" (${ifName})`;
        for (const line of lines) out(printable(`${where}: ${apply ? 'put back' : 'missing'}: ${line}\n`));
        for (const line of lost) err(printable(`${where}: cannot be put back: ${line}\n`));
      }
      for (const line of broken) err(printable(`${line}\n`));
      if (missing.length + failures.length === 0) out('nothing to repair\n');
    }
    if (failures.length > 0) return 254;
    return !apply && missing.length > 0 ? 1 : 0;
  },
});
