/** Nobody is trusted: what becomes of ACIs when no keys are looked at. */
import { existsSync } from 'node:fs';
import { RuntimeError, printable } from '../../model/errors.ts';
import type { SignedAci } from './fetch.ts';

const hint = '--insecure-options=image takes it without asking who made it';

/** @throws ERR_SIGNATURE_MISSING when there is no signature */
export function requireSignature({ what, signature }: Pick<SignedAci, 'what' | 'signature'>): void {
  if (!existsSync(signature)) throw new RuntimeError('ERR_SIGNATURE_MISSING', `${what} is not signed: there is no ${printable(signature)}`, { hint });
}

/** @throws always: ERR_SIGNATURE_MISSING, ERR_SIGNATURE_REFUSED */
export async function refuseUnsigned(aci: SignedAci): Promise<never> {
  requireSignature(aci);
  throw new RuntimeError('ERR_SIGNATURE_REFUSED', `${aci.what} is signed, and no key is trusted for ${aci.name}`, { hint });
}
