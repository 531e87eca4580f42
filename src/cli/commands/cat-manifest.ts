import { podManifestText } from '../../pods.ts';
import { defineCommand } from '../command.ts';
import { out } from '../output.ts';
import { podArgument, uuidFileFlag } from '../pod-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'cat-manifest',
  summary: 'print the manifest of a pod',
  usage: '[flags] POD',
  maxOperands: 1,
  examples: [['rkt cat-manifest 5f3c', 'apps, ports, environment']],
  flags: {
    'pretty-print': { type: 'string', value: 'BOOL', default: 'true', choices: ['true', 'false'], help: 'indent the JSON' },
    'uuid-file': uuidFileFlag,
  },
  run({ flags, global, operands }) {
    const manifest: unknown = JSON.parse(podManifestText(settingsFrom(global), podArgument(operands, flags['uuid-file'])));
    out(`${JSON.stringify(manifest, undefined, flags['pretty-print'] === 'false' ? undefined : '\t')}\n`);
    return 0;
  },
});
