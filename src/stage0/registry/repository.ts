/**
 * One repository of one registry: its manifests, blobs and tags, by the v2 API.
 * @see OCI distribution-spec 1.1; docker/distribution "HTTP API V2"
 */
import * as z from 'zod/mini';
import { RuntimeError, isCode, isRuntimeError, printable } from '../../model/errors.ts';
import { didYouMean, type Digest } from '../../model/ids.ts';
import type { Endpoint } from '../../model/registries.ts';
import { digestOf } from '../fetch/source-image.ts';
import { indexTypes, manifestTypes } from '../fetch/media-types.ts';
import { shownUrl, type HttpClient, type HttpResponse, type Insecure } from '../http/client.ts';
import { download } from '../http/download.ts';
import { isLoopback } from '../http/proxy.ts';
import { Authorization } from './authorization.ts';
import type { RegistryAccess } from './access.ts';
import { reasonIn } from './reasons.ts';

/** A manifest or index as it came. */
export interface Document {
  readonly bytes: Buffer;
  readonly digest: Digest;
  /** Content-Type without parameters */
  readonly type: string;
}

const accepted = [...manifestTypes, ...indexTypes].join(', ');
const tagList = z.object({ tags: z.nullish(z.array(z.string())) });
const maxErrorBytes = 64 * 1024;
const maxTagBytes = 4 * 1024 * 1024;
/** Damage on the way may pass; content that is wrong three times is wrong. */
const maxReads = 3;

