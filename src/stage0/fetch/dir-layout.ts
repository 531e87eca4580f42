/**
 * skopeo's `dir:` layout: manifest.json, and every blob in a file that is called by its digits. One image, or a list of images
 * whose manifests are `DIGITS.manifest.json`. @see containers-transports(5) "dir"; containers/image directory/directory_transport.go
 */
import { RuntimeError } from '../../model/errors.ts';
import type { Descriptor } from '../../model/oci-schema.ts';
import type { ImageFiles } from './image-files.ts';
import { indexTypes, manifestTypes } from './media-types.ts';
import { imageAt, type OciRequest } from './oci-layout.ts';
import { digestOf, readDocument, type SourceImage } from './source-image.ts';

/** Its blobs where an OCI layout has them. */
function asLayout(files: ImageFiles): ImageFiles {
  return {
    what: files.what,
    open(path) {
      const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
      return hex === undefined ? files.open(path) : (files.open(hex) ?? files.open(`${hex}.manifest.json`));
    },
    [Symbol.dispose]: () => files[Symbol.dispose](),
  };
}

/** @throws ERR_IMAGE_INVALID, ERR_IMAGE_DIGEST, ERR_IMAGE_REFERENCE, ERR_IMAGE_PLATFORM, ERR_LAYER_LIMIT */
export function readDirImage(files: ImageFiles, request: OciRequest): SourceImage {
  if (request.ref !== undefined)
    throw new RuntimeError('ERR_IMAGE_REFERENCE', `${files.what} holds one image, and no name for it`, { hint: 'leave out what follows the path' });
  const bytes = readDocument(files, 'manifest.json', request.limits);
  const digest = digestOf(bytes);
  const mediaType = typeIn(bytes, `manifest.json of ${files.what}`);
  const top: Descriptor = { mediaType, digest, size: bytes.length };
  const layout = asLayout(files);
  // The manifest itself is in no blob.
  const open: ImageFiles['open'] = (path) => (path === `blobs/${digest.replace(':', '/')}` ? files.open('manifest.json') : layout.open(path));
  return imageAt({ ...layout, open }, top, request);
}

/** Manifests of OCI need not say what they are. @throws ERR_IMAGE_INVALID */
function typeIn(bytes: Buffer, what: string): string {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch (cause) {
    throw new RuntimeError('ERR_IMAGE_INVALID', `${what} is not JSON`, { cause });
  }
  const { mediaType, manifests } = (typeof value === 'object' && value !== null ? value : {}) as { mediaType?: unknown; manifests?: unknown };
  if (typeof mediaType === 'string') return mediaType;
  return (manifests === undefined ? manifestTypes[0] : indexTypes[0]) ?? '';
}
