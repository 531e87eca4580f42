/**
 * HTTP as fetching needs it: redirects that take no credentials to another origin, patience with busy servers,
 * proxies and certificates from the environment, and errors that say which of them it was. node:http and node:https
 * do the protocol: another client (undici) would be 1 MB to load for what these 400 lines add.
 * @see RFC 9110; rkt.md 2.16
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntimeError, isRuntimeError, printable } from '../../model/errors.ts';
import { certificateDirs as systemCertificateDirs } from './certificates.ts';
import { Connections } from './connections.ts';
import { exchange } from './exchange.ts';
import { isPassing, networkError } from './failures.ts';
import { hostOf, isLoopback, type Environment, type Proxy } from './proxy.ts';
import { defaultRetry, delayMs, isPassingStatus, retryAfterMs, type RetryPolicy } from './retry.ts';

export interface HttpSettings {
  /** default: that of this process */
  readonly env?: Environment;
  /** directories of per-host certificates, containers-certs.d(5); those of the system come first anyhow */
  readonly certificateDirs?: readonly string[];
  /** `--insecure-options`: `http` without encryption to other machines, `tls` without checking certificates */
  readonly insecure?: Insecure;
  readonly retry?: RetryPolicy;
  /** how long a server may say nothing, before its answer or within it */
  readonly silenceMs?: number;
  /** hears of each wait before another attempt */
  readonly onWait?: (text: string) => void;
  /** ends all that is under way, and whatever is asked afterwards */
  readonly signal?: AbortSignal | undefined;
}

export interface Insecure {
  readonly http?: boolean;
  readonly tls?: boolean;
}

export interface HttpRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  /** value of the Authorization header: for the origin of the URL only, never beyond a redirect that leaves it */
  readonly authorization?: string | undefined;
  readonly body?: string;
  /** added to what the client allows */
  readonly insecure?: Insecure | undefined;
  readonly signal?: AbortSignal;
}

/** An answer of any status that is no redirect. Read `body` to its end or dispose it, or its connection stays occupied. */
export interface HttpResponse extends Disposable {
  /** where it came from after redirects */
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** as sent: no content coding is asked for, none is undone */
  readonly body: AsyncIterable<Buffer>;
}

const maxRedirects = 10;
const shortBytes = 65_536;
const redirectStatuses = [301, 302, 303, 307, 308];

export class HttpClient implements Disposable {
  readonly #connections: Connections;
  readonly #insecure: Insecure;
  readonly #silenceMs: number;
  readonly #onWait: (text: string) => void;
  readonly #signal: AbortSignal | undefined;
  readonly retry: RetryPolicy;

  constructor({
    env = process.env,
    certificateDirs = [],
    insecure = {},
    retry = defaultRetry,
    silenceMs = 30_000,
    onWait = () => undefined,
    signal,
  }: HttpSettings = {}) {
    this.#connections = new Connections({ env, certificateDirs: [...systemCertificateDirs, ...certificateDirs] });
    this.#insecure = insecure;
    this.#silenceMs = silenceMs;
    this.#onWait = onWait;
    this.#signal = signal;
    this.retry = retry;
  }

  /** Whether other machines may be spoken to without encryption. */
  get allowsHttp(): boolean {
    return this.#insecure.http === true;
  }

