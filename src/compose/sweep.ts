/** What gc and rm need: how a pod's journal is undone, and how a network is cleared. */
import { sweepNetworks, type RetireServices } from '../gc/networks.ts';
import type { SweepEvent, SweepServices } from '../gc/sweep.ts';
import { bootId, now } from '../host/clock.ts';
import { pendingSignal } from '../host/linux.ts';
import { plannedSteps, leftOf } from './given-up.ts';
import { messageOf } from '../model/errors.ts';
import type { Settings } from '../model/settings.ts';
import { gcList } from '../net/cni/list.ts';
import { podFiles } from '../state/pod/layout.ts';
import { actionsFor } from './actions.ts';
import { cniServices } from './cni.ts';
import { flavorOf } from './flavors.ts';
import { ownersOf } from './owners.ts';
import { settlePolicies } from './policy.ts';

export function sweepServices({ dataDir }: Settings, report: (event: SweepEvent) => void): SweepServices {
  const actionsOf = (podDir: string, podStays = false) =>
    actionsFor({ dataDir, podDir, cni: cniServices(podFiles(podDir).netCalls), flavor: flavorOf(podDir), podStays });
  return { dataDir, actionsOf, stepsOf: plannedSteps, leftOf, boot: bootId(), nowMs: now().getTime(), interrupted: pendingSignal, report };
}

/** And the rules of pods that go on are put right, if need be. */
export function clearUnusedNetworks({ dataDir }: Settings, report: (event: SweepEvent) => void): void {
  const services = cniServices(undefined);
  try {
    settlePolicies(dataDir);
  } catch (error) {
    report({ kind: 'failed', what: 'network policies of running pods', reasons: [messageOf(error)] });
  }
  sweepNetworks(
    dataDir,
    (network) => gcList(network, [], services),
    (network) => ownersOf(dataDir, network).valid.length > 0,
    (network, error) => report({ kind: 'failed', what: `network "${network}"`, reasons: [error] }),
  );
}

/** What `net rm` needs. */
export const retireServices = ({ dataDir }: Settings): RetireServices => ({
  clear: (network) => gcList(network, [], cniServices(undefined)),
  foreignUsers: (network) => ownersOf(dataDir, network).valid.map(({ id }) => id.containerID),
});
