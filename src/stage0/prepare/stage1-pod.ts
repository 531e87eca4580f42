/** What stage0 knows → what a flavor is handed. @see stage1/contract.ts */
import { mountsOf } from '../../model/mounts.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { PodApp, PodManifest } from '../../model/pod.ts';
import type { HeldPod } from '../../state/pod/lifecycle.ts';
import { volumeImage } from '../../state/pod/volume-images.ts';
import type { Insecure, Stage1Mount, Stage1Pod } from '../../stage1/contract.ts';
import { populatedVolumes } from './volumes.ts';

export interface Stage1Facts {
  readonly pod: HeldPod;
  readonly manifest: PodManifest;
  readonly images: readonly StoredImage[];
  /** lower directories of an image, top first */
  readonly layersOf: (image: StoredImage) => readonly string[];
  readonly netns: string | undefined;
  readonly hostname: string | undefined;
  readonly overlay: boolean;
  readonly interactive: boolean;
  /** `--insecure-options`; those that are not a flavor's business are left out */
  readonly insecure: ReadonlySet<string>;
  readonly etc: Pick<Stage1Pod, 'hosts' | 'resolvConf' | 'fallbackResolvConf'>;
}

const insecureKinds: readonly Insecure[] = ['capabilities', 'paths', 'seccomp'];

/** A pod's host name when nobody chose one (rkt.md 2.6). */
export const hostnameOf = (id: string, chosen: string | undefined): string => chosen ?? `rkt-${id}`;

/** What an app gets between its stop signal and SIGKILL. */
export const graceMs = 10_000;

/** The mounts of one app; which images its volumes are of is in the pod's directory. */
function stage1Mounts({ pod, manifest, layersOf }: Stage1Facts, spec: PodApp): Stage1Mount[] {
  const populated = populatedVolumes(manifest);
  return mountsOf(manifest, spec, pod.dir).map((mount) => {
    const image = mount.volume.kind === 'image' ? volumeImage(pod.dir, mount.key) : undefined;
    return { ...mount, populated: populated.has(mount.volume.name), ...(image === undefined ? {} : { layers: layersOf(image) }) };
  });
}

export function stage1Pod(facts: Stage1Facts): Stage1Pod {
  const { pod, manifest, images, layersOf, netns, overlay, interactive, etc } = facts;
  return {
    id: pod.id,
    dir: pod.dir,
    pid: process.pid,
    hostname: hostnameOf(pod.id, facts.hostname),
    netns,
    apps: manifest.apps.flatMap((spec, i) => {
      const image = images[i];
      return image === undefined ? [] : [{ spec, image, layers: layersOf(image), mounts: stage1Mounts(facts, spec) }];
    }),
    overlay,
    interactive,
    hosts: etc.hosts,
    resolvConf: etc.resolvConf,
    fallbackResolvConf: etc.fallbackResolvConf,
    insecure: new Set(insecureKinds.filter((kind) => facts.insecure.has(kind))),
    graceMs,
  };
}
