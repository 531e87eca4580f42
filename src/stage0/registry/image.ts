/**
 * A reference to a registry → the image for this machine, its layers ready to be downloaded.
 * @see OCI distribution-spec 1.1 "Pull"; OCI image-spec 1.1; containers-registries.conf(5) for mirrors
 */
import { RuntimeError, isCode, isRuntimeError, messageOf, printable } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import { checkConfig, checkIndex, checkManifest, type Descriptor, type OciManifest } from '../../model/oci-schema.ts';
import { endpointsOf } from '../../model/registries.ts';
import { checkLayerType, indexTypes, isImage, manifestTypes } from '../fetch/media-types.ts';
import { checkPlatform, choosePlatform, type WantedPlatform } from '../fetch/platform.ts';
import { checkLayerCount, type RemoteLayer, type SourceImage } from '../fetch/source-image.ts';
import type { HttpClient } from '../http/client.ts';
import { isRestartable } from '../http/download.ts';
import type { ImageLimits } from '../render/limits.ts';
import type { RegistryAccess } from './access.ts';
import { shownReference, type RegistryReference } from './name.ts';
import { Repository, type Document } from './repository.ts';

/** An index in an index in an index: more is a joke or an attack. */
const maxDepth = 4;
/** Downloads of one layer whose content was wrong. */
const maxDownloads = 3;

/** What a tag or a digest stands for at the moment. */
export interface FoundImage {
  /** of the manifest for this machine: the image's id */
  readonly id: Digest;
  /** of what the tag names: an index, or the same manifest */
  readonly topDigest: Digest;
  /** Loads the configuration: everything but the layers. @throws ERR_IMAGE_*, ERR_LAYER_LIMIT, ERR_REGISTRY_*, ERR_HTTP_* */
  read(): Promise<SourceImage>;
}

export interface RegistryRequest {
  readonly access: RegistryAccess;
  readonly http: HttpClient;
  readonly platform: WantedPlatform;
  readonly limits: ImageLimits;
  /** something is stored for the reference: it is cheaper to ask first whether that still holds */
  readonly isStored: boolean;
  /** whether the image that this digest (of an index or manifest) stands for is here already */
  readonly isKnown: (topDigest: string) => boolean;
}

/**
 * Asks the mirrors, then the registry itself.
 * @returns undefined when the tag still stands for something that is known
 * @throws the last one's error, which lists what the ones before said
 */
export async function findImage(reference: RegistryReference, request: RegistryRequest): Promise<FoundImage | undefined> {
  const { access, http, limits } = request;
  const { endpoints, blockedBy } = endpointsOf(access.registries, reference.registry, reference.repository);
  if (blockedBy !== undefined)
    throw new RuntimeError('ERR_REGISTRY_DENIED', `${shownReference(reference)}: no image of this registry is fetched`, {
      hint: `${blockedBy} blocks it`,
    });
  const earlier: string[] = [];
  for (const [i, endpoint] of endpoints.entries()) {
    const repository = new Repository(endpoint, access, http);
    try {
      const tagOrDigest = reference.digest ?? reference.tag ?? 'latest';
      const current = reference.digest ?? (request.isStored ? await repository.digestOfTag(tagOrDigest) : undefined);
      if (current !== undefined && request.isKnown(current)) return undefined;
      const top = await repository.manifest(tagOrDigest, limits.maxDocumentBytes);
      // Whoever comes after in the list may have what this one turns out not to have.
      const others = endpoints.slice(i + 1).map((other) => new Repository(other, access, http));
      return await resolveTop(top, [repository, ...others], request);
    } catch (error) {
      if (!isRuntimeError(error) || i === endpoints.length - 1) throw withEarlier(error, earlier);
      earlier.push(`mirror ${endpoint.location}: ${messageOf(error)}`);
    }
  }
  throw new RuntimeError('ERR_REGISTRY_PROTOCOL', `${shownReference(reference)} is served from nowhere`);
}

