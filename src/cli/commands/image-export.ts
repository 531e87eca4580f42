import { exportImage } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { imageAndTarget } from '../image-argument.ts';
import { warn } from '../output.ts';
import { progressPrinter } from '../progress.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'image export',
  summary: 'write a stored image to a file: an uncompressed ACI, or an OCI layout',
  usage: '[flags] IMAGE OUT.aci|OUT.oci.tar|oci:DIR[:TAG]',
  maxOperands: 2,
  needsRoot: true,
  examples: [
    ['rkt image export web:1 web.aci', 'everything in one archive, dependencies too'],
    ['rkt image export web:1 web.oci.tar', 'layer by layer, for skopeo, podman and others'],
  ],
  flags: { overwrite: { type: 'boolean', help: 'replace the file if there is one' } },
  async run({ flags, global, operands }) {
    const [image, out] = imageAndTarget(operands, 'OUT.aci, OUT.oci.tar or oci:DIR');
    await exportImage(settingsFrom(global), image, out, flags.overwrite, { pullPolicy: 'new', progress: progressPrinter(), warn });
    return 0;
  },
});
