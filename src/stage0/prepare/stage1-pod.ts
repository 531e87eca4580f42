/** What stage0 knows → what a flavor is handed. @see stage1/contract.ts */
import type { StoredImage } from '../../model/oci.ts';
import type { PodManifest } from '../../model/pod.ts';
import type { HeldPod } from '../../state/pod/lifecycle.ts';
import type { Stage1Pod } from '../../stage1/contract.ts';

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
  readonly resolvConf: string | undefined;
}

/** What an app gets between its stop signal and SIGKILL. */
export const graceMs = 10_000;

export function stage1Pod(facts: Stage1Facts): Stage1Pod {
  const { pod, manifest, images, layersOf, netns, overlay, interactive, resolvConf } = facts;
  return {
    id: pod.id,
    dir: pod.dir,
    pid: process.pid,
    hostname: facts.hostname ?? `rkt-${pod.id}`,
    netns,
    apps: manifest.apps.flatMap((spec, i) => {
      const image = images[i];
      return image === undefined ? [] : [{ spec, image, layers: layersOf(image) }];
    }),
    overlay,
    interactive,
    hosts: undefined,
    resolvConf,
    insecure: new Set(),
    graceMs,
  };
}
