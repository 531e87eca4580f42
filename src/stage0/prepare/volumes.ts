/**
 * Volumes and mount points brought together: every mount of every app is in the manifest afterwards. Pure.
 * Order of precedence: `--mount` behind the image, `--mount` before the first image, the image's mount points by name, and for
 * what is left an empty volume of the app's own.
 * @see rkt.md 2.8
 */
import { cleanTarget } from '../../model/mounts.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { PodApp, PodManifest, PodMount, PodVolume } from '../../model/pod.ts';
import { parseMount, parseVolume } from './volume-flags.ts';

/** Pod annotation: volumes, comma-separated, that begin as what the image has at their target (what Docker does with its VOLUMEs). */
export const populatedAnnotation = 'rkt.io/populated-volumes';

/** What the command line says about volumes. */
export interface VolumeOptions {
  /** `--volume` */
  readonly volumes: readonly string[];
  /** `--mount` before the first image: for every app */
  readonly mounts: readonly string[];
  /** `--mount` behind each image */
  readonly appMounts: readonly (readonly string[])[];
}

/** Nothing said: a manifest from a file has it all. */
export const noVolumeOptions: VolumeOptions = { volumes: [], mounts: [], appMounts: [] };

/** The volumes of a command line, as far as they can be understood; faults are told by {@link withVolumes}. */
export const declaredVolumes = (texts: readonly string[]): PodVolume[] => texts.flatMap((text) => parseVolume(text, []) ?? []);

export interface CompletedManifest {
  readonly manifest: PodManifest;
  readonly warnings: readonly string[];
}

/** `image` was made by or for Docker: its volumes begin as what it has at their places. */
const isDockerImage = ({ appc, config }: StoredImage): boolean => appc === undefined || Object.hasOwn(config.labels, 'appc.io/docker/repository');

/**
 * The manifest with all volumes and mounts. Idempotent: a complete one comes back as it is.
 * @param images - of the manifest's apps, in order
 * @throws ERR_POD_MANIFEST listing every fault
 */
export function withVolumes(manifest: PodManifest, images: readonly StoredImage[], options: VolumeOptions): CompletedManifest {
  const faults: string[] = [];
  const volumes = [...(manifest.volumes ?? []), ...options.volumes.flatMap((text) => parseVolume(text, faults) ?? [])];
  const globalMounts = parsedMounts(options.mounts, faults);
  const explicit = manifest.apps.map((app, i) => [...(app.mounts ?? []), ...parsedMounts(options.appMounts[i] ?? [], faults), ...globalMounts]);
  const names = new Set<string>();
  for (const { name } of volumes) {
    if (names.has(name)) faults.push(`duplicate volume name "${name}"`);
    names.add(name);
  }
  for (const mount of new Set(explicit.flat())) {
    if (mount.appVolume === undefined && !names.has(mount.volume))
      faults.push(`dangling mount point ${mount.path}: volume "${mount.volume}" not found`);
    const fault = targetFault(mount.path);
    if (fault !== undefined) faults.push(`volume "${mount.volume}": ${fault}`);
  }
  const added: PodVolume[] = [];
  const populated: string[] = [];
  const warnings: string[] = [];
  const apps = manifest.apps.map((app, i): PodApp => {
    const mounts = distinct(explicit[i] ?? []);
    const taken = new Set(mounts.map(({ path }) => cleanTarget(path)));
    for (const point of app.app.mountPoints ?? []) {
      const target = cleanTarget(point.path);
      if (taken.has(target)) continue;
      taken.add(target);
      const fault = targetFault(target);
      if (fault !== undefined) {
        faults.push(`app ${app.name}: mount point "${point.name}": ${fault}`);
        continue;
      }
      const name = names.has(point.name) ? point.name : `${app.name}-${point.name}`;
      mounts.push({ volume: name, path: target });
      if (names.has(name)) continue;
      names.add(name);
      added.push({ name, kind: 'empty', mode: '0755', uid: 0, gid: 0 });
      const image = images[i];
      if (image !== undefined && isDockerImage(image)) populated.push(name);
      else warnings.push(`no volume specified for mount point "${point.name}" of app ${app.name}, implicitly creating an "empty" volume`);
    }
    return mounts.length === 0 ? app : { ...app, mounts };
  });
  refuse(faults);
  return { manifest: completed(manifest, apps, [...volumes, ...added], populated), warnings };
}

function refuse(faults: readonly string[]): void {
  if (faults.length === 0) return;
  throw new RuntimeError('ERR_POD_MANIFEST', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults in the volumes of the pod`, {
    details: faults.length === 1 ? [] : faults,
  });
}

function completed(manifest: PodManifest, apps: PodApp[], volumes: PodVolume[], populated: readonly string[]): PodManifest {
  if (volumes.length === 0) return { ...manifest, apps };
  const annotations = manifest.annotations ?? [];
  return {
    ...manifest,
    apps,
    volumes,
    ...(populated.length === 0 ? {} : { annotations: [...annotations, { name: populatedAnnotation, value: populated.join(',') }] }),
  };
}

const parsedMounts = (texts: readonly string[], faults: string[]): PodMount[] => texts.flatMap((text) => parseMount(text, faults) ?? []);

/** Of mounts with one target the first counts. */
function distinct(mounts: readonly PodMount[]): PodMount[] {
  const taken = new Set<string>();
  return mounts.filter(({ path }) => {
    const target = cleanTarget(path);
    return taken.has(target) ? false : taken.add(target);
  });
}

/** Why nothing is mounted at `path`; undefined: it can be. */
export function targetFault(path: string): string | undefined {
  const target = cleanTarget(path);
  if (target === '/') return `target ${JSON.stringify(path)} is the root of the app`;
  // rkt differs: it mounts there. What is over /proc decides which process the runtime confines (runc's CVE-2019-19921), and it is made by the runtime, after us.
  if (/^\/proc(\/|$)/.test(target)) return `target ${target} is in /proc, which is the kernel's`;
  return /^\/dev(\/pts(\/.*)?)?$/.test(target) ? `target ${target} hides the terminals and devices of the app` : undefined;
}

/** Names of volumes that begin as what the image has at their target. */
export const populatedVolumes = ({ annotations = [] }: PodManifest): ReadonlySet<string> =>
  new Set(annotations.filter(({ name }) => name === populatedAnnotation).flatMap(({ value }) => value.split(',')));
