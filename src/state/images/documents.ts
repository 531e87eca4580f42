/** The documents an image came with, as they were. */
import { readText } from '../../host/files.ts';
import { RuntimeError } from '../../model/errors.ts';
import { isDigest, type Digest } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import { imagePaths } from './layout.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface OciDocuments {
  readonly manifest: JsonObject;
  readonly configDigest: Digest;
  readonly config: JsonObject;
  /** of its layers, bottom first; those that its mount leaves out are among them */
  readonly diffIds: readonly Digest[];
}

/** @throws ERR_STORE_IO when it is damaged or gone */
export function readBlob(dataDir: string, digest: Digest): JsonObject {
  const text = readText(imagePaths(dataDir).blob(digest));
  let value: unknown;
  try {
    value = text === undefined ? undefined : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new RuntimeError('ERR_STORE_IO', `document ${digest} of the store is ${text === undefined ? 'missing' : 'damaged'}`, {
    hint: 'rkt image rm the image and fetch it again',
  });
}

/** Manifest and configuration of an OCI or Docker image. @throws ERR_STORE_IO */
export function ociDocuments(dataDir: string, { id }: Pick<StoredImage, 'id'>): OciDocuments {
  const manifest = readBlob(dataDir, id);
  const digest = (manifest['config'] as { digest?: unknown } | undefined)?.digest;
  if (typeof digest !== 'string' || !isDigest(digest)) throw new RuntimeError('ERR_STORE_IO', `manifest ${id} of the store names no configuration`);
  const config = readBlob(dataDir, digest);
  const diffIds = (config['rootfs'] as { diff_ids?: unknown } | undefined)?.diff_ids;
  return {
    manifest,
    configDigest: digest,
    config,
    diffIds: Array.isArray(diffIds) ? diffIds.filter((item): item is Digest => typeof item === 'string' && isDigest(item)) : [],
  };
}
