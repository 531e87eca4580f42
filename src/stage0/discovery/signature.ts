/** Signatures: beside a file, named by the user, or from where an image comes from. @see rkt.md 2.16 */
import { readFileSync, statSync } from 'node:fs';
import { now } from '../../host/clock.ts';
import { RuntimeError, isErrno, messageOf, printable } from '../../model/errors.ts';
import { authorizationFor } from '../http/authorization.ts';
import { shownUrl } from '../http/client.ts';
import type { ServerAccess } from './discover.ts';

/** Signatures have some hundred bytes, many of them together some thousand. */
const maxBytes = 1 << 20;

const missing = (what: string, cause?: unknown): RuntimeError =>
  new RuntimeError('ERR_SIGNATURE_MISSING', what, {
    hint: '--signature=FILE names one that is elsewhere; --insecure-options=image goes without',
    ...(cause === undefined ? {} : { cause }),
  });

/** @throws ERR_SIGNATURE_MISSING when it is not there, or no signature can be that large */
export function readSignatureFile(path: string): Buffer {
  try {
    const status = statSync(path);
    if (!status.isFile() || status.size > maxBytes)
      throw missing(`${path} is no signature: ${status.isFile() ? 'it is too large' : 'it is not a file'}`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    throw missing(
      isErrno(error, 'ENOENT', 'ENOTDIR') ? `there is no signature ${path}` : `signature ${path} cannot be read: ${messageOf(error)}`,
      error,
    );
  }
}

/** A signature that was asked for before its image: there already, or promised for afterwards. */
export interface RequestedSignature {
  /** Call it when the image is there; a server that deferred is asked again now. @throws ERR_SIGNATURE_MISSING, ERR_HTTP_* */
  bytes(): Promise<Buffer>;
}

/**
 * Asks for the signature at `url`. A server that answers 202 makes it while the image is downloaded.
 * @throws ERR_SIGNATURE_MISSING, so that no image is downloaded in vain; ERR_HTTP_*
 */
export async function requestSignature(url: string, access: ServerAccess): Promise<RequestedSignature> {
  const first = await ask(url, access);
  return {
    async bytes() {
      const answer = first ?? (await ask(url, access));
      if (answer === undefined) throw missing(`the server promised a signature ${shownUrl(new URL(url))} and still does not have it`);
      return answer;
    },
  };
}

/** Undefined: later. */
async function ask(text: string, { http, credential, insecureHttp }: ServerAccess): Promise<Buffer | undefined> {
  const url = new URL(text);
  const { status, body } = await http.document(url, {
    ...authorizationFor(credential(url.host), url, now()),
    insecure: { http: insecureHttp },
    maxBytes,
  });
  if (status === 200) return body;
  if (status === 202) return undefined;
  if (status === 404 || status === 410) throw missing(`there is no signature ${shownUrl(url)}`);
  throw new RuntimeError(
    'ERR_HTTP_STATUS',
    `${shownUrl(url)} answers ${status}${status === 401 || status === 403 ? `: ${refusedText(url, credential(url.host))}` : ''}`,
  );
}

const refusedText = (url: URL, used: { readonly source: string } | undefined): string =>
  used === undefined
    ? `there are no credentials for ${printable(url.host)}; rkt config shows which there are`
    : `the credentials of ${used.source} were refused`;
