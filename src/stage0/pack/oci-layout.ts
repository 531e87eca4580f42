/** An image → an OCI layout: one more in a directory that is one already, or a new one. @see OCI image-spec 1.1 image-layout.md */
import { createHash } from 'node:crypto';
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, writeAtomic } from '../../host/files.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import { checkIndex } from '../../model/oci-schema.ts';
import type { OciConfig } from './appc-view.ts';
import { TarWriter, fileSink } from './tar-writer.ts';

export interface PackedImage {
  /** without its layers */
  readonly config: OciConfig;
  /** of the configuration; kept when it speaks of as many layers as there are */
  readonly history: unknown;
  /** bottom first; each writes its members */
  readonly layers: readonly ((tar: TarWriter) => void)[];
}

interface Written {
  readonly digest: Digest;
  readonly size: number;
}

const refName = 'org.opencontainers.image.ref.name';
const types = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

/** Whether `directory` may become a layout: it is not there, empty, or one already. */
export const canHoldLayout = (directory: string): boolean =>
  !existsSync(directory) || readdirSync(directory).length === 0 || existsSync(join(directory, 'oci-layout'));

/** Writes the image under `tag`; an image that had the tag loses it. @returns the manifest's digest. @throws ERR_IMAGE_INVALID for a damaged index that is there */
export function writeOciLayout(directory: string, tag: string, image: PackedImage): Digest {
  const blobs = join(directory, 'blobs/sha256');
  makeDirectory(blobs, 0o755);
  const put = (value: object): Written => {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
    writeAtomic(join(blobs, digest.slice('sha256:'.length)), bytes, { mode: 0o644, durable: true });
    return { digest, size: bytes.length };
  };
  const layers = image.layers.map((layer) => writeLayer(blobs, layer));
  const config = put({
    ...image.config,
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    ...(speaksOf(image.history, layers.length) ? { history: image.history } : {}),
  });
  const manifest = put({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, ...config },
    layers: layers.map((layer) => ({ mediaType: types.layer, ...layer })),
  });
  const platform = { os: image.config['os'], architecture: image.config['architecture'] };
  const entry = { mediaType: types.manifest, ...manifest, platform, annotations: { [refName]: tag } };
  const others = existingEntries(directory).filter(({ annotations }) => annotations?.[refName] !== tag);
  writeAtomic(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}', { mode: 0o644 });
  const index = { schemaVersion: 2, mediaType: types.index, manifests: [...others, entry] };
  writeAtomic(join(directory, 'index.json'), JSON.stringify(index), { mode: 0o644, durable: true });
  return manifest.digest;
}

type Entry = { readonly annotations?: Readonly<Record<string, string>> | null };

function existingEntries(directory: string): readonly Entry[] {
  const path = join(directory, 'index.json');
  if (!existsSync(path)) return [];
  const bytes = readFileSync(path);
  checkIndex(bytes, path);
  // As they were, unknown fields included.
  return (JSON.parse(bytes.toString()) as { manifests: readonly Entry[] }).manifests;
}

/** Each entry of a history that is not empty is a layer. */
const speaksOf = (history: unknown, layers: number): boolean =>
  Array.isArray(history) &&
  history.filter((step: unknown) => typeof step === 'object' && step !== null && (step as { empty_layer?: unknown }).empty_layer !== true).length ===
    layers;

/** Uncompressed: blob and content have one digest, and the next reader need not decompress. */
function writeLayer(blobs: string, write: (tar: TarWriter) => void): Written {
  const temporary = join(blobs, `.layer.${process.pid}`);
  const hash = createHash('sha256');
  const fd = openSync(temporary, 'w', 0o644);
  try {
    const sink = fileSink(fd);
    const tar = new TarWriter((bytes) => {
      hash.update(bytes);
      sink(bytes);
    });
    write(tar);
    tar.finish();
    fsyncSync(fd);
    const hex = hash.digest('hex');
    renameSync(temporary, join(blobs, hex));
    return { digest: `sha256:${hex}` as Digest, size: tar.position };
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** @throws ERR_IMAGE_OUTPUT */
export function requireLayoutPlace(written: string, directory: string): void {
  if (!canHoldLayout(directory))
    throw new RuntimeError('ERR_IMAGE_OUTPUT', `${written} is a directory that is no OCI layout`, {
      hint: 'give an empty directory, or one that is not there',
    });
}
