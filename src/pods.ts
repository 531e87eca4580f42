/** Pods that are there: looked at, entered, stopped. What makes and removes them is in pipeline.ts. */
import { flavorOf } from './compose/flavors.ts';
import { RuntimeError } from './model/errors.ts';
import type { Settings } from './model/settings.ts';
import { graceMs } from './stage0/prepare/stage1-pod.ts';
import { appToEnter, manifestText, podInfo, requireRunning, waitForExit as waitForPodExit, type PodInfo } from './state/pod/info.ts';
import { visiblePhases } from './state/pod/layout.ts';
import { findPod, listPods } from './state/pod/lifecycle.ts';

export type { PodInfo };

export const listPodInfos = ({ dataDir }: Settings): PodInfo[] => listPods(dataDir, visiblePhases).map(podInfo);
export const findPodInfo = ({ dataDir }: Settings, uuid: string): PodInfo => podInfo(findPod(dataDir, uuid));
export const waitForExit = ({ dataDir }: Settings, uuid: string, timeoutMs: number): void => waitForPodExit(dataDir, uuid, timeoutMs);

export const podManifestText = ({ dataDir }: Settings, uuid: string): string => manifestText(findPod(dataDir, uuid));

/** @returns the line to print */
export function stopPod({ dataDir }: Settings, uuid: string, force: boolean): string {
  const pod = findPod(dataDir, uuid);
  const ended = `pod "${pod.id}" is already exited`;
  if (pod.state.startsWith('exited')) return ended;
  requireRunning(pod);
  return flavorOf(pod.dir).stop(pod.dir, { force, graceMs }) === 'was not running' ? ended : `"${pod.id}"`;
}

/** Becomes a command in an app; never returns. */
export function enterPod(settings: Settings, uuid: string, what: { readonly app: string | undefined; readonly command: readonly string[] }): never {
  const pod = findPodInfo(settings, uuid);
  requireRunning(pod);
  const app = appToEnter(pod, what.app);
  const flavor = flavorOf(pod.dir);
  if (flavor.enter === undefined) throw new RuntimeError('ERR_STAGE1_LACKS', `pods of flavor ${flavor.name} cannot be entered`);
  return flavor.enter(pod.dir, pod.id, app, what.command.length === 0 ? ['/bin/sh'] : what.command);
}
