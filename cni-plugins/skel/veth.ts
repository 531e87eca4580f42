/** What the plugins that give a pod a veth pair (bridge, ptp) do alike: undo an ADD, DEL. */
import type { PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import type { ReleaseOp } from '../../src/model/release.ts';
import { keyOf } from './attachment.ts';
import { addressesToForget, allOf, deleteOwnPair, deletePair } from './interface.ts';
import { withIpam } from './ipam.ts';
import { releaseMasquerade, removeMasquerade } from './masquerade.ts';

/** ADD: `act`, and when it throws nothing of it stays. What the undoing itself cannot do is noted: the first error is the one to report. */
export function orUndo<T>(req: PluginRequest, ipamType: string, ctx: PluginContext, act: () => T): T {
  try {
    return act();
  } catch (error) {
    try {
      remove(req, ipamType, ctx, () => deleteOwnPair(req, ctx));
    } catch (cleanup) {
      ctx.note({ what: 'clean-up', detail: `after a failed ADD: ${String(cleanup)}` });
    }
    throw error;
  }
}

/** DEL. */
export const removeAttachment = (req: PluginRequest, ipamType: string, ctx: PluginContext): void =>
  remove(req, ipamType, ctx, () => deletePair(req, ctx));

/** Rules first (their socket's close then costs nothing), link, address. */
function remove(req: PluginRequest, ipamType: string, ctx: PluginContext, unlink: () => void): void {
  const release = (): void => void ctx.delegate(ipamType, 'DEL', req);
  allOf(withIpam(ipamType, release, [() => removeMasquerade(keyOf(req), addressesToForget(req)), unlink]));
}

/** DEL as data: the pair ends with the namespace. */
export const releaseAttachment = (req: PluginRequest, ipamType: string, delegate: (type: string) => readonly ReleaseOp[]): ReleaseOp[] => [
  ...releaseMasquerade(keyOf(req), addressesToForget(req)),
  ...(ipamType === '' ? [] : delegate(ipamType)),
];