function withEarlier(error: unknown, earlier: readonly string[]): unknown {
  if (!isRuntimeError(error) || earlier.length === 0) return error;
  return new RuntimeError(error.code, error.message, {
    cause: error,
    details: [...earlier, ...error.details],
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}

/** Follows indexes down to the manifest for this machine. */
async function resolveTop(top: Document, sources: readonly [Repository, ...Repository[]], request: RegistryRequest): Promise<FoundImage> {
  const [repository] = sources;
  const { platform, limits } = request;
  let document = top;
  for (let depth = 0; depth < maxDepth; depth++) {
    const what = `${document.digest} of ${repository.name}`;
    if (kindOf(document, what) === 'manifest') {
      const manifest = checkManifest(document.bytes, `manifest ${what}`);
      const found = document;
      return { id: found.digest, topDigest: top.digest, read: () => readImage(manifest, found, sources, request) };
    }
    const { manifests } = checkIndex(document.bytes, `index ${what}`);
    const chosen = choosePlatform(manifests.filter(isImage), platform, repository.name);
    document = await repository.manifest(chosen.digest, limits.maxDocumentBytes);
    if (document.bytes.length !== chosen.size)
      throw new RuntimeError(
        'ERR_IMAGE_DIGEST',
        `manifest ${chosen.digest} of ${repository.name} has ${document.bytes.length} bytes, its descriptor says ${chosen.size}`,
      );
  }
  throw new RuntimeError('ERR_IMAGE_INVALID', `${repository.name} has indexes inside indexes, ${maxDepth} deep`);
}

/**
 * Content-Type and the document must agree on what it is: one that is two things at once is an attack.
 * @see CVE-2021-41190
 */
function kindOf({ bytes, type }: Document, what: string): 'manifest' | 'index' {
  const { mediaType, schemaVersion, hasLayers, hasManifests } = outlineOf(bytes);
  if (type.startsWith('application/vnd.docker.distribution.manifest.v1') || schemaVersion === 1)
    throw new RuntimeError(
      'ERR_IMAGE_INVALID',
      `manifest ${what} is in Docker's old format (schema 1), which names no configuration and cannot be verified`,
      {
        hint: 'push the image again with a current docker, podman or skopeo: skopeo copy --format oci docker://… docker://…',
      },
    );
  const kindOfType = (name: string | undefined): 'manifest' | 'index' | undefined =>
    name === undefined ? undefined : indexTypes.includes(name) ? 'index' : manifestTypes.includes(name) ? 'manifest' : undefined;
  const kinds = new Set([kindOfType(type), kindOfType(mediaType)].filter((kind) => kind !== undefined));
  if (kinds.size > 1 || (hasLayers && hasManifests))
    throw new RuntimeError('ERR_REGISTRY_PROTOCOL', `${what} is a manifest and an index at once`, {
      hint: 'somebody made it to be two images: do not trust it',
    });
  const [kind] = kinds;
  if (kind !== undefined) return kind;
  if (mediaType === undefined && hasLayers) return 'manifest';
  if (mediaType === undefined && hasManifests) return 'index';
  throw new RuntimeError(
    'ERR_REGISTRY_PROTOCOL',
    `${what} is no image but ${printable(mediaType ?? (type === '' ? 'something without a type' : type))}`,
    {
      hint: /html|text/.test(type)
        ? 'is this a registry, or does a proxy or login page answer in its place?'
        : 'artifacts of other kinds cannot be run',
    },
  );
}

function outlineOf(bytes: Buffer): { mediaType: string | undefined; schemaVersion: unknown; hasLayers: boolean; hasManifests: boolean } {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const object = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  return {
    mediaType: typeof object['mediaType'] === 'string' ? object['mediaType'] : undefined,
    schemaVersion: object['schemaVersion'],
    hasLayers: 'layers' in object || 'config' in object,
    hasManifests: 'manifests' in object,
  };
}

async function readImage(
  manifest: OciManifest,
  document: Document,
  sources: readonly [Repository, ...Repository[]],
  { platform, limits }: RegistryRequest,
): Promise<SourceImage> {
  const [repository] = sources;
  for (const layer of manifest.layers) checkLayerType(layer, repository.name);
  if (manifest.config.size > limits.maxDocumentBytes)
    throw new RuntimeError('ERR_LAYER_LIMIT', `configuration ${manifest.config.digest} of ${repository.name} has ${manifest.config.size} bytes`);
  const configBytes = await fromAny(sources, (source) => source.document(manifest.config.digest, manifest.config.size));
  const config = checkConfig(configBytes, `configuration ${manifest.config.digest}`);
  checkPlatform(config, platform, repository.name);
  checkLayerCount(manifest.layers.length, config, limits, `manifest ${document.digest}`);
  return {
    config,
    configBytes,
    configDigest: manifest.config.digest,
    layers: manifest.layers.map((layer, i) => remoteLayer(layer, config.diffIds[i] ?? layer.digest, sources)),
    names: [],
    manifest: () => document.bytes,
  };
}

/** What the first place that has it gives; what the last one says when none has. */
async function fromAny<T>([first, ...others]: readonly [Repository, ...Repository[]], ask: (source: Repository) => Promise<T>): Promise<T> {
  try {
    return await ask(first);
  } catch (error) {
    const [next, ...rest] = others;
    if (next === undefined || !isOfSource(error)) throw error;
    return fromAny([next, ...rest], ask);
  }
}

/** A failure that another place may not have. */
const isOfSource = (error: unknown): boolean => isRuntimeError(error) && /^ERR_(HTTP|REGISTRY)_|^ERR_IMAGE_(INVALID|DIGEST)$/.test(error.code);

function remoteLayer({ digest, size }: Descriptor, diffId: Digest, sources: readonly Repository[]): RemoteLayer {
  let source = 0;
  let downloads = 1;
  return {
    diffId,
    digest,
    bytes: size,
    what: `layer ${digest}`,
    download: (signal) => (sources[source] as Repository).blob(digest, size, signal),
    async again(error) {
      const damaged = isRestartable(error) || isCode(error, 'ERR_IMAGE_DIGEST');
      if (damaged && downloads < maxDownloads) {
        await (sources[source] as Repository).pause(downloads, `layer ${digest}: ${messageOf(error)}`);
        downloads++;
        return true;
      }
      if (!isOfSource(error) || source === sources.length - 1) return false;
      source++;
      downloads = 1;
      return true;
    },
  };
}
