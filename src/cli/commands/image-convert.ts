import { convertImage } from '../../images.ts';
import { defineCommand } from '../command.ts';
import { warn } from '../output.ts';
import { imageAndTarget } from '../image-argument.ts';
import { progressPrinter } from '../progress.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'image convert',
  summary: 'make an ACI of an OCI or Docker image, or the reverse; fetched first if it is not stored',
  usage: '[flags] IMAGE OUT.aci|OUT.oci.tar|oci:DIR[:TAG]',
  maxOperands: 2,
  needsRoot: true,
  examples: [
    ['rkt image convert oci:./web:1 web.aci', 'with the configuration, so that it can be turned back'],
    ['rkt image convert web.aci oci:./web:1', 'an ACI for runtimes that know only OCI'],
  ],
  flags: { overwrite: { type: 'boolean', help: 'replace the file if there is one' } },
  async run({ flags, global, operands }) {
    const [image, out] = imageAndTarget(operands, 'OUT.aci, OUT.oci.tar or oci:DIR');
    await convertImage(settingsFrom(global), image, out, flags.overwrite, { pullPolicy: 'new', progress: progressPrinter(), warn });
    return 0;
  },
});
