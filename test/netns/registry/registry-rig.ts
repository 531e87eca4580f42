/** What the tests of registries share: an image of several layers, and fetches of it. */
import { tarArchive } from '../../../src/build/tar-writer.ts';
import type { Credential } from '../../../src/model/credentials.ts';
import type { Progress, ProgressOf, ProgressSummary } from '../../../src/model/options.ts';
import { defaultRegistries } from '../../../src/model/registries.ts';
import type { RegistryAccess } from '../../../src/stage0/registry/access.ts';
import { gzipped, type LayerBytes } from '../images/image-rig.ts';

/** Quick to give up, so that tests are. */
export const patience = { retry: { attempts: 4, firstDelayMs: 20, maxDelayMs: 2_000 }, silenceMs: 10_000 };
/** For servers that are silent on purpose. */
export const impatience = { retry: { attempts: 2, firstDelayMs: 20, maxDelayMs: 2_000 }, silenceMs: 400 };

export const accessWith = (change: Partial<RegistryAccess> & { readonly credentials?: RegistryAccess['credentials'] } = {}): RegistryAccess => ({
  registries: defaultRegistries,
  credentials: (): readonly Credential[] => [],
  insecure: {},
  certificateDirs: [],
  patience,
  ...change,
});

/** Bytes that neither repeat nor compress. */
export function noise(bytes: number, seed: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    buffer[i] = state >>> 24;
  }
  return buffer;
}

/** A layer of one file of `bytes` noise, which a registry sends in many pieces. */
export const noiseLayer = (name: string, bytes: number, seed: number): LayerBytes => gzipped(tarArchive([{ name, data: noise(bytes, seed) }]));

/** Keeps what it is told. */
export function recordedProgress(): {
  readonly progress: Progress;
  readonly items: ProgressOf[];
  readonly summaries: ProgressSummary[];
  readonly notes: string[];
} {
  const items: ProgressOf[] = [];
  const summaries: ProgressSummary[] = [];
  const notes: string[] = [];
  return {
    items,
    summaries,
    notes,
    progress: (event) => void ('what' in event ? items.push(event) : 'note' in event ? notes.push(event.note) : summaries.push(event)),
  };
}
