/**
 * The part of stage0 that comes before a pod runs, as a program of its own: it ends by becoming the supervisor, and
 * its mount namespace must not be the test's. Bundled by pod-rig.ts; argv[2] is a {@link DriverInput} as JSON,
 * or `enter` with the pod's directory, an app, a command.
 */
import { lock } from '../../../src/host/flock.ts';
import { trapSignals } from '../../../src/host/linux.ts';
import type { PodId } from '../../../src/model/ids.ts';
import type { StoredImage } from '../../../src/model/oci.ts';
import type { PodApp } from '../../../src/model/pod.ts';
import { createPodCgroup } from '../../../src/stage1/flavors/oci/cgroup.ts';
import { ociFlavor } from '../../../src/stage1/flavors/oci/flavor.ts';
import { podCgroup } from '../../../src/stage1/flavors/oci/layout.ts';
import type { Insecure, Stage1Pod } from '../../../src/stage1/contract.ts';

export interface DriverInput {
  readonly dir: string;
  readonly id: string;
  readonly netns?: string;
  readonly apps: readonly { readonly spec: PodApp; readonly layers: readonly string[]; readonly stopSignal: string }[];
  readonly overlay: boolean;
  readonly interactive: boolean;
  readonly graceMs: number;
  readonly hostname: string;
  readonly resolvConf?: string;
  /** base64 of an encoded release */
  readonly release?: string;
  readonly fallbackResolvConf?: string;
  readonly insecure: readonly Insecure[];
}

function main(): never {
  const input = JSON.parse(process.argv[2] ?? '') as DriverInput;
  trapSignals(1, 2, 15);
  const pod: Stage1Pod = {
    ...input,
    id: input.id as PodId,
    pid: process.pid,
    netns: input.netns,
    hosts: undefined,
    resolvConf: input.resolvConf,
    fallbackResolvConf: input.fallbackResolvConf,
    insecure: new Set(input.insecure),
    apps: input.apps.map(({ spec, layers, stopSignal }) => ({
      spec,
      layers,
      mounts: [],
      image: { config: { stopSignal }, architecture: process.arch === 'arm64' ? 'arm64' : 'amd64' } as StoredImage,
    })),
  };
  const { fd } = lock(pod.dir, 'exclusive');
  createPodCgroup(podCgroup(pod.id));
  for (const app of pod.apps) ociFlavor.prepareApp(pod, app);
  ociFlavor.mountRootfs(pod);
  return ociFlavor.launch(pod, fd, input.release === undefined ? undefined : Buffer.from(input.release, 'base64'));
}

try {
  const [, , text = '', podDir = '', app = '', ...command] = process.argv;
  if (text === 'enter') ociFlavor.enter?.(podDir, podDir.slice(podDir.lastIndexOf('/') + 1) as PodId, app, command);
  main();
} catch (error) {
  ociFlavor.unmountRootfs();
  process.stderr.write(`driver: ${String(error)} ${error instanceof Error && error.cause instanceof Error ? error.cause.message : ''}\n`);
  process.exitCode = 254;
}
