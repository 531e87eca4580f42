import { imageHistory } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { imageArgument } from '../image-argument.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { sizeText } from '../render/image.ts';
import { ago } from '../render/pod.ts';
import { renderTable } from '../render/table.ts';
import { settingsFrom } from '../settings.ts';

const widest = 60;

export const command = defineCommand({
  name: 'image history',
  summary: 'show how an image was built, the last step first',
  usage: '[flags] IMAGE',
  maxOperands: 1,
  examples: [['rkt image history --full web:1', 'whole commands and digests']],
  flags: {
    full: { type: 'boolean', help: 'whole digests, times and commands' },
    'no-legend': { type: 'boolean', help: 'no header' },
    format: formatFlag,
  },
  run({ flags, global, operands }) {
    const steps = imageHistory(settingsFrom(global), imageArgument(operands));
    if (flags.format !== undefined) {
      outJson(
        steps.map(({ layer, bytes, created, createdBy, comment }) => ({ layer, size: bytes, created, created_by: createdBy, comment })),
        flags.format,
      );
      return 0;
    }
    const nowMs = Date.now();
    const timeOf = (created: string): string => {
      const ms = Date.parse(created);
      return flags.full || Number.isNaN(ms) ? created : ago(nowMs - ms);
    };
    const short = (text: string): string => (flags.full || text.length <= widest ? text : `${text.slice(0, widest - 3)}...`);
    const rows = steps.map(({ layer, bytes, created, createdBy, comment }) => [
      layer === undefined ? '-' : flags.full ? layer : layer.slice(0, 'sha256:'.length + 12),
      timeOf(created) || '-',
      bytes === undefined ? '-' : flags.full ? String(bytes) : sizeText(bytes),
      short(
        [createdBy, comment]
          .filter((text) => text !== '')
          .join(' # ')
          .replace(/\s+/g, ' '),
      ),
    ]);
    out(renderTable(flags['no-legend'] ? undefined : ['LAYER', 'CREATED', 'SIZE', 'CREATED BY'], rows));
    return 0;
  },
});
