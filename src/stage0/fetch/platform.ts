/** Which of an index's images this machine can run. Pure. @see OCI image-spec 1.1 image-index.md "platform" */
import { RuntimeError } from '../../model/errors.ts';
import type { Descriptor, Platform } from '../../model/oci-schema.ts';

/** Go's names for what Node calls architectures. */
const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
  loong64: 'loong64',
};

export interface WantedPlatform {
  readonly os: string;
  readonly architecture: string;
  /** `v7` for arm; empty: whatever there is */
  readonly variant: string;
}

/** The platform of a machine that Node calls `arch`. */
export const platformOf = (arch: string): WantedPlatform => ({ os: 'linux', architecture: architectures[arch] ?? arch, variant: '' });

/** What every machine of an architecture can run; of the others the least demanding is taken last. */
const baseline: Readonly<Record<string, readonly string[]>> = { amd64: ['', 'v1'], arm64: ['', 'v8'] };

/** Smaller is better; undefined: cannot run here. */
function rank(platform: Platform, wanted: WantedPlatform): number | undefined {
  if (platform.os !== wanted.os || platform.architecture !== wanted.architecture) return undefined;
  const variant = platform.variant ?? '';
  if (variant === wanted.variant || (wanted.variant === '' && (baseline[wanted.architecture] ?? ['']).includes(variant))) return 0;
  return variant === '' ? 1 : 2 + Number(/^v(\d+)/.exec(variant)?.[1] ?? 50);
}

const shown = ({ os, architecture, variant }: Platform): string => `${os}/${architecture}${variant ? `/${variant}` : ''}`;

/** Picks one; of equals the first, as containerd and skopeo do. @throws ERR_IMAGE_PLATFORM listing what there is */
export function choosePlatform(descriptors: readonly Descriptor[], wanted: WantedPlatform, what: string): Descriptor {
  let best: { descriptor: Descriptor; rank: number } | undefined;
  for (const descriptor of descriptors) {
    // Without a platform it is the image's configuration that tells; tried when nothing says that it fits.
    const its = descriptor.platform ? rank(descriptor.platform, wanted) : 1000;
    if (its !== undefined && (best === undefined || its < best.rank)) best = { descriptor, rank: its };
  }
  if (best !== undefined) return best.descriptor;
  const there = descriptors.flatMap(({ platform }) => (platform && platform.os !== 'unknown' ? [shown(platform)] : []));
  throw new RuntimeError('ERR_IMAGE_PLATFORM', `${what} is not for ${shown(wanted)}`, { details: there.map((platform) => `it is for ${platform}`) });
}

/** @throws ERR_IMAGE_PLATFORM */
export function checkPlatform(image: Platform, wanted: WantedPlatform, what: string): void {
  if (image.os !== wanted.os || image.architecture !== wanted.architecture) {
    throw new RuntimeError('ERR_IMAGE_PLATFORM', `${what} is for ${shown(image)}, this machine is ${shown(wanted)}`);
  }
}
