import { RuntimeError } from '../../model/errors.ts';
import { shownId } from '../../model/ids.ts';
import { fetchImages } from '../../pipeline.ts';
import { signatureFlags } from '../app-flags.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson, warn } from '../output.ts';
import { progressPrinter } from '../progress.ts';
import { pullFlags, pullPolicyOf } from '../pull-flags.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'fetch',
  summary: 'put image(s) into the store',
  usage: '[flags] IMAGE [--signature=FILE] [IMAGE2 …]',
  needsRoot: true,
  examples: [
    ['rkt fetch docker://registry.example.org/team/web:1.2', 'from a registry'],
    ['rkt fetch oci:./web:latest', 'an OCI layout directory'],
    ['rkt fetch https://example.com/app.aci', 'an ACI and its signature, https://example.com/app.aci.asc'],
    ['rkt fetch docker-archive:web.tar oci-archive:db.tar', 'files made by docker save and skopeo'],
  ],
  flags: { ...pullFlags, full: { type: 'boolean', help: 'print the whole image ID' }, format: formatFlag },
  imageFlags: signatureFlags,
  async run({ flags, global, images: wanted }) {
    if (wanted.length === 0) throw new RuntimeError('ERR_CLI_USAGE', 'fetch needs at least one image', { hint: 'rkt fetch oci:DIR' });
    if (wanted.some(({ args }) => args.length > 0)) throw new RuntimeError('ERR_CLI_USAGE', 'app arguments unsupported: fetch runs nothing');
    const references = wanted.map(({ reference }) => reference);
    const images = await fetchImages(settingsFrom(global), references, {
      pullPolicy: pullPolicyOf(flags, 'update'),
      progress: progressPrinter(),
      warn,
      signatureFiles: wanted.map((image) => image.flags.signature),
      ...(flags.format === undefined ? { onImage: ({ id }) => out(`${shownId(id, flags.full)}\n`) } : {}),
    });
    if (flags.format !== undefined)
      outJson(
        images.map(({ id, name, layers }) => ({ id, name, layers })),
        flags.format,
      );
    return 0;
  },
});
