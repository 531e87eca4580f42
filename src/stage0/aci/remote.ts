/**
 * ACIs from servers: by their address, or by their name through meta discovery. The signature is asked for first, so that
 * nothing is downloaded in vain; what is downloaded is unpacked when it is known who made it.
 * @see rkt.md 2.16; appc 0.8.11 spec/discovery.md
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { now } from '../../host/clock.ts';
import { newPodId } from '../../host/uuid.ts';
import type { AciName } from '../../model/aci-name.ts';
import { RuntimeError, isErrno, printable } from '../../model/errors.ts';
import type { StoredImage } from '../../model/oci.ts';
import { openOwnStaging } from '../../state/images/staging.ts';
import { discoverImage, type AciEndpoint, type ServerAccess } from '../discovery/discover.ts';
import { requestSignature } from '../discovery/signature.ts';
import { authorizationFor } from '../http/authorization.ts';
import { shownUrl, type HttpResponse } from '../http/client.ts';
import { download, isRestartable } from '../http/download.ts';
import { fetchAci, sourceKey, type AciRequest, type AciServices } from './fetch.ts';
import type { Dependent } from './dependencies.ts';

export interface AciRemote {
  readonly access: ServerAccess;
  /** asked before the signature of an image is looked at that was found by its name (`--trust-keys-from-https`) */
  readonly trustKeysFor?: ((name: string) => Promise<void>) | undefined;
}

export interface RemoteRequest {
  readonly services: AciServices;
  readonly remote: AciRemote;
  /** who needs it, outermost first; empty: the user */
  readonly chain: readonly Dependent[];
  /** more would be another image than the one that is meant */
  readonly maxBytes?: number | undefined;
  /** instead of the one beside the image */
  readonly signature?: (() => Promise<Uint8Array>) | undefined;
}

/** `aci`: an address of http or https; its signature is beside it. @throws ERR_IMAGE_*, ERR_LAYER_*, ERR_SIGNATURE_*, ERR_HTTP_* */
export async function fetchAciUrl(aci: string, request: RemoteRequest): Promise<StoredImage> {
  if (!URL.canParse(aci)) throw new RuntimeError('ERR_IMAGE_REFERENCE', `${printable(aci)} is no address`);
  const url = new URL(aci);
  url.hash = '';
  const known = request.services.store.findSource(sourceKey(url.href));
  if (known !== undefined) return known;
  const signature = new URL(url);
  signature.pathname += '.asc';
  return fetchEndpoint({ aci: url.href, signature: signature.href }, undefined, request);
}

/** Asks the places that discovery finds, in their order. @throws ERR_DISCOVERY, and what the last place said */
export async function fetchAciByName(wanted: AciName, request: RemoteRequest): Promise<StoredImage> {
  const { remote, services } = request;
  const endpoints = await discoverImage(wanted, remote.access);
  if (services.signatures !== 'ignore') await remote.trustKeysFor?.(wanted.name);
  const failures: RuntimeError[] = [];
  for (const endpoint of endpoints) {
    try {
      return await fetchEndpoint(endpoint, wanted, request);
    } catch (error) {
      // Only that it is not there, or that nobody is, is a reason to ask elsewhere.
      if (!(error instanceof RuntimeError) || !isErrno(error, 'ERR_IMAGE_NOT_FOUND', 'ERR_HTTP_DNS', 'ERR_HTTP_UNREACHABLE', 'ERR_SIGNATURE_MISSING'))
        throw error;
      failures.push(error);
    }
  }
  const [first, ...others] = failures;
  if (first !== undefined && others.length === 0) throw first;
  throw new RuntimeError(
    first?.code ?? 'ERR_IMAGE_NOT_FOUND',
    `${printable(wanted.name)} is at none of the ${endpoints.length} places that discovery found`,
    {
      cause: first,
      details: failures.map(({ message }) => message),
      ...(first?.hint === undefined ? {} : { hint: first.hint }),
    },
  );
}

async function fetchEndpoint({ aci, signature }: AciEndpoint, wanted: AciName | undefined, request: RemoteRequest): Promise<StoredImage> {
  const { services, remote, chain } = request;
  const url = new URL(aci);
  const written = shownUrl(url);
  const signed = services.signatures === 'ignore' || request.signature !== undefined ? undefined : await requestSignature(signature, remote.access);
  using staging = openOwnStaging(services.store.dataDir, `aci-${newPodId()}`);
  const path = join(staging.dir, 'aci');
  await downloadTo(path, url, request);
  const fetch: AciRequest = {
    path,
    written,
    origin: written,
    source: { key: sourceKey(url.href), stamp: undefined },
    chain,
    ...(wanted === undefined ? {} : { wanted: { name: wanted.name, labels: [...wanted.labels].map(([name, value]) => ({ name, value })) } }),
    signature: request.signature ?? (signed === undefined ? undefined : () => signed.bytes()),
  };
  return await fetchAci(fetch, services);
}

/** How often a download is begun anew that changed meanwhile. */
const maxBeginnings = 3;

async function downloadTo(path: string, url: URL, request: RemoteRequest): Promise<void> {
  for (let beginning = 1; ; beginning++) {
    try {
      await downloadOnce(path, url, request);
      return;
    } catch (error) {
      if (!isRestartable(error) || beginning === maxBeginnings) throw error;
    }
  }
}

async function downloadOnce(path: string, url: URL, { remote, services, maxBytes = services.limits.maxArchiveBytes }: RemoteRequest): Promise<void> {
  const { http, credential, insecureHttp } = remote.access;
  const used = credential(url.host);
  const what = shownUrl(url);
  let totalBytes: number | undefined;
  const accept = (response: HttpResponse): 'take' => {
    refuseStatus(response.status, what, used?.source);
    const length = Number(response.headers['content-length'] ?? Number.NaN);
    if (response.status === 200 && Number.isSafeInteger(length)) totalBytes = length;
    return 'take';
  };
  const fd = openSync(path, 'w', 0o600);
  try {
    let doneBytes = 0;
    const authorized = authorizationFor(used, url, now());
    for await (const chunk of download(http, url, { ...authorized, insecure: { http: insecureHttp }, accept })) {
      doneBytes += chunk.length;
      if (doneBytes > maxBytes) throw new RuntimeError('ERR_LAYER_LIMIT', `${what} has more than ${maxBytes} bytes`);
      for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
      services.progress({ what: url.pathname.split('/').at(-1) ?? what, doneBytes, totalBytes });
    }
    // Without this a connection that was cut would look like the end.
    if (totalBytes !== undefined && doneBytes < totalBytes)
      throw new RuntimeError('ERR_HTTP_UNREACHABLE', `${what} ended after ${doneBytes} of ${totalBytes} bytes`);
  } finally {
    closeSync(fd);
  }
}

function refuseStatus(status: number, what: string, source: string | undefined): void {
  if (status === 200 || status === 206) return;
  if (status === 404 || status === 410) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', `there is no ${what}`);
  if (status !== 401 && status !== 403) throw new RuntimeError('ERR_HTTP_STATUS', `${what} answers ${status}`);
  throw new RuntimeError(
    'ERR_HTTP_STATUS',
    `${what} answers ${status}: ${source === undefined ? 'there are no credentials for that server' : `the credentials of ${source} were refused`}`,
    { hint: 'rkt config shows which credentials there are' },
  );
}
