import { RuntimeError } from '../../model/errors.ts';
import { shownId } from '../../model/ids.ts';
import { fetchImages } from '../../pipeline.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson, warn } from '../output.ts';
import { progressPrinter } from '../progress.ts';
import { pullFlags, pullPolicyOf } from '../pull-flags.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'fetch',
  summary: 'put image(s) into the store',
  usage: '[flags] IMAGE…',
  maxOperands: Infinity,
  needsRoot: true,
  examples: [
    ['rkt fetch docker://registry.example.org/team/web:1.2', 'from a registry'],
    ['rkt fetch oci:./web:latest', 'an OCI layout directory'],
    ['rkt fetch https://example.com/app.aci', 'an ACI and its signature, https://example.com/app.aci.asc'],
    ['rkt fetch docker-archive:web.tar oci-archive:db.tar', 'files made by docker save and skopeo'],
  ],
  flags: {
    ...pullFlags,
    signature: { type: 'string', value: 'FILE', help: 'signature of the ACI (one image only)', default: 'IMAGE.asc' },
    full: { type: 'boolean', help: 'print the whole image ID' },
    format: formatFlag,
  },
  async run({ flags, global, operands }) {
    if (operands.length === 0) throw new RuntimeError('ERR_CLI_USAGE', 'fetch needs at least one image', { hint: 'rkt fetch oci:DIR' });
    if (flags.signature !== undefined && operands.length > 1)
      throw new RuntimeError('ERR_CLI_USAGE', '--signature is of one image, and there are several', { hint: 'fetch that image alone' });
    const images = await fetchImages(settingsFrom(global), operands, {
      pullPolicy: pullPolicyOf(flags, 'update'),
      progress: progressPrinter(),
      warn,
      signatureFiles: [flags.signature],
    });
    if (flags.format !== undefined)
      outJson(
        images.map(({ id, name, layers }) => ({ id, name, layers })),
        flags.format,
      );
    else for (const { id } of images) out(`${shownId(id, flags.full)}\n`);
    return 0;
  },
});
