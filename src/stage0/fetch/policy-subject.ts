/** Images of files and directories as the image policy names them. @see containers-policy.json(5) */
import { realpathSync } from 'node:fs';
import type { PolicySubject } from '../../model/image-policy.ts';
import { isCode } from '../../model/errors.ts';
import type { Transport } from '../../model/image-name.ts';

type Accept = (subject: PolicySubject) => void;
interface Place {
  readonly path: string;
  /** which image in there */
  readonly ref: string | undefined;
}

/** Links are followed: a scope means a place, by whatever name one gets there. */
const subjectOf = (transport: Transport, { path, ref }: Place): PolicySubject => ({
  transport,
  place: realpathSync(path),
  ref: ref === undefined ? '' : `:${ref}`,
});

/** @returns the request, when the policy accepts it. @throws ERR_IMAGE_POLICY */
export function askPolicy<R extends Place & { readonly accept: Accept }>(request: R, transport: Transport): R {
  request.accept(subjectOf(transport, request));
  return request;
}

/**
 * True when the policy accepts the image as whatever it may turn out to be; false: it depends on which it is.
 * @throws ERR_IMAGE_POLICY when that is known, and not accepted
 */
export function isAcceptedAs(
  accept: Accept,
  { transport, kind, ...place }: Place & { readonly transport: Transport | undefined; readonly kind: 'file' | 'directory' },
): boolean {
  if (transport !== undefined) {
    accept(subjectOf(transport, place));
    return true;
  }
  const candidates: readonly Transport[] = kind === 'directory' ? ['oci', 'dir'] : ['oci-archive', 'docker-archive'];
  return candidates.every((candidate) => {
    try {
      accept(subjectOf(candidate, place));
      return true;
    } catch (error) {
      if (isCode(error, 'ERR_IMAGE_POLICY')) return false;
      throw error;
    }
  });
}
