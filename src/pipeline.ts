/**
 * The table of contents: what rkt does, in order. Every line of work is in a room of its own.
 * Fetch → manifest → plan → pod directory → journal → effects → launch; and back by undoing the journal.
 */
import { actionsFor } from './compose/actions.ts';
import { cniServices, planServices } from './compose/cni.ts';
import { holdImages } from './compose/images.ts';
import { memberOf } from './compose/policy-member.ts';
import { clearUnusedNetworks, sweepServices } from './compose/sweep.ts';
import { applySteps, orUndo, releaseOf } from './effects/execute.ts';
import { attachedNetworks, liveAttachments } from './effects/attachments.ts';
import { Journal } from './effects/journal.ts';
import type { Actions } from './effects/steps.ts';
import type { GcPolicy } from './gc/mark.ts';
import { removePod, sweepPods, type SweepEvent } from './gc/sweep.ts';
import { bootId } from './host/clock.ts';
import { SIGNAL, pendingSignal, trapSignals } from './host/linux.ts';
import { startTimeOf } from './host/process.ts';
import { newPodId } from './host/uuid.ts';
import { RuntimeError } from './model/errors.ts';
import type { StoredImage } from './model/oci.ts';
import type { RunOptions } from './model/options.ts';
import type { Settings } from './model/settings.ts';
import { checkFlags, planPodNetwork } from './net/plan-pod.ts';
import { declaredPorts, podManifest, withImages } from './stage0/prepare/manifest.ts';
import { chosenPorts } from './net/ports.ts';
import { etcFiles } from './stage0/prepare/etc-files.ts';
import { discardFailedPod, makePodDirectory, writeNetInfo, writeUuidFile } from './stage0/prepare/pod-directory.ts';
import { graceMs, hostnameOf, stage1Pod } from './stage0/prepare/stage1-pod.ts';
import { completeManifest, imageVolumes, recordVolumeImages } from './compose/volumes.ts';
import { netnsOf, networkSteps, podNames, podSteps } from './stage0/prepare/steps.ts';
import { ociFlavor } from './stage1/flavors/oci/flavor.ts';
import { declaredVolumes } from './stage0/prepare/volumes.ts';
import { openStore } from './state/images/store.ts';
import { sweepTemporary } from './state/images/staging.ts';
import { appToEnter, manifestText, podInfo, requireRunning, waitForExit as waitForPodExit, type PodInfo } from './state/pod/info.ts';
import { podFiles, visiblePhases } from './state/pod/layout.ts';
import { findPod, listPods, refuseTakenName } from './state/pod/lifecycle.ts';

export { fetchImages } from './compose/images.ts';
export type { PodInfo };

/** Runs a pod in place of this process: it returns only by throwing, and then nothing of the pod is left. */
export async function runPod(settings: Settings, options: RunOptions): Promise<never> {
  checkFlags(options);
  if (options.podName !== undefined) refuseTakenName(settings.dataDir, options.podName);
  const id = newPodId();
  if (options.uuidFile !== undefined) writeUuidFile(options.uuidFile, id);
  const volumeImages = imageVolumes(declaredVolumes(options.volumes));
  const references = [...options.apps, ...volumeImages].map(({ reference }) => reference);
  const signatureFiles = options.apps.map(({ signature }) => signature);
  using held = await holdImages(settings, references, { ...options, signatureFiles });
  const images = held.images.slice(0, options.apps.length);
  const { manifest, warnings } = completeManifest(podManifest(withImages(options.apps, images)), images, options);
  for (const warning of warnings) options.warn(warning);
  const plan = planPodNetwork(settings, options, declaredPorts(manifest), planServices(settings));
  const member = await memberOf(options, id, manifest, plan);
  for (const warning of plan.warnings) options.warn(warning);
  for (const port of chosenPorts(options.ports, declaredPorts(manifest), plan)) options.note(port);

  trapSignals(SIGNAL.HUP, SIGNAL.INT, SIGNAL.TERM);
  const pod = makePodDirectory(settings.dataDir, id, { manifest, images, plan, name: options.podName });
  recordVolumeImages(pod.dir, volumeImages, held.images.slice(images.length));
  held.release();
  const files = podFiles(pod.dir);
  using journal = Journal.open(files.journal, bootId());
  const store = openStore(settings.dataDir);
  const facts = {
    pod,
    manifest,
    images,
    layersOf: (image: StoredImage) => store.layerPaths(image),
    netns: netnsOf(id, plan),
    ...options,
  };
  const etc = () => etcFiles(plan, attachedNetworks(journal.entries), hostnameOf(id, options.hostname));
  const actions: Actions = actionsFor({
    dataDir: settings.dataDir,
    podDir: pod.dir,
    cni: cniServices(files.netCalls),
    flavor: ociFlavor,
    launching: {
      pod: () => stage1Pod({ ...facts, ...settings, etc: etc() }),
      lockFd: pod.lock.fd,
      attached: () => liveAttachments(journal.entries),
      release: () => (options.releaseAtExit ? releaseOf(journal, actions) : undefined),
    },
  });
  try {
    applySteps(networkSteps(id, plan, podNames(manifest, options.podName), member), actions, journal, pendingSignal);
    orUndo(actions, journal, () => writeNetInfo(files.netInfo, attachedNetworks(journal.entries)));
    for (const warning of etc().warnings) options.warn(warning);
    applySteps(podSteps(id, manifest, { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' }), actions, journal, pendingSignal);
  } catch (error) {
    discardFailedPod(pod, journal);
    throw error;
  }
  throw new RuntimeError('ERR_STAGE1_LAUNCH', 'the pod was launched and yet this process is still here');
}

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
  return ociFlavor.stop(pod.dir, { force, graceMs }) === 'was not running' ? ended : `"${pod.id}"`;
}

/** Becomes a command in an app; never returns. */
export function enterPod(settings: Settings, uuid: string, what: { readonly app: string | undefined; readonly command: readonly string[] }): never {
  const pod = findPodInfo(settings, uuid);
  requireRunning(pod);
  const app = appToEnter(pod, what.app);
  return ociFlavor.enter(pod.dir, pod.id, app, what.command.length === 0 ? ['/bin/sh'] : what.command);
}

/** What is undone by halves is in the journals. @throws ERR_INTERRUPTED */
function refuseInterrupted(): void {
  const signal = pendingSignal();
  if (signal !== 0) throw new RuntimeError('ERR_INTERRUPTED', `stopped by signal ${signal}; the next rkt gc goes on`, { exitCode: 128 + signal });
}

/** One gc: pods first, then what networks without pods still hold, then what interrupted fetches left. */
export function collectGarbage(settings: Settings, policy: GcPolicy, report: (event: SweepEvent) => void): void {
  trapSignals(SIGNAL.HUP, SIGNAL.INT, SIGNAL.TERM);
  sweepPods(sweepServices(settings, report), policy);
  if (policy.markOnly) return;
  refuseInterrupted();
  clearUnusedNetworks(settings, report);
  sweepTemporary(settings.dataDir);
  refuseInterrupted();
}

/** @param force - gives up what cannot be undone; `report` hears of it. @returns the line to print */
export function removePodNow(settings: Settings, uuid: string, force: boolean, report: (event: SweepEvent) => void): string {
  trapSignals(SIGNAL.HUP, SIGNAL.INT, SIGNAL.TERM);
  refuseInterrupted();
  const pod = findPod(settings.dataDir, uuid);
  removePod(pod, sweepServices(settings, report), force);
  return `"${pod.id}"`;
}
