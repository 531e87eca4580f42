/** What volumes need before a pod is made: their images, and what they are made of on the host. */
import { statSync } from 'node:fs';
import { RuntimeError, isErrno, messageOf } from '../model/errors.ts';
import type { StoredImage } from '../model/oci.ts';
import type { RunOptions } from '../model/options.ts';
import type { PodManifest, PodVolume } from '../model/pod.ts';
import { withVolumes, type CompletedManifest } from '../stage0/prepare/volumes.ts';
import { writeVolumeImage } from '../state/pod/volume-images.ts';

export interface ImageVolume {
  readonly name: string;
  /** of its image */
  readonly reference: string;
}

/** The image volumes among `volumes`: their images are fetched with those of the apps. */
export const imageVolumes = (volumes: readonly PodVolume[]): ImageVolume[] =>
  volumes.flatMap(({ kind, name, image }) => (kind === 'image' && image !== undefined ? [{ name, reference: image }] : []));

/** Which image each is of, in the pod's directory; while the images are held. */
export function recordVolumeImages(podDir: string, volumes: readonly ImageVolume[], images: readonly StoredImage[]): void {
  for (const [i, { name }] of volumes.entries()) {
    const image = images[i];
    if (image !== undefined) writeVolumeImage(podDir, name, image);
  }
}

/** The manifest with all of its volumes and mounts, every source of the host being there. @throws ERR_POD_MANIFEST listing every fault */
export function completeManifest(
  manifest: PodManifest,
  images: readonly StoredImage[],
  { volumes, mounts, apps }: Pick<RunOptions, 'volumes' | 'mounts' | 'apps'>,
): CompletedManifest {
  const complete = withVolumes(manifest, images, { volumes, mounts, appMounts: apps.map((app) => app.mounts) });
  requireSources(complete.manifest);
  return complete;
}

/** @throws ERR_POD_MANIFEST for volumes of the host that are not there: nothing is made in their place */
function requireSources({ volumes = [], apps }: PodManifest): void {
  const used = new Set(apps.flatMap(({ mounts = [] }) => mounts.map(({ volume }) => volume)));
  const faults = volumes.flatMap(({ kind, name, source = '' }) => {
    if (kind !== 'host' || !used.has(name)) return [];
    try {
      statSync(source);
      return [];
    } catch (error) {
      return [`volume "${name}": Failed to stat ${source}: ${isErrno(error, 'ENOENT') ? 'No such file or directory' : messageOf(error)}`];
    }
  });
  if (faults.length === 0) return;
  throw new RuntimeError('ERR_POD_MANIFEST', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} volumes of the host are not there`, {
    details: faults.length === 1 ? [] : faults,
  });
}
