/** The store's small files, read back. One that is damaged counts as absent: fetching the image again writes it anew. */
import { statSync } from 'node:fs';
import { readText } from '../../host/files.ts';
import { isErrno } from '../../host/linux.ts';
import { isDigest, type Digest } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { LogSeal } from './tree-log.ts';

/** What is known about an unpacked layer. */
export interface LayerRecord {
  readonly diffId: Digest;
  /** of its uncompressed tar */
  readonly tarBytes: number;
  readonly entries: number;
  /** its root hides all layers below it */
  readonly opaqueRoot: boolean;
  /** directories that it has but does not list: what is known of them is in the layers below. Names are binary strings (one character a byte) */
  readonly implicit: readonly string[];
  /** directories in which it hides something */
  readonly whitedOut: readonly string[];
  /** it says what its root is like */
  readonly listsRoot?: boolean;
  /** of the log of its unpacking */
  readonly tree?: LogSeal;
}

/** Identifies the content of a file without reading it; changes whenever somebody writes to it. */
export interface Stamp {
  readonly path: string;
  readonly state: string;
}

/** By what a server tells whether something is still what it was, and until when it need not be asked. @see RFC 9111 */
export interface Freshness {
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  readonly untilMs?: number | undefined;
}

/** A name or a place that stands for an image. */
export interface Reference {
  readonly id: Digest;
  /** what the server said about it */
  readonly freshness?: Freshness | undefined;
  /** the reference holds as long as this file is as it was */
  readonly stamp?: Stamp | undefined;
}

/** Stamp of the file at `path`; undefined when there is none. */
export function stampOf(path: string): Stamp | undefined {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return { path, state: [dev, ino, size, mtimeNs, ctimeNs].join(':') };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return undefined;
    throw error;
  }
}

export const isFresh = (stamp: Stamp): boolean => stampOf(stamp.path)?.state === stamp.state;

function readObject(path: string): Readonly<Record<string, unknown>> | undefined {
  const text = readText(path);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Every digest that `text` mentions. */
export const digestsIn = (text: string): Digest[] => [...(text.match(/\bsha(?:256|512):[0-9a-f]+\b/g) ?? [])].filter(isDigest);

const isDigestText = (value: unknown): value is Digest => typeof value === 'string' && isDigest(value);

export function readImage(path: string): StoredImage | undefined {
  const value = readObject(path);
  if (value === undefined || !isDigestText(value['id']) || typeof value['name'] !== 'string' || typeof value['config'] !== 'object') return undefined;
  const { layers } = value;
  return Array.isArray(layers) && layers.every(isDigestText) ? (value as unknown as StoredImage) : undefined;
}

export function readLayer(path: string): LayerRecord | undefined {
  const value = readObject(path);
  return value !== undefined && isDigestText(value['diffId']) && typeof value['tarBytes'] === 'number'
    ? (value as unknown as LayerRecord)
    : undefined;
}

/** The layers an image's configuration names, those that its mount leaves out included; none when it has no such configuration. `manifest`: path of its manifest; `blob`: path of a blob */
export function configDiffIds(manifest: string, blob: (digest: Digest) => string): Digest[] {
  const config = readObject(manifest)?.['config'] as { digest?: unknown } | undefined;
  const rootfs = isDigestText(config?.digest) ? (readObject(blob(config.digest))?.['rootfs'] as { diff_ids?: unknown } | undefined) : undefined;
  return Array.isArray(rootfs?.diff_ids) ? rootfs.diff_ids.filter(isDigestText) : [];
}

/** A reference that still holds. */
export function readReference(path: string): Reference | undefined {
  const value = readObject(path) as Partial<Reference> | undefined;
  if (value === undefined || !isDigestText(value.id)) return undefined;
  if (value.stamp !== undefined && !isFresh(value.stamp)) return undefined;
  return { id: value.id, stamp: value.stamp, freshness: value.freshness };
}
