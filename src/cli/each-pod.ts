/** Acts on several pods, goes on past failures, prints each pod that was done. */
import { err, errorText, out } from './output.ts';

/** @param act - returns what to print for the pod. @returns 0, or 254 when any failed */
export function eachPod(verb: string, uuids: readonly string[], act: (uuid: string) => string): number {
  let failed = 0;
  for (const uuid of uuids) {
    try {
      out(`${act(uuid)}\n`);
    } catch (error) {
      failed++;
      err(errorText(error));
    }
  }
  if (failed > 0) err(`failed to ${verb} ${failed === 1 ? 'one pod' : `${failed} pods`}\n`);
  return failed > 0 ? 254 : 0;
}
