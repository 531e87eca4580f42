/**
 * The table of contents: what rkt does, in order. Every line of work is in a room of its own.
 * Fetch → manifest → plan → pod directory → journal → effects → launch; and back by undoing the journal.
 */
import { actionsFor } from './compose/actions.ts';
import { cniServices, planServices } from './compose/cni.ts';
import { chosenFlavor, fitOptions } from './compose/flavors.ts';
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
import { hostnameOf, stage1Pod } from './stage0/prepare/stage1-pod.ts';
import { completeManifest, imageVolumes, recordVolumeImages } from './compose/volumes.ts';
import { netnsOf, networkSteps, podNames, podSteps } from './stage0/prepare/steps.ts';
import { declaredVolumes } from './stage0/prepare/volumes.ts';
import { fitOf } from './stage1/fit.ts';
import { openStore } from './state/images/store.ts';
import { sweepTemporary } from './state/images/staging.ts';
import { podFiles } from './state/pod/layout.ts';
import { findPod, refuseTakenName } from './state/pod/lifecycle.ts';

export { fetchImages } from './compose/images.ts';

/** Runs a pod in place of this process: it returns only by throwing, and then nothing of the pod is left. */
export async function runPod(settings: Settings, asked: RunOptions): Promise<never> {
  const flavor = await chosenFlavor(settings, asked.stage1);
  const options = fitOptions(flavor, asked);
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
  for (const warning of fitOf(flavor).check(manifest)) options.warn(warning);
  const plan = planPodNetwork(settings, options, declaredPorts(manifest), planServices(settings));
  const member = await memberOf(options, id, manifest, plan);
  for (const warning of plan.warnings) options.warn(warning);
  for (const port of chosenPorts(options.ports, declaredPorts(manifest), plan)) options.note(port);

  trapSignals(SIGNAL.HUP, SIGNAL.INT, SIGNAL.TERM);
  const pod = makePodDirectory(settings.dataDir, id, { manifest, images, plan, name: options.podName, flavor: flavor.name });
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
    flavor,
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
    const self = { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' };
    applySteps(podSteps(id, manifest, self, flavor.capabilities.isolators), actions, journal, pendingSignal);
  } catch (error) {
    discardFailedPod(pod, journal);
    throw error;
  }
  throw new RuntimeError('ERR_STAGE1_LAUNCH', 'the pod was launched and yet this process is still here');
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
