/**
 * What OCI and Docker images are made of, checked. Every fault of a document is listed, not only the first.
 * @see OCI image-spec 1.1: descriptor.md, image-index.md, manifest.md, config.md, image-layout.md; Docker image spec v1.2 (manifest.json)
 */
import * as z from 'zod/mini';
import { checkDocument as check, must } from './document.ts';
import { isDigest, type Digest } from './ids.ts';
import type { ImageConfig } from './oci.ts';

const text = z.string({ error: must('a string') });
const texts = z.array(text, { error: must('a list of strings') });
const nameMap = z.record(z.string(), z.unknown(), { error: must('an object') });
const textMap = z.record(z.string(), text, { error: must('an object of strings') });
// An image of another algorithm is refused here: what is verified is SHA-256.
const digest = z.custom<Digest>((value) => typeof value === 'string' && isDigest(value) && value.startsWith('sha256:'), {
  error: must('sha256: and 64 hexadecimal digits'),
});
const size = z
  .number({ error: must('a number of bytes') })
  .check(z.refine((value) => Number.isSafeInteger(value) && value >= 0, { error: must('a number of bytes') }));

const platform = z.object({ os: text, architecture: text, variant: z.nullish(text) }, { error: must('an object') });
const descriptor = z.object(
  { mediaType: z.nullish(text), digest, size, annotations: z.nullish(textMap), platform: z.nullish(platform), urls: z.nullish(texts) },
  { error: must('a descriptor') },
);
export type Descriptor = z.infer<typeof descriptor>;
export type Platform = z.infer<typeof platform>;

const version = z.literal(2, { error: must('2') });
const index = z.object(
  { schemaVersion: version, mediaType: z.nullish(text), manifests: z.array(descriptor, { error: must('a list of descriptors') }) },
  { error: must('an object') },
);
const manifest = z.object(
  { schemaVersion: version, mediaType: z.nullish(text), config: descriptor, layers: z.array(descriptor, { error: must('a list of descriptors') }) },
  { error: must('an object') },
);
export type OciIndex = z.infer<typeof index>;
export type OciManifest = z.infer<typeof manifest>;

const settings = z.object(
  {
    User: z.nullish(text),
    ExposedPorts: z.nullish(nameMap),
    Env: z.nullish(texts),
    Entrypoint: z.nullish(texts),
    Cmd: z.nullish(texts),
    Volumes: z.nullish(nameMap),
    WorkingDir: z.nullish(text),
    Labels: z.nullish(textMap),
    StopSignal: z.nullish(text),
  },
  { error: must('an object') },
);
const config = z.object(
  {
    os: text,
    architecture: text,
    variant: z.nullish(text),
    config: z.nullish(settings),
    rootfs: z.object(
      { type: z.literal('layers', { error: must('"layers"') }), diff_ids: z.array(digest, { error: must('a list of digests') }) },
      { error: must('an object') },
    ),
  },
  { error: must('an object') },
);
const layout = z.object({ imageLayoutVersion: z.literal('1.0.0', { error: must('"1.0.0"') }) }, { error: must('an object') });
const dockerManifest = z
  .array(z.object({ Config: text, RepoTags: z.nullish(texts), Layers: z.nullish(texts) }, { error: must('an object') }), {
    error: must('a list of images'),
  })
  .check(z.minLength(1, 'must name at least one image'));
export type DockerManifest = z.infer<typeof dockerManifest>;

/** An image's configuration file, as far as rkt reads it. */
export interface CheckedConfig {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
  readonly config: ImageConfig;
  /** digests of the uncompressed layers, bottom first */
  readonly diffIds: readonly Digest[];
}

export const checkIndex = (bytes: Uint8Array, what: string): OciIndex => check(index, bytes, what);
export const checkManifest = (bytes: Uint8Array, what: string): OciManifest => check(manifest, bytes, what);
export const checkLayoutFile = (bytes: Uint8Array, what: string): void => void check(layout, bytes, what);
export const checkDockerManifest = (bytes: Uint8Array, what: string): DockerManifest => check(dockerManifest, bytes, what);

/** Checks an image configuration and turns it into rkt's own shape: nothing is undefined or null in it. */
export function checkConfig(bytes: Uint8Array, what: string): CheckedConfig {
  const { os, architecture, variant, config: given, rootfs } = check(config, bytes, what);
  return {
    os,
    architecture,
    variant: variant ?? '',
    diffIds: rootfs.diff_ids,
    config: {
      entrypoint: given?.Entrypoint ?? [],
      cmd: given?.Cmd ?? [],
      env: given?.Env ?? [],
      user: given?.User ?? '',
      workingDir: given?.WorkingDir ?? '',
      exposedPorts: Object.keys(given?.ExposedPorts ?? {}),
      volumes: Object.keys(given?.Volumes ?? {}),
      stopSignal: given?.StopSignal ?? '',
      labels: given?.Labels ?? {},
    },
  };
}