/** The server behind a registry's name. */
const serverOf = (registry: string): string => (registry === 'docker.io' ? 'registry-1.docker.io' : registry);
const plainType = (response: Pick<HttpResponse, 'headers'>): string =>
  (response.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';

export class Repository {
  readonly #http: HttpClient;
  readonly #authorization: Authorization;
  readonly #insecure: Insecure;
  #base: Promise<URL> | undefined;

  constructor(
    readonly endpoint: Endpoint,
    access: RegistryAccess,
    http: HttpClient,
  ) {
    this.#http = http;
    this.#insecure = endpoint.insecure ? { http: true, tls: true } : {};
    this.#authorization = new Authorization({
      http,
      registry: endpoint.registry,
      repository: endpoint.repository,
      insecure: this.#insecure,
      credentials: () => access.credentials(endpoint.registry, endpoint.repository),
    });
  }

  /** Digest that a tag has at the moment, without loading anything; undefined when the registry does not tell. @throws like {@link manifest} */
  async digestOfTag(tag: string): Promise<string | undefined> {
    const response = await this.#ask(`manifests/${tag}`, { method: 'HEAD', headers: { accept: accepted }, maxBytes: maxErrorBytes });
    if (response.status !== 200) return undefined;
    return String(response.headers['docker-content-digest'] ?? '') || undefined;
  }

  /**
   * A manifest or index, by tag or by digest, verified.
   * @throws ERR_IMAGE_NOT_FOUND with tags that look alike, ERR_IMAGE_DIGEST, ERR_REGISTRY_*, ERR_HTTP_*
   */
  async manifest(tagOrDigest: string, maxBytes: number): Promise<Document> {
    for (let read = 1; ; read++) {
      const response = await this.#ask(`manifests/${tagOrDigest}`, { headers: { accept: accepted }, maxBytes });
      if (response.status !== 200) throw await this.#refused(response, `manifests/${tagOrDigest}`, tagOrDigest);
      const digest = digestOf(response.body);
      const expected = tagOrDigest.includes(':') ? tagOrDigest : String(response.headers['docker-content-digest'] ?? digest);
      // A digest of another algorithm cannot be compared here; what hangs on the manifest is checked all the same.
      if (expected === digest || (!tagOrDigest.includes(':') && !expected.startsWith('sha256:')))
        return { bytes: response.body, digest, type: plainType(response) };
      if (read >= maxReads)
        throw new RuntimeError('ERR_IMAGE_DIGEST', `manifest ${tagOrDigest} of ${this.name} has the digest ${digest}, not ${printable(expected)}`, {
          hint: 'something between here and the registry changes what it sends',
        });
      await this.#http.pause(read, `manifest ${tagOrDigest} was damaged on its way`);
    }
  }

  /** A small blob, verified. @throws like {@link manifest} */
  async document(digest: Digest, bytes: number): Promise<Buffer> {
    for (let read = 1; ; read++) {
      const response = await this.#ask(`blobs/${digest}`, { maxBytes: Math.max(bytes, maxErrorBytes), expectedBytes: bytes });
      if (response.status !== 200) throw await this.#refused(response, `blobs/${digest}`);
      const actual = digestOf(response.body);
      if (actual === digest) return response.body;
      if (read >= maxReads) throw new RuntimeError('ERR_IMAGE_DIGEST', `blob ${digest} of ${this.name} has the digest ${actual}`);
      await this.#http.pause(read, `blob ${digest} was damaged on its way`);
    }
  }

  /** The bytes of a blob; the caller verifies them. @throws ERR_HTTP_CHANGED when it has to be begun anew, and like {@link manifest} */
  async *blob(digest: Digest, bytes: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    const path = `blobs/${digest}`;
    let used: string | undefined;
    const authorize = async (): Promise<string | undefined> => (used = await this.#authorization.header());
    yield* download(this.#http, await this.#url(path), {
      expectedBytes: bytes,
      insecure: this.#insecure,
      signal,
      authorize,
      accept: async (response) => {
        if (response.status === 200 || response.status === 206) return 'take';
        const body = await beginning(response);
        if (response.status !== 401) throw await this.#refused({ ...response, body }, path);
        await this.#authorization.challenged(response, used, body);
        return 'again';
      },
    });
  }

  /** Waits before another attempt, telling why. */
  pause(attempt: number, why: string): Promise<void> {
    return this.#http.pause(attempt, why);
  }

  get name(): string {
    return `${this.endpoint.registry}/${this.endpoint.repository}`;
  }

  async #url(path: string): Promise<URL> {
    this.#base ??= this.#findBase();
    return new URL(path, await this.#base);
  }

  /**
   * https, except where http is allowed: there the server is asked which it speaks, and this machine's own is asked for http first,
   * since a secure connection to it protects nothing.
   */
  async #findBase(): Promise<URL> {
    const server = serverOf(this.endpoint.registry);
    const at = (scheme: string): URL => new URL(`${scheme}://${server}/v2/${this.endpoint.repository}/`);
    const local = isLoopback(at('https').hostname.replace(/^\[|\]$/g, ''));
    if (!local && !this.#http.allowsHttp && this.#insecure.http !== true) return at('https');
    const schemes = local ? ['http', 'https'] : ['https', 'http'];
    let failure: unknown;
    for (const scheme of schemes) {
      try {
        const { status } = await this.#http.document(new URL('/v2/', at(scheme)), { insecure: this.#insecure, maxBytes: maxErrorBytes });
        // A TLS server answers 400 to plain text.
        if (status !== 400 || scheme === 'https') return at(scheme);
      } catch (error) {
        failure ??= error;
        const speaksOther = isCode(error, 'ERR_HTTP_TLS') || isCode(error, 'ERR_HTTP_UNREACHABLE');
        if (!speaksOther) throw error;
        if (isCode(error, 'ERR_HTTP_TLS')) failure = error;
      }
    }
    throw failure ?? new RuntimeError('ERR_REGISTRY_PROTOCOL', `${server} answers 400 to everything`);
  }

  async #ask(
    path: string,
    request: { method?: 'GET' | 'HEAD'; headers?: Record<string, string>; maxBytes: number; expectedBytes?: number },
  ): ReturnType<HttpClient['document']> {
    const url = await this.#url(path);
    for (;;) {
      const used = await this.#authorization.header();
      const response = await this.#http.document(url, { ...request, insecure: this.#insecure, authorization: used });
      if (response.status !== 401) return response;
      await this.#authorization.challenged({ ...response, body: nothing(), [Symbol.dispose]: () => undefined }, used, response.body);
    }
  }

  /** Any status that is no success, as an error. */
  async #refused(
    response: { readonly status: number; readonly url: URL; readonly headers: HttpResponse['headers']; readonly body: Uint8Array },
    path: string,
    tag?: string,
  ): Promise<RuntimeError> {
    const reason = reasonIn(response.body);
    switch (response.status) {
      case 403:
        return this.#authorization.forbidden(response.body);
      case 404:
        return tag === undefined
          ? new RuntimeError('ERR_IMAGE_INVALID', `${this.name} has no ${path}${reason}`, {
              hint: 'the image was pushed by halves, or its layers are kept elsewhere',
            })
          : this.#missing(tag, reason);
      case 429:
        return new RuntimeError(
          'ERR_HTTP_STATUS',
          `${shownUrl(response.url)} answers 429, too many requests${reason}${patience(response.headers['retry-after'])}`,
          {
            hint: `registries let people who log in ask more often: skopeo login ${this.endpoint.registry}`,
          },
        );
      default:
        return new RuntimeError(
          'ERR_HTTP_STATUS',
          `${shownUrl(response.url)} answers ${response.status}${reason}${patience(response.headers['retry-after'])}`,
          {
            hint: response.status >= 500 ? `${response.url.host} is out of order: try again later, or from a mirror` : 'is this a registry?',
          },
        );
    }
  }

  async #missing(tag: string, reason: string): Promise<RuntimeError> {
    const tags = await this.#tags();
    if (tags === undefined || tag.includes(':'))
      return new RuntimeError(
        'ERR_IMAGE_NOT_FOUND',
        `${this.endpoint.registry} has no ${this.endpoint.repository}${tag.includes(':') ? '@' : ':'}${tag}: it answers 404${reason}`,
      );
    const near = didYouMean(tag, tags) ?? tags.find((known) => known.startsWith(tag) || tag.startsWith(known));
    const some = tags.slice(0, 10).map((known) => printable(known));
    return new RuntimeError('ERR_IMAGE_NOT_FOUND', `${this.name} has no tag ${JSON.stringify(printable(tag))}: the registry answers 404`, {
      ...(near === undefined ? {} : { hint: `did you mean ${this.name}:${printable(near)}?` }),
      details: [`it has ${some.join(', ')}${tags.length > some.length ? `, … (${tags.length} in all)` : ''}`],
    });
  }

  /** Only for a hint: whatever goes wrong, the 404 is what there is to tell. */
  async #tags(): Promise<string[] | undefined> {
    try {
      const response = await this.#ask('tags/list?n=1000', { maxBytes: maxTagBytes });
      const tags = response.status === 200 ? tagList.safeParse(JSON.parse(response.body.toString())).data?.tags : undefined;
      return tags == null || tags.length === 0 ? undefined : tags.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
    } catch (error) {
      if (isRuntimeError(error) || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }
}

const patience = (retryAfter: string | undefined): string =>
  retryAfter === undefined ? '' : ` (it asks to wait: ${printable(retryAfter).slice(0, 40)})`;

async function* nothing(): AsyncGenerator<Buffer> {}

/** The first bytes of an answer. */
async function beginning(response: HttpResponse): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= maxErrorBytes) break;
  }
  return Buffer.concat(chunks);
}
