import { documentsOf, inspectImage } from '../../images.ts';
import { shownId } from '../../model/ids.ts';
import { defineCommand } from '../command.ts';
import { imageArgument } from '../image-argument.ts';
import { formatFlag, outJson } from '../output.ts';
import { imageJson } from '../render/image.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'image inspect',
  summary: 'print all that is known of a stored image, as JSON',
  usage: '[flags] IMAGE',
  maxOperands: 1,
  examples: [['rkt image inspect web:1', 'names, origin, configuration, digests, layers with their sizes and who else has them']],
  flags: { format: { ...formatFlag, default: 'json-pretty' } },
  run({ flags, global, operands }) {
    const settings = settingsFrom(global);
    const facts = inspectImage(settings, imageArgument(operands));
    const documents = documentsOf(settings, facts);
    const { image } = facts;
    outJson(
      {
        ...imageJson(facts),
        kind: image.appc === undefined ? 'oci' : 'aci',
        origin: image.origin,
        os: image.os,
        architecture: image.architecture,
        own_size: facts.ownBytes,
        digests: documents === undefined ? { manifest: image.appc?.manifest } : { manifest: image.id, config: documents.configDigest },
        config: image.config,
        layers: facts.layers.map(({ diffId, bytes, entries, path, sharedWith }) => ({
          diff_id: diffId,
          size: bytes,
          entries,
          path,
          shared_with: sharedWith.map((id) => shownId(id, true)),
        })),
        manifest: documents?.manifest,
        appc: image.appc,
      },
      flags.format ?? 'json-pretty',
    );
    return 0;
  },
});
