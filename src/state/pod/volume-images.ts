/** Images that volumes of a pod are made of: recorded in its directory, so that they stay as long as it does. */
import { dirname } from 'node:path';
import { makeDirectory, writeAtomic } from '../../host/files.ts';
import type { StoredImage } from '../../model/oci.ts';
import { readImage } from '../images/records.ts';
import { podFiles } from './layout.ts';

/** Records what a volume (`AppMount.key`) is made of; under the hold of its image. */
export function writeVolumeImage(dir: string, volume: string, image: StoredImage): void {
  const path = podFiles(dir).volumeImage(volume);
  makeDirectory(dirname(path));
  writeAtomic(path, JSON.stringify(image));
}

/** Undefined: none is recorded. */
export const volumeImage = (dir: string, volume: string): StoredImage | undefined => readImage(podFiles(dir).volumeImage(volume));
