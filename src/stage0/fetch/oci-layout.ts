/** An OCI image layout → the image that is meant. @see OCI image-spec 1.1 image-layout.md, annotations.md; Docker image manifest v2 schema 2 */
import { basename } from 'node:path';
import { RuntimeError, printable } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import { canonicalImageName } from '../../model/image-name.ts';
import { checkConfig, checkIndex, checkLayoutFile, checkManifest, type Descriptor } from '../../model/oci-schema.ts';
import type { ImageLimits } from '../render/limits.ts';
import type { ByteRange, ImageFiles } from './image-files.ts';
import { checkLayerType, indexTypes, isImage, manifestTypes } from './media-types.ts';
import { checkPlatform, choosePlatform, type WantedPlatform } from './platform.ts';
import { checkLayerCount, digestOf, readDocument, type SourceImage, type LocalLayer } from './source-image.ts';

const refName = 'org.opencontainers.image.ref.name';
const fullName = 'io.containerd.image.name';
/** An index in an index in an index: more is a joke or an attack. */
const maxDepth = 4;

export interface OciRequest {
  readonly ref: string | undefined;
  /** of the directory or archive: what an image is called that only has a tag */
  readonly path: string;
  readonly platform: WantedPlatform;
  readonly limits: ImageLimits;
}

/** @throws ERR_IMAGE_INVALID, ERR_IMAGE_DIGEST, ERR_IMAGE_REFERENCE, ERR_IMAGE_PLATFORM, ERR_LAYER_LIMIT */
export function readOciImage(files: ImageFiles, request: OciRequest): SourceImage {
  const { limits } = request;
  checkLayoutFile(readDocument(files, 'oci-layout', limits), `oci-layout of ${files.what}`);
  const index = checkIndex(readDocument(files, 'index.json', limits), `index.json of ${files.what}`);
  return imageAt(files, selectImage(index.manifests, request, files.what), request);
}

/** The image of a descriptor, which may be that of an index. @throws what {@link readOciImage} does */
export function imageAt(files: ImageFiles, top: Descriptor, request: OciRequest): SourceImage {
  const { limits, platform } = request;
  const { bytes, digest } = resolveManifest(files, top, request);
  const manifest = checkManifest(bytes, `manifest ${digest}`);
  const configBytes = readBlob(files, manifest.config, limits);
  const config = checkConfig(configBytes, `configuration ${manifest.config.digest}`);
  checkPlatform(config, platform, files.what);
  checkLayerCount(manifest.layers.length, config, limits, `manifest ${digest}`);
  return {
    config,
    configBytes,
    configDigest: manifest.config.digest,
    layers: manifest.layers.map((layer, i) => sourceLayer(files, layer, config.diffIds[i] ?? layer.digest)),
    names: namesOf(top, request.path),
    manifest: () => bytes,
  };
}

/** The entry of index.json that `ref` names; without one, the only image, or the one tagged "latest". */
function selectImage(entries: readonly Descriptor[], { ref, platform }: OciRequest, what: string): Descriptor {
  const images = entries.filter(isImage);
  const tagOf = ({ annotations }: Descriptor): string | undefined => annotations?.[refName];
  const known = [...new Set(images.flatMap((image) => tagOf(image) ?? []))];
  const pick = (candidates: readonly Descriptor[]): Descriptor =>
    candidates.length === 1 && candidates[0] !== undefined ? candidates[0] : choosePlatform(candidates, platform, what);
  const choices = {
    details: known.map((tag) => printable(tag)),
    hint: known.length === 0 ? 'its images have no names' : `put one of the names after the path: …:${printable(known[0] ?? '')}`,
  };
  if (ref !== undefined) {
    const named = images.filter((image) => tagOf(image) === ref || image.annotations?.[fullName] === ref);
    if (named.length === 0) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `${what} has no image named ${JSON.stringify(printable(ref))}`, choices);
    return pick(named);
  }
  if (images.length === 0) throw new RuntimeError('ERR_IMAGE_INVALID', `${what} holds no image`);
  if (known.length <= 1) return pick(images);
  const latest = images.filter((image) => tagOf(image) === 'latest');
  if (latest.length === 0) throw new RuntimeError('ERR_IMAGE_REFERENCE', `${what} holds ${known.length} images: say which`, choices);
  return pick(latest);
}

/** Follows indexes down to the manifest for this machine. */
function resolveManifest(files: ImageFiles, top: Descriptor, { platform, limits }: OciRequest): { bytes: Buffer; digest: Digest } {
  let descriptor = top;
  for (let depth = 0; depth < maxDepth; depth++) {
    const bytes = readBlob(files, descriptor, limits);
    const type = descriptor.mediaType ?? manifestTypes[0] ?? '';
    if (manifestTypes.includes(type)) return { bytes, digest: descriptor.digest };
    if (!indexTypes.includes(type))
      throw new RuntimeError('ERR_IMAGE_INVALID', `${descriptor.digest} of ${files.what} is no image but ${printable(type)}`);
    const { manifests } = checkIndex(bytes, `index ${descriptor.digest}`);
    descriptor = choosePlatform(manifests.filter(isImage), platform, files.what);
  }
  throw new RuntimeError('ERR_IMAGE_INVALID', `${files.what} has indexes inside indexes, ${maxDepth} deep`);
}

function openBlob(files: ImageFiles, { digest, size, urls }: Descriptor): ByteRange {
  const range = files.open(`blobs/${digest.replace(':', '/')}`);
  if (range === undefined) {
    throw new RuntimeError(
      'ERR_IMAGE_INVALID',
      `${files.what} has no blob ${digest}`,
      urls == null ? {} : { hint: `it is kept elsewhere: ${printable(urls.join(' '))}` },
    );
  }
  if (range.bytes !== size) {
    range[Symbol.dispose]();
    throw new RuntimeError('ERR_IMAGE_DIGEST', `blob ${digest} of ${files.what} has ${range.bytes} bytes, its descriptor says ${size}`);
  }
  return range;
}

/** A document, verified. */
function readBlob(files: ImageFiles, descriptor: Descriptor, limits: ImageLimits): Buffer {
  openBlob(files, descriptor)[Symbol.dispose]();
  const bytes = readDocument(files, `blobs/${descriptor.digest.replace(':', '/')}`, limits);
  if (digestOf(bytes) !== descriptor.digest)
    throw new RuntimeError('ERR_IMAGE_DIGEST', `blob ${descriptor.digest} of ${files.what} has the digest ${digestOf(bytes)}`);
  return bytes;
}

function sourceLayer(files: ImageFiles, descriptor: Descriptor, diffId: Digest): LocalLayer {
  checkLayerType(descriptor, files.what);
  const { digest } = descriptor;
  return { diffId, digest, what: `layer ${digest}`, open: () => openBlob(files, descriptor) };
}

/** A full name when the layout gives one; else the layout's own name with the tag, so that `oci:./web:1` can be run as `web:1`. */
function namesOf({ annotations }: Descriptor, path: string): string[] {
  const given = annotations?.[refName] ?? '';
  const own = basename(path)
    .replace(/(\.oci)?(\.tar|\.tgz)?(\.gz|\.zst)?$/, '')
    .toLowerCase();
  const candidates = [annotations?.[fullName] ?? '', /[/:]/.test(given) ? given : given === '' ? own : `${own}:${given}`];
  return [...new Set(candidates.flatMap((candidate) => canonicalImageName(candidate) ?? []))];
}
