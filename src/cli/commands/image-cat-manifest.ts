import { imageManifest } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { imageArgument } from '../image-argument.ts';
import { out } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'image cat-manifest',
  summary: 'print the appc manifest of a stored image; of an OCI or Docker image what it would be',
  usage: '[flags] IMAGE',
  maxOperands: 1,
  examples: [['rkt image cat-manifest web:1', 'its program, user, ports (80-tcp), mount points, annotations']],
  flags: {
    'pretty-print': { type: 'string', value: 'BOOL', default: 'true', choices: ['true', 'false'], help: 'indent the JSON' },
  },
  run({ flags, global, operands }) {
    const manifest = imageManifest(settingsFrom(global), imageArgument(operands));
    out(`${JSON.stringify(manifest, undefined, flags['pretty-print'] === 'false' ? undefined : '\t')}\n`);
    return 0;
  },
});
