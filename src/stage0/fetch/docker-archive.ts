/**
 * What `docker save` writes (and skopeo's docker-archive:) → the image that is meant. Such an archive has no
 * manifest with digests, so one is made from what identifies the content: configuration and uncompressed layers.
 * @see Docker image spec v1.2 "Combined Image JSON + Filesystem Changeset Format"
 */
import { basename } from 'node:path';
import { RuntimeError, printable } from '../../model/errors.ts';
import { canonicalImageName } from '../../model/image-name.ts';
import { checkConfig, checkDockerManifest, type DockerManifest } from '../../model/oci-schema.ts';
import type { ImageLimits } from '../render/limits.ts';
import type { ImageFiles } from './image-files.ts';
import { checkPlatform, type WantedPlatform } from './platform.ts';
import { checkLayerCount, digestOf, readDocument, type SourceImage } from './source-image.ts';

type Entry = DockerManifest[number];

/** @throws ERR_IMAGE_INVALID, ERR_IMAGE_DIGEST, ERR_IMAGE_NOT_FOUND, ERR_IMAGE_REFERENCE, ERR_IMAGE_PLATFORM, ERR_LAYER_LIMIT */
export function readDockerImage(
  files: ImageFiles,
  { ref, platform, limits }: { readonly ref: string | undefined; readonly platform: WantedPlatform; readonly limits: ImageLimits },
): SourceImage {
  const entry = selectEntry(checkDockerManifest(readDocument(files, 'manifest.json', limits), `manifest.json of ${files.what}`), ref, files.what);
  const configBytes = readDocument(files, entry.Config, limits);
  const configDigest = digestOf(configBytes);
  // Both writers call the file by its digest.
  const claimed = /^([0-9a-f]{64})(\.json)?$/.exec(basename(entry.Config))?.[1];
  if (claimed !== undefined && `sha256:${claimed}` !== configDigest) {
    throw new RuntimeError('ERR_IMAGE_DIGEST', `configuration ${claimed} of ${files.what} has the digest ${configDigest}`);
  }
  const config = checkConfig(configBytes, `configuration ${configDigest}`);
  checkPlatform(config, platform, files.what);
  const layers = entry.Layers ?? [];
  checkLayerCount(layers.length, config, limits, `manifest.json of ${files.what}`);
  return {
    config,
    configBytes,
    configDigest,
    layers: config.diffIds.map((diffId, i) => {
      const path = layers[i] ?? '';
      return {
        diffId,
        digest: undefined,
        what: `layer ${diffId}`,
        open: () => files.open(path) ?? fail(`${files.what} has no layer ${JSON.stringify(printable(path))}`),
      };
    }),
    names: [...new Set((entry.RepoTags ?? []).flatMap((tag) => canonicalImageName(tag) ?? []))],
    manifest: (tarBytes) => manifestFor(configDigest, configBytes.length, config.diffIds, tarBytes),
  };
}

const fail = (message: string): never => {
  throw new RuntimeError('ERR_IMAGE_INVALID', message);
};

function selectEntry(entries: DockerManifest, ref: string | undefined, what: string): Entry {
  const tags = entries.flatMap(({ RepoTags }) => RepoTags ?? []).map((tag) => printable(tag));
  const choices = { details: tags, ...(tags[0] === undefined ? {} : { hint: `put one of the names after the path: …:${tags[0]}` }) };
  if (ref === undefined) {
    const [only] = entries;
    if (entries.length === 1 && only !== undefined) return only;
    throw new RuntimeError('ERR_IMAGE_REFERENCE', `${what} holds ${entries.length} images: say which`, choices);
  }
  const place = /^@(\d+)$/.exec(ref)?.[1];
  const wanted = canonicalImageName(ref);
  const found =
    place === undefined
      ? entries.find(({ RepoTags }) => (RepoTags ?? []).some((tag) => tag === ref || canonicalImageName(tag) === wanted))
      : entries[Number(place)];
  if (found === undefined) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `${what} has no image named ${JSON.stringify(printable(ref))}`, choices);
  return found;
}

/** The same bytes for the same image, however its archive was packed. */
function manifestFor(configDigest: string, configBytes: number, diffIds: readonly string[], tarBytes: readonly number[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: configDigest, size: configBytes },
      layers: diffIds.map((digest, i) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size: tarBytes[i] ?? 0 })),
    }),
  );
}
