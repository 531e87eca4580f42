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
import type { Freshness } from '../../state/images/records.ts';
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
  /** see AciRequest */
  readonly pinned?: AciRequest['pinned'];
}

/** The address of an ACI as the store knows it. @throws ERR_IMAGE_REFERENCE */
export function addressOf(text: string): URL {
  if (!URL.canParse(text)) throw new RuntimeError('ERR_IMAGE_REFERENCE', `${printable(text)} is no address`);
  const url = new URL(text);
  url.hash = '';
  return url;
}

/** `url`: an address of http or https; its signature is beside it. @throws ERR_IMAGE_*, ERR_LAYER_*, ERR_SIGNATURE_*, ERR_HTTP_* */
export async function fetchAciUrl(url: URL, request: RemoteRequest): Promise<StoredImage> {
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
  const key = sourceKey(url.href);
  const known = services.store.findSource(key);
  const freshness = known === undefined ? undefined : services.store.freshness(key);
  if (known !== undefined && now().getTime() < (freshness?.untilMs ?? 0)) return known;
  const isUnsigned = services.signatures === 'ignore' || request.pinned !== undefined;
  const signed = isUnsigned || request.signature !== undefined ? undefined : await requestSignature(signature, remote.access);
  using staging = openOwnStaging(services.store.dataDir, `aci-${newPodId()}`);
  const path = join(staging.dir, 'aci');
  const arrived = await downloadTo(path, url, freshness, request);
  if (arrived === 'unchanged' && known !== undefined) return known;
  const fetch: AciRequest = {
    path,
    written,
    origin: written,
    source: { key, stamp: undefined, ...(arrived === 'unchanged' ? {} : { freshness: arrived }) },
    chain,
    pinned: request.pinned,
    ...(wanted === undefined ? {} : { wanted: { name: wanted.name, labels: [...wanted.labels].map(([name, value]) => ({ name, value })) } }),
    signature: request.signature ?? (signed === undefined ? undefined : () => signed.bytes()),
  };
  return await fetchAci(fetch, services);
}

/** How often a download is begun anew that changed meanwhile. */
const maxBeginnings = 3;

/** @returns what the server said about it; `unchanged`: it is still what `freshness` is about, and nothing was downloaded */
async function downloadTo(path: string, url: URL, freshness: Freshness | undefined, request: RemoteRequest): Promise<Freshness | 'unchanged'> {
  for (let beginning = 1; ; beginning++) {
    try {
      return await downloadOnce(path, url, freshness, request);
    } catch (error) {
      if (error instanceof Unchanged) return 'unchanged';
      if (!isRestartable(error) || beginning === maxBeginnings) throw error;
    }
  }
}

/** Ends a request whose answer is that nothing changed. */
class Unchanged extends Error {}

async function downloadOnce(
  path: string,
  url: URL,
  known: Freshness | undefined,
  { remote, services, maxBytes = services.limits.maxArchiveBytes }: RemoteRequest,
): Promise<Freshness> {
  const { http, credential, insecureHttp } = remote.access;
  const used = credential(url.host);
  const what = shownUrl(url);
  let totalBytes: number | undefined;
  let freshness: Freshness = {};
  const accept = (response: HttpResponse): 'take' => {
    if (response.status === 304 && known !== undefined) throw new Unchanged();
    refuseStatus(response.status, what, used?.source);
    freshness = freshnessOf(response);
    const length = Number(response.headers['content-length'] ?? Number.NaN);
    if (response.status === 200 && Number.isSafeInteger(length)) totalBytes = length;
    return 'take';
  };
  const fd = openSync(path, 'w', 0o600);
  try {
    let doneBytes = 0;
    const authorized = authorizationFor(used, url, now());
    const headers = { ...authorized.headers, ...conditions(known) };
    for await (const chunk of download(http, url, { ...authorized, headers, insecure: { http: insecureHttp }, accept })) {
      doneBytes += chunk.length;
      if (doneBytes > maxBytes) throw new RuntimeError('ERR_LAYER_LIMIT', `${what} has more than ${maxBytes} bytes`);
      for (let at = 0; at < chunk.length;) at += writeSync(fd, chunk, at);
      services.progress({ what: url.pathname.split('/').at(-1) ?? what, doneBytes, totalBytes });
    }
    // Without this a connection that was cut would look like the end.
    if (totalBytes !== undefined && doneBytes < totalBytes)
      throw new RuntimeError('ERR_HTTP_UNREACHABLE', `${what} ended after ${doneBytes} of ${totalBytes} bytes`);
    return freshness;
  } finally {
    closeSync(fd);
  }
}

const conditions = (known: Freshness | undefined): Record<string, string> => ({
  ...(known?.etag === undefined ? {} : { 'if-none-match': known.etag }),
  ...(known?.lastModified === undefined ? {} : { 'if-modified-since': known.lastModified }),
});

/** What an answer says about how long it may be counted on. @see RFC 9111 4.2.1, 5.2.2 */
function freshnessOf({ headers }: HttpResponse): Freshness {
  const directives = headers['cache-control'] ?? '';
  const age = Number(/(?:^|[\s,])max-age="?(\d{1,9})/i.exec(directives)?.[1] ?? Number.NaN) - Number(headers.age ?? 0);
  const mayCount = !/(?:^|[\s,])(?:no-cache|no-store)(?:$|[\s,;=])/i.test(directives) && age > 0;
  return {
    ...(headers.etag === undefined ? {} : { etag: headers.etag }),
    ...(headers['last-modified'] === undefined ? {} : { lastModified: headers['last-modified'] }),
    ...(mayCount ? { untilMs: now().getTime() + age * 1000 } : {}),
  };
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
