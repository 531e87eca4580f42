/** An image as a source describes it, before anything of it is unpacked. */
import { createHash } from 'node:crypto';
import { RuntimeError } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import type { CheckedConfig } from '../../model/oci-schema.ts';
import { beyondLimit, type ImageLimits } from '../render/limits.ts';
import { bytesOf, type ByteRange, type ImageFiles } from './image-files.ts';

interface LayerFacts {
  readonly diffId: Digest;
  /** of the blob as it is stored, if the source tells */
  readonly digest: Digest | undefined;
  /** how to call it in messages */
  readonly what: string;
}

/** A layer that is here, as a file or part of one. */
export interface LocalLayer extends LayerFacts {
  open(): ByteRange;
}

/** A layer that is somewhere else. */
export interface RemoteLayer extends LayerFacts {
  readonly digest: Digest;
  /** as stored there */
  readonly bytes: number;
  /** Its bytes from the beginning; ends with an error when `signal` is aborted. */
  download(signal: AbortSignal): AsyncIterable<Buffer>;
  /** Told of a failed download: waits and returns true when another one may do better. */
  again(error: unknown): Promise<boolean>;
}
export type SourceLayer = LocalLayer | RemoteLayer;

export interface SourceImage {
  readonly config: CheckedConfig;
  readonly configBytes: Buffer;
  readonly configDigest: Digest;
  /** bottom first */
  readonly layers: readonly SourceLayer[];
  /** names the source gives it, canonical */
  readonly names: readonly string[];
  /** the manifest, given the uncompressed sizes of the layers; its digest is the image's id */
  manifest(tarBytes: readonly number[]): Buffer;
}

export const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

/** Reads one JSON document of an image. @throws ERR_IMAGE_INVALID when it is missing, ERR_LAYER_LIMIT when it is too large */
export function readDocument(files: ImageFiles, path: string, limits: ImageLimits): Buffer {
  using range = files.open(path);
  if (range === undefined) throw new RuntimeError('ERR_IMAGE_INVALID', `${files.what} has no ${path}`);
  if (range.bytes > limits.maxDocumentBytes) throw beyondLimit('maxDocumentBytes', `${path} of ${files.what} has ${range.bytes} bytes`);
  return bytesOf(range);
}

/** @throws ERR_IMAGE_INVALID, ERR_LAYER_LIMIT */
export function checkLayerCount(manifestLayers: number, config: CheckedConfig, limits: ImageLimits, what: string): void {
  if (manifestLayers !== config.diffIds.length) {
    throw new RuntimeError('ERR_IMAGE_INVALID', `${what} lists ${manifestLayers} layers, its configuration ${config.diffIds.length}`);
  }
  if (manifestLayers > limits.maxLayers)
    throw beyondLimit('maxLayers', `${what} has ${manifestLayers} layers; ${limits.maxLayers} are the most that can be mounted`);
}
