/** Where an app's volumes are mounted, and from where: what a pod's manifest comes to. Pure. @see rkt.md 2.2, 2.4, 2.8 */
import type { PodApp, PodManifest, PodVolume } from './pod.ts';

/** One mount of an app. */
export interface AppMount {
  readonly volume: PodVolume;
  /** absolute, without `.`, `..` and double slashes */
  readonly target: string;
  /** what is mounted there, on the host; an empty volume is in the pod's directory */
  readonly hostPath: string;
  readonly readOnly: boolean;
  /** the volume's own name in its pod: `NAME`, or `APP.NAME` of one that only this app has */
  readonly key: string;
}

/** An absolute path that says what `path` says, relative ones taken from `/`: what leads above the root ends there. */
export function cleanTarget(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** Where a volume that is not the host's lives in the pod directory `dir`. */
export const volumePath = (dir: string, name: string, app?: string): string =>
  app === undefined ? `${dir}/sharedVolumes/${name}` : `${dir}/appVolumes/${app}/${name}`;

/**
 * The mounts of an app whose manifest is complete (every mount point of the image is among `mounts`), parents first, so that each can be made on top
 * of the one before. Of two with one target the first counts; a volume that is not declared is left out. Whether the app may write is what
 * the volume says, else what the image's mount point says.
 */
export function mountsOf({ volumes = [] }: Pick<PodManifest, 'volumes'>, app: PodApp, dir: string): AppMount[] {
  const found = new Map<string, AppMount>();
  for (const { volume: name, path, appVolume } of app.mounts ?? []) {
    const volume = appVolume ?? volumes.find((declared) => declared.name === name);
    const target = cleanTarget(path);
    if (volume === undefined || found.has(target)) continue;
    const point = app.app.mountPoints?.find((one) => cleanTarget(one.path) === target);
    found.set(target, {
      volume,
      target,
      hostPath: volume.kind === 'host' ? (volume.source ?? '') : volumePath(dir, volume.name, appVolume === undefined ? undefined : app.name),
      readOnly: volume.kind === 'image' || (volume.readOnly ?? point?.readOnly ?? false),
      key: appVolume === undefined ? volume.name : `${app.name}.${volume.name}`,
    });
  }
  return [...found.values()].sort((a, b) => a.target.split('/').length - b.target.split('/').length);
}

/** As `status` and `inspect` print them (rkt.md 2.4). */
export const mountsJson = (manifest: PodManifest, app: PodApp, dir: string): object[] =>
  mountsOf(manifest, app, dir).map(({ volume, target, hostPath, readOnly }) => ({
    name: volume.name,
    container_path: target,
    host_path: hostPath,
    read_only: readOnly,
  }));
