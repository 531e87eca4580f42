/** What the parts of images are called. @see OCI image-spec 1.1 media-types.md; Docker image manifest v2 schema 2 */
import { RuntimeError, printable } from '../../model/errors.ts';
import type { Descriptor } from '../../model/oci-schema.ts';

export const indexTypes = ['application/vnd.oci.image.index.v1+json', 'application/vnd.docker.distribution.manifest.list.v2+json'];
export const manifestTypes = ['application/vnd.oci.image.manifest.v1+json', 'application/vnd.docker.distribution.manifest.v2+json'];
const layerTypes = [
  'application/vnd.oci.image.layer.v1.tar',
  'application/vnd.oci.image.layer.v1.tar+gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd',
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
];

/** What an index may list that can be or lead to an image. */
export const isImage = ({ mediaType }: Descriptor): boolean =>
  mediaType == null || indexTypes.includes(mediaType) || manifestTypes.includes(mediaType);

/** @throws ERR_IMAGE_INVALID for what is no file system */
export function checkLayerType({ mediaType, digest }: Descriptor, what: string): void {
  if (mediaType == null || layerTypes.includes(mediaType)) return;
  const encrypted = mediaType.endsWith('+encrypted');
  throw new RuntimeError(
    'ERR_IMAGE_INVALID',
    `layer ${digest} of ${what} is ${encrypted ? 'encrypted' : `${printable(mediaType)}, which is no file system`}`,
  );
}
