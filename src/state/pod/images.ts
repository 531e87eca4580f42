/** Which images pods are made of: what image gc may not take. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { namesIn } from '../../host/files.ts';
import type { Digest } from '../../model/ids.ts';
import { readImage } from '../images/records.ts';
import { podFiles, visiblePhases } from './layout.ts';
import { listPods, type PodEntry } from './lifecycle.ts';

export interface PodImages {
  readonly images: ReadonlySet<Digest>;
  readonly layers: ReadonlySet<Digest>;
}

/** Images and layers of every pod that has not been removed: prepared ones will need them, exited ones are looked into (rkt 2.12). */
export function imagesOfPods(dataDir: string, wants: (pod: PodEntry) => boolean = () => true): PodImages {
  for (;;) {
    const found = readOnce(dataDir, wants);
    if (found !== undefined) return found;
  }
}

/** Undefined when a pod moved to another phase before it was read: what it needs is not known then. */
function readOnce(dataDir: string, wants: (pod: PodEntry) => boolean): PodImages | undefined {
  const images = new Set<Digest>();
  const layers = new Set<Digest>();
  for (const pod of listPods(dataDir, visiblePhases)) {
    if (!wants(pod)) continue;
    const { dir } = pod;
    const files = podFiles(dir);
    for (const records of [files.image('any'), files.volumeImage('any')].map((path) => dirname(dirname(path)))) {
      for (const name of namesIn(records)) {
        const image = readImage(join(records, name, 'image.json'));
        if (image === undefined) continue;
        images.add(image.id);
        for (const layer of image.layers) layers.add(layer);
      }
    }
    if (!existsSync(dir) && listPods(dataDir, visiblePhases, basename(dir)).length > 0) return undefined;
  }
  return { images, layers };
}
