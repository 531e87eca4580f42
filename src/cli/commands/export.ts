import { exportPodImage } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { imageAndTarget } from '../image-argument.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'export',
  summary: 'write an app of an exited pod to an ACI, with all it has changed',
  usage: '[flags] POD OUT.aci',
  maxOperands: 2,
  needsRoot: true,
  examples: [
    ['rkt export 5f3c web.aci', 'the only app'],
    ['rkt export --app=web --overwrite 5f3c web.aci', 'one of several, in the place of the file'],
  ],
  flags: {
    app: { type: 'string', value: 'NAME', help: 'which app, when the pod has several' },
    overwrite: { type: 'boolean', help: 'replace the file if there is one' },
  },
  run({ flags, global, operands }) {
    const [pod, out] = imageAndTarget(operands, 'OUT.aci', 'pod');
    exportPodImage(settingsFrom(global).dataDir, pod, out, flags);
    return 0;
  },
});
