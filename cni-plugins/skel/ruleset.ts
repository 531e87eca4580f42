/** The kernel's ruleset as plugins meet it: whether it is there, and what went wrong in it as a CNI error. */
import { HeldError, generation, removeTableIfUnused, removeUnusedChains } from '../../src/host/nftables/table.ts';
import { isErrno } from '../../src/host/linux.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';

/** Our own code, of the range left to plugins (P23): a host port belongs to another attachment. */
export const portTakenCode = 100;

/** Runs `work`; its failures come out as {@link CniError}: 11 where trying again helps, 5 otherwise. */
export function withRuleset<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CniError) throw error;
    if (error instanceof HeldError) throw new CniError(portTakenCode, error.message, `holder: ${error.holder}`);
    throw new CniError(isErrno(error, 'EAGAIN', 'EBUSY', 'ENOBUFS') ? cniCode.tryAgain : cniCode.io, `${doing}: ${messageOf(error)}`);
  }
}

/** Removes chains of subnets and the table itself when no attachment needs them. */
export function tidyRuleset(): void {
  withRuleset('remove what no pod uses', () => {
    removeUnusedChains();
    removeTableIfUnused();
  });
}

/** STATUS of a plugin whose work is rules. @throws CniError 50 */
export function requireNftables(): void {
  try {
    generation();
  } catch (error) {
    throw new CniError(cniCode.notAvailable, `nftables cannot be used: ${messageOf(error)}`);
  }
}
