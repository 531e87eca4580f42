import { collectImages } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { parseDurationMs } from '../duration.ts';
import { err, formatFlag, out, outJson } from '../output.ts';
import { sizeText } from '../render/image.ts';
import { printable } from '../../model/errors.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'image gc',
  summary: 'remove images that were not used for a while, and what belongs to no image',
  usage: '[flags]',
  needsRoot: true,
  examples: [
    ['rkt image gc --dry-run', 'what would go'],
    ['rkt image gc --grace-period=0', 'everything that no pod needs'],
  ],
  flags: {
    'grace-period': { type: 'string', value: 'DURATION', default: '24h', help: 'keep images that were used since' },
    'dry-run': { type: 'boolean', help: 'remove nothing, only say what would be removed' },
    format: formatFlag,
  },
  run({ flags, global }) {
    const graceMs = parseDurationMs(flags['grace-period'] ?? '24h');
    const dryRun = flags['dry-run'];
    const collected = collectImages(settingsFrom(global), { graceMs, dryRun });
    if (flags.format !== undefined) {
      outJson(collected, flags.format);
      return 0;
    }
    const verb = dryRun ? 'Would remove' : 'Garbage collecting';
    for (const { id, name } of collected.images) out(`${verb} image "${id.replace(':', '-')}" (${printable(name)})\n`);
    for (const { name, bytes } of collected.layers) out(`${verb} layer ${name} (${sizeText(bytes)})\n`);
    for (const path of collected.strays) out(`${verb} ${printable(path)}\n`);
    const bytes = collected.layers.reduce((sum, layer) => sum + layer.bytes, 0);
    if (bytes > 0) err(`gc: ${sizeText(bytes)} ${dryRun ? 'would be' : 'are'} free again\n`);
    return 0;
  },
});
