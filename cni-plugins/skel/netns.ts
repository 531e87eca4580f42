/** The pod's namespace, which a request names by path. */
import { type Lock, tryLock } from '../../src/host/flock.ts';
import { netnsExists, withNetns } from '../../src/host/netns.ts';
import type { PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';

/** Runs `act` in it. @throws CniError 8 when there is none */
export function inPod<T>({ netns }: PluginRequest, act: () => T, ...refused: T extends PromiseLike<unknown> ? [never] : []): T {
  if (!netnsExists(netns)) throw new CniError(cniCode.netns, `no network namespace at ${netns}`);
  return withNetns(netns, act, ...refused);
}

/** DEL: the namespace is still there (and was named at all). */
export const podExists = ({ netns }: PluginRequest): boolean => netns !== '' && netnsExists(netns);

const lockPatienceMs = 20_000;
/** A lock on the namespace itself, whatever path leads to it: what attachments of one pod share is looked for and taken under it. @throws CniError 8, 11 */
export function lockPod({ netns }: PluginRequest): Lock {
  if (!netnsExists(netns)) throw new CniError(cniCode.netns, `no network namespace at ${netns}`);
  const held = tryLock(netns, 'exclusive', { patienceMs: lockPatienceMs });
  if (held === undefined) throw new CniError(cniCode.tryAgain, `${netns} is locked by somebody else`);
  return held;
}
