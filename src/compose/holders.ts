/** An ADD that found all addresses taken, with who has them. @see cni.md 3.16 */
import { RuntimeError, isRuntimeError } from '../model/errors.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import { leasesOf } from '../net/observe/leases.ts';
import { listPods, podText, type PodEntry } from '../state/pod/lifecycle.ts';

/** The texts of host-local, ours and the reference's; neither has a code of its own for it. */
const isExhausted = /no IP addresses available in range set/;
const requested = /requested IP address (\S+) is not available/;
const shown = 12;

interface Holder {
  readonly address: string;
  readonly text: string;
  readonly pod: PodEntry | undefined;
}

/** `error`, with a line for each holder when it is about addresses that are taken. @param containerId - whose ADD it was */
export function namingHolders(error: unknown, dataDir: string, network: PlannedNetwork, containerId: string): unknown {
  if (!isRuntimeError(error)) return error;
  const [, address] = requested.exec(error.message) ?? [];
  if (address === undefined && !isExhausted.test(error.message)) return error;
  const pods = new Map(listPods(dataDir).map((pod): [string, PodEntry] => [pod.id, pod]));
  const leases = leasesOf(network).filter((lease) => lease.containerId !== containerId && (address === undefined || lease.address === address));
  const holders = leases.map((lease): Holder => {
    const pod = pods.get(lease.containerId);
    return { address: lease.address, pod, text: pod === undefined ? `container ${lease.containerId}, no pod of this data directory` : podText(pod) };
  });
  // First those that can be freed without ending anything.
  const sorted = [...holders.filter(({ pod }) => pod?.state !== 'running'), ...holders.filter(({ pod }) => pod?.state === 'running')];
  const more = sorted.length - shown;
  return new RuntimeError(error.code, error.message, {
    cause: error,
    exitCode: error.exitCode,
    details: [
      ...error.details,
      ...sorted.slice(0, shown).map((holder) => `${holder.address} is held by ${holder.text}`),
      ...(more > 0 ? [`and ${more} more: rkt net inspect ${network.name}`] : []),
    ],
    hint: cureFor(network.name, holders),
  });
}

function cureFor(network: string, holders: readonly Holder[]): string {
  const ended = holders.filter(({ pod }) => pod !== undefined && pod.state !== 'running').length;
  const strangers = holders.filter(({ pod }) => pod === undefined).length;
  return [
    ...(ended === 0
      ? []
      : [
          `rkt gc --grace-period=0 frees what ${ended === 1 ? 'the pod' : `the ${ended} pods`} that ended hold${ended === 1 ? 's' : ''} (rkt rm UUID: one of them)`,
        ]),
    ...(strangers === 0 ? [] : [`rkt net gc ${network} frees what containers hold that are gone`]),
    ...(ended + strangers > 0 ? [] : ['end a pod that runs (rkt stop UUID)']),
    `or give network "${network}" a larger range`,
  ].join('; ');
}
