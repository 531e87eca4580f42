/** Which pods go where in one gc. Pure. @see rkt.md 2.12 */
import type { PodState } from '../model/pod.ts';

/** What gc sees of a pod. `sinceMs`: how long it has been in its directory (ctime of the directory). */
export interface PodFact {
  readonly id: string;
  readonly state: PodState;
  readonly sinceMs: number;
}

export interface GcPolicy {
  /** exited pods are kept at least this long after they were marked */
  readonly graceMs: number;
  /** prepared pods that nobody ran are kept this long */
  readonly expirePreparedMs: number;
  readonly markOnly: boolean;
}

export type GcVerdict =
  | { readonly kind: 'mark'; readonly id: string; readonly to: 'exited-garbage' | 'garbage' }
  /** marked and deleted in one go (grace 0) */
  | { readonly kind: 'delete'; readonly id: string; readonly to: 'exited-garbage' | 'garbage' }
  | { readonly kind: 'wait'; readonly id: string; readonly graceMs: number };

/** One verdict a pod that gc has business with; running, preparing and fresh prepared pods have none. */
export function markPods(pods: readonly PodFact[], policy: GcPolicy): GcVerdict[] {
  return pods.flatMap((pod) => verdictOf(pod, policy));
}

function verdictOf({ id, state, sinceMs }: PodFact, policy: GcPolicy): GcVerdict[] {
  switch (state) {
    case 'exited':
      // Marking starts the grace period, so only a grace of nothing deletes at once.
      return [{ kind: !policy.markOnly && policy.graceMs === 0 ? 'delete' : 'mark', id, to: 'exited-garbage' }];
    case 'exited garbage':
      if (policy.markOnly) return [];
      return sinceMs >= policy.graceMs ? [{ kind: 'delete', id, to: 'exited-garbage' }] : [{ kind: 'wait', id, graceMs: policy.graceMs }];
    case 'embryo':
    case 'aborted prepare':
      return [{ kind: policy.markOnly ? 'mark' : 'delete', id, to: 'garbage' }];
    case 'prepared':
      return !policy.markOnly && sinceMs >= policy.expirePreparedMs ? [{ kind: 'delete', id, to: 'garbage' }] : [];
    case 'garbage':
      return policy.markOnly ? [] : [{ kind: 'delete', id, to: 'garbage' }];
    case 'preparing':
    case 'running':
    case 'exited deleting':
    case 'deleting':
      return [];
  }
}
