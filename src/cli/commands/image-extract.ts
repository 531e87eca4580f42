import { renderImage } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { imageAndTarget } from '../image-argument.ts';
import { warn } from '../output.ts';
import { progressPrinter } from '../progress.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'image extract',
  summary: "put a stored image's own files into a directory, without those of its dependencies",
  usage: '[flags] IMAGE DIR',
  maxOperands: 2,
  needsRoot: true,
  examples: [
    ['rkt image extract web:1 ./web', './web/manifest and ./web/rootfs'],
    ['rkt image extract --rootfs-only --overwrite web:1 ./web', 'the files alone, in place of what was there'],
  ],
  flags: {
    'rootfs-only': { type: 'boolean', help: 'the root file system alone, right in DIR' },
    overwrite: { type: 'boolean', help: 'replace DIR if it is there' },
  },
  async run({ flags, global, operands }) {
    const [image, directory] = imageAndTarget(operands, 'a directory');
    const options = { rootfsOnly: flags['rootfs-only'], overwrite: flags.overwrite, ownOnly: true };
    await renderImage(settingsFrom(global), image, directory, options, { pullPolicy: 'new', progress: progressPrinter(), warn });
    return 0;
  },
});
