import { imageToRemove, removeImages } from '../../images.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import { defineCommand } from '../command.ts';
import { err, errorText, out } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'image rm',
  summary: 'remove image(s) from the store; pods that use them are left alone',
  usage: 'IMAGE…',
  maxOperands: Infinity,
  needsRoot: true,
  examples: [
    ['rkt image rm web:1', 'with all its names, and the layers that nothing else needs'],
    ['rkt image rm sha256-4f1c', 'by the beginning of its ID'],
  ],
  flags: {},
  run({ global, operands }) {
    if (operands.length === 0)
      throw new RuntimeError('ERR_CLI_USAGE', 'must provide at least one image ID or name', { hint: 'rkt image list shows them' });
    const settings = settingsFrom(global);
    const wanted = new Map<Digest, string>();
    let failed = 0;
    for (const operand of operands) {
      try {
        const { id, name } = imageToRemove(settings, operand);
        if (!wanted.has(id)) wanted.set(id, name);
      } catch (error) {
        failed++;
        err(errorText(error));
      }
    }
    const { images } = wanted.size === 0 ? { images: [] } : removeImages(settings, new Set(wanted.keys()));
    for (const { id } of images) out(`successfully removed aci for image: "${id.replace(':', '-')}"\n`);
    if (images.length > 0) err(`${images.length} image(s) successfully removed\n`);
    if (failed > 0) err(`${failed} image(s) cannot be removed\n`);
    return failed > 0 ? 254 : 0;
  },
});
