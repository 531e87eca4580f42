import { removalHint, verifyImages, type VerifiedImage } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { err, formatFlag, out, outJson, warn } from '../output.ts';
import { progressPrinter } from '../progress.ts';
import { shownPath } from '../render/image.ts';
import { settingsFrom } from '../settings.ts';

const most = 20;

/** What was found, as people read it. */
function tell({ image, layers }: VerifiedImage, repair: boolean): void {
  const key = image.id.replace(':', '-');
  const damaged = layers.filter(({ damages }) => damages.length > 0);
  for (const { layer, damages, outcome } of damaged) {
    err(`tree cache verification failed for image "${image.name}" (${key}), layer ${layer}${repair ? '; rebuilding' : ''}\n`);
    for (const { path, what } of damages.slice(0, most)) err(`  - ${path === '' ? 'the layer' : shownPath(path)} ${what}\n`);
    if (damages.length > most) err(`  - and ${damages.length - most} more\n`);
    if (typeof outcome === 'object')
      err(
        `error: layer ${layer} cannot be repaired: ${outcome.kept}\nhint: put right what is in the way and verify again; or ${removalHint([outcome])}\n`,
      );
  }
  const healthy = damaged.every(({ outcome }) => outcome === 'repaired');
  if (damaged.length > 0 && healthy) out(`repaired image: "${image.name}" ("${key}")\n`);
  else if (healthy) out(`successfully verified checksum for image: "${image.name}" ("${key}")\n`);
}

export const command = defineCommand({
  name: 'image verify',
  summary: 'compare the files of stored images with what they were, and repair them from where they came',
  usage: '[flags] [IMAGE…]',
  maxOperands: Infinity,
  needsRoot: true,
  examples: [
    ['rkt image verify web:1', 'content, owner, mode, times, attributes of every file'],
    ['rkt image verify --no-repair', 'every image; only say what is wrong'],
  ],
  flags: {
    'no-repair': { type: 'boolean', help: 'change nothing; the exit status says whether all is well' },
    format: formatFlag,
  },
  async run({ flags, global, operands }) {
    const repair = !flags['no-repair'];
    const verified: VerifiedImage[] = [];
    await verifyImages(settingsFrom(global), operands, repair, { pullPolicy: 'new', progress: progressPrinter(), warn }, (image) => {
      verified.push(image);
      if (flags.format === undefined) tell(image, repair);
    });
    if (flags.format !== undefined)
      outJson(
        verified.map(({ image, layers }) => ({
          id: image.id.replace(':', '-'),
          name: image.name,
          layers: layers.map(({ layer, damages, outcome }) => ({
            diff_id: layer,
            damages: damages.map(({ path, what }) => ({ path: shownPath(path), what })),
            ...(outcome === undefined ? {} : { repaired: outcome === 'repaired', ...(typeof outcome === 'object' ? { reason: outcome.kept } : {}) }),
          })),
        })),
        flags.format,
      );
    const damaged = verified.some(({ layers }) => layers.some(({ damages, outcome }) => damages.length > 0 && outcome !== 'repaired'));
    return damaged ? 254 : 0;
  },
});