  /**
   * Asks until there is an answer that does not say "later", at most `retry.attempts` times; the last answer is handed out whatever its status.
   * @throws ERR_HTTP_DNS, ERR_HTTP_UNREACHABLE, ERR_HTTP_TLS, ERR_HTTP_PROXY, ERR_HTTP_INSECURE, ERR_HTTP_REDIRECT
   */
  async request(url: URL, asked: HttpRequest = {}): Promise<HttpResponse> {
    const request = { ...asked, ...this.#ending(asked.signal) };
    for (let attempt = 1; ; attempt++) {
      let response: HttpResponse;
      try {
        response = await this.#follow(url, request);
      } catch (error) {
        if (!isPassing(rootOf(error)) || attempt >= this.retry.attempts || request.signal?.aborted === true) throw error;
        await this.pause(attempt, `${url.host}: ${error instanceof Error ? error.message : ''}`, undefined, request.signal);
        continue;
      }
      if (!isPassingStatus(response.status) || attempt >= this.retry.attempts) return response;
      const asked = retryAfterMs(response.headers['retry-after'], Date.now());
      if (asked !== undefined && asked > this.retry.maxDelayMs) return response;
      response[Symbol.dispose]();
      await this.pause(attempt, `${response.url.host} answers ${response.status}`, asked, request.signal);
    }
  }

  /** As part of a request: the signals that end it. */
  #ending(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
    const signals = [signal, this.#signal].filter((one) => one !== undefined);
    const [first] = signals;
    return first === undefined ? {} : { signal: signals.length === 1 ? first : AbortSignal.any(signals) };
  }

  /** Waits as long as comes after `attempt` failed attempts, telling why. */
  async pause(attempt: number, why: string, askedMs?: number, signal?: AbortSignal): Promise<void> {
    const waitMs = askedMs ?? delayMs(this.retry, attempt, Math.random());
    this.#onWait(`${printable(why)}; trying again in ${(waitMs / 1000).toFixed(1)} s (attempt ${attempt + 1} of ${this.retry.attempts})`);
    await sleep(waitMs, undefined, this.#ending(signal));
  }

  /**
   * A whole document of at most `maxBytes`, asked for again when the connection breaks in the middle.
   * @throws like {@link request}; ERR_HTTP_STATUS when it is larger
   */
  async document(
    url: URL,
    request: HttpRequest & { readonly maxBytes: number; readonly expectedBytes?: number },
  ): Promise<Omit<HttpResponse, 'body' | typeof Symbol.dispose> & { readonly body: Buffer }> {
    for (let attempt = 1; ; attempt++) {
      using response = await this.request(url, request);
      const chunks: Buffer[] = [];
      let bytes = 0;
      try {
        for await (const chunk of response.body) {
          bytes += chunk.length;
          if (bytes > request.maxBytes)
            throw new RuntimeError('ERR_HTTP_STATUS', `${shownUrl(url)} has more than the ${request.maxBytes} bytes it may have`);
          chunks.push(chunk);
          // A length that is announced too long would be waited for.
          if (bytes === request.expectedBytes) break;
        }
        return { url: response.url, status: response.status, headers: response.headers, body: Buffer.concat(chunks) };
      } catch (error) {
        if (!isPassing(rootOf(error)) || attempt >= this.retry.attempts) throw error;
        await this.pause(attempt, error instanceof Error ? error.message : '', undefined, request.signal);
      }
    }
  }

  async #follow(first: URL, request: HttpRequest): Promise<HttpResponse> {
    let url = first;
    let { authorization } = request;
    const insecure = {
      http: this.#insecure.http === true || request.insecure?.http === true,
      tls: this.#insecure.tls === true || request.insecure?.tls === true,
    };
    for (let redirects = 0; ; redirects++) {
      refuseUnencrypted(url, first, insecure.http);
      const route = this.#connections.route(url, !insecure.tls);
      const { status, headers, message } = await exchange(url, route, { ...request, authorization, silenceMs: this.#silenceMs });
      if (!redirectStatuses.includes(status)) return responseOf(url, route.proxy, status, headers, message);
      discard(message);
      const { location } = headers;
      if (location === undefined || !URL.canParse(location, url.href))
        throw new RuntimeError('ERR_HTTP_REDIRECT', `${shownUrl(url)} answers ${status} without saying where it has gone`);
      if (redirects >= maxRedirects)
        throw new RuntimeError(
          'ERR_HTTP_REDIRECT',
          `${shownUrl(first)} is redirected more than ${maxRedirects} times, at last to ${shownUrl(new URL(location, url))}`,
        );
      const next = new URL(location, url);
      next.username = '';
      next.password = '';
      if (next.origin !== url.origin) authorization = undefined;
      url = next;
    }
  }

  [Symbol.dispose](): void {
    this.#connections[Symbol.dispose]();
  }
}

/** Without query: that of a redirect often holds a signature that is as good as a password. */
export const shownUrl = ({ origin, pathname }: URL): string => printable(`${origin}${pathname}`);

const rootOf = (error: unknown): unknown => (isRuntimeError(error) ? error.cause : error);

function refuseUnencrypted(url: URL, first: URL, allowed: boolean): void {
  if (url.protocol === 'https:') return;
  if (url.protocol !== 'http:')
    throw new RuntimeError('ERR_HTTP_REDIRECT', `${shownUrl(first)} leads to ${printable(url.protocol)}, which is not HTTP`);
  if (allowed) return;
  if (first.protocol === 'https:')
    throw new RuntimeError('ERR_HTTP_INSECURE', `${shownUrl(first)} redirects to ${shownUrl(url)}, which is not encrypted`, {
      hint: '--insecure-options=http follows it all the same',
    });
  if (!isLoopback(hostOf(url)))
    throw new RuntimeError('ERR_HTTP_INSECURE', `the connection to ${url.host} would not be encrypted`, {
      hint: '--insecure-options=http allows it; this machine itself needs no such permission',
    });
}

/** Nobody wants the rest: a short one is read, so that its connection can be used again; one that nobody reads keeps its connection for ever. */
function discard(message: IncomingMessage): void {
  if (message.destroyed || message.readableEnded) return;
  if (message.complete || Number(message.headers['content-length'] ?? Infinity) <= shortBytes) message.on('error', () => undefined).resume();
  else message.destroy();
}

function responseOf(url: URL, proxy: Proxy | undefined, status: number, headers: IncomingHttpHeaders, message: IncomingMessage): HttpResponse {
  return {
    url,
    status,
    headers,
    body: (async function* () {
      try {
        yield* message as AsyncIterable<Buffer>;
      } catch (error) {
        throw networkError(error, url, proxy);
      }
    })(),
    [Symbol.dispose]: () => discard(message),
  };
}
