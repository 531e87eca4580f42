/** podman's CNI backend with our plugins and with Debian's: the same list, the same containers. */
import { spawnSync } from 'node:child_process';
import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Podman, serving, type PodmanNetwork } from '../rig/podman.ts';
import { median } from './measure.ts';

const network: PodmanNetwork = { name: 'front', bridge: 'pm-front', subnet: 77 };
const debian = '/usr/lib/cni';

export interface PodmanTimes {
  /** to start them and to remove them again, one after the other */
  readonly oursMs: number;
  readonly debianMs: number;
}

/** `count` containers with a published port each, in turn with either set of plugins. @returns why not, when podman cannot run here */
export function measurePodman(dist: string, count: number, rounds: number, env: NodeJS.ProcessEnv): PodmanTimes | string {
  const podman = new Podman(debian, env);
  // Goes first, as a link to either.
  const chosen = podman.wrappers;
  try {
    const unable = podman.prepare(join(dist, 'images/busybox'));
    if (unable !== undefined) return unable;
    podman.addNetwork(network);
    const once = (plugins: string, containers: number): number => {
      rmSync(chosen, { recursive: true, force: true });
      symlinkSync(plugins, chosen);
      const names = Array.from({ length: containers }, (_, i) => `c${i}`);
      const began = performance.now();
      for (const [i, name] of names.entries()) demand(podman, podman.starting(name, ['--network=front', `-p=${18_000 + i}:80`], serving(name)));
      for (const name of names) demand(podman, ['rm', '-f', '-t=0', name]);
      const tookMs = performance.now() - began;
      if (plugins === debian) clearDebians();
      return tookMs;
    };
    const taken = { ours: [] as number[], debian: [] as number[] };
    for (let round = 0; round <= rounds; round++) {
      const [ours, theirs] = [once(join(dist, 'cni'), round === 0 ? 1 : count), once(debian, round === 0 ? 1 : count)];
      if (round === 0) continue;
      taken.ours.push(ours);
      taken.debian.push(theirs);
    }
    return { oursMs: median(taken.ours), debianMs: median(taken.debian) };
  } finally {
    podman.close();
  }
}

function demand(podman: Podman, args: readonly string[]): void {
  const { status, stderr } = podman.run(...args);
  if (status !== 0) throw new Error(`podman ${args.join(' ')} ended with ${status}: ${stderr}`);
}

/** What they leave would be found by ours. */
function clearDebians(): void {
  spawnSync('ip', ['link', 'del', network.bridge]);
  spawnSync('nft', ['flush', 'ruleset']);
  rmSync(`/var/lib/cni/networks/${network.name}`, { recursive: true, force: true });
}
