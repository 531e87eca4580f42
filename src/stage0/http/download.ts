/**
 * A download that goes on where it broke off: by Range, and only if the server shows that it is still the same thing.
 * @see RFC 9110 13.1.5 (If-Range), 14.2; rkt.md 2.16
 */
import { RuntimeError, isCode, isRuntimeError } from '../../model/errors.ts';
import { shownUrl, type HttpClient, type HttpRequest, type HttpResponse } from './client.ts';
import { isPassing } from './failures.ts';

export interface DownloadRequest extends Omit<HttpRequest, 'method' | 'body'> {
  /** how many bytes it has, when that is known */
  readonly expectedBytes?: number | undefined;
  /** the value of the Authorization header, asked for each request anew: a token may expire on the way */
  readonly authorize?: () => Promise<string | undefined>;
  /** looks at the first answer, whatever its status: throws what is wrong with it, or returns "again" for another request (a token that expired) */
  readonly accept: (response: HttpResponse) => Promise<'take' | 'again'> | 'take' | 'again';
}

/** What identifies this version of the content: a strong ETag, else the date. */
function validatorOf({ headers }: HttpResponse): string | undefined {
  const { etag } = headers;
  if (etag !== undefined && !etag.startsWith('W/')) return etag;
  return headers['last-modified'];
}

/**
 * The bytes at `url`. Broken connections are mended; the count of attempts begins anew whenever some bytes arrived.
 * @throws what `accept` throws; ERR_HTTP_CHANGED when it cannot go on where it was, for then it has to be begun anew; ERR_HTTP_*
 */
export async function* download(http: HttpClient, url: URL, request: DownloadRequest): AsyncGenerator<Buffer> {
  let done = 0;
  let validator: string | undefined;
  for (let attempt = 1; ; attempt++) {
    const before = done;
    try {
      using response = await answer(http, url, request, done, validator);
      let skip = done === 0 ? 0 : toSkip(response, url, done, validator);
      if (done === 0) validator = validatorOf(response);
      const claimed = Number(response.headers['content-length'] ?? Number.NaN) + (response.status === 206 ? done : 0);
      if (request.expectedBytes !== undefined && !Number.isNaN(claimed) && claimed !== request.expectedBytes)
        throw new RuntimeError('ERR_HTTP_CHANGED', `${shownUrl(url)} has ${claimed} bytes, not ${request.expectedBytes}`);
      for await (const chunk of response.body) {
        const wanted = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - wanted.length;
        if (wanted.length === 0) continue;
        done += wanted.length;
        if (request.expectedBytes !== undefined && done > request.expectedBytes)
          throw new RuntimeError('ERR_HTTP_CHANGED', `${shownUrl(url)} has more than ${request.expectedBytes} bytes`);
        yield wanted;
      }
      if (request.expectedBytes === undefined || done === request.expectedBytes) return;
      // Without a Content-Length the end of a cut connection looks like the end of the content.
      throw new RuntimeError('ERR_HTTP_UNREACHABLE', `${shownUrl(url)} ended after ${done} of ${request.expectedBytes} bytes`, {
        cause: { code: 'ECONNRESET' },
      });
    } catch (error) {
      if (!isRuntimeError(error) || !isPassing(error.cause) || request.signal?.aborted === true) throw error;
      if (done > before) attempt = 1;
      if (attempt >= http.retry.attempts) throw error;
      if (done > 0 && validator === undefined)
        throw new RuntimeError('ERR_HTTP_CHANGED', `${error.message}, and the server does not say whether it is still the same`, { cause: error });
      await http.pause(attempt, error.message, undefined, request.signal);
    }
  }
}

async function answer(http: HttpClient, url: URL, request: DownloadRequest, done: number, validator: string | undefined): Promise<HttpResponse> {
  for (;;) {
    const response = await http.request(url, {
      ...request,
      authorization: request.authorize === undefined ? request.authorization : await request.authorize(),
      headers: { ...request.headers, ...(done === 0 ? {} : { range: `bytes=${done}-`, 'if-range': validator ?? '' }) },
    });
    try {
      if ((await request.accept(response)) === 'take') return response;
      response[Symbol.dispose]();
    } catch (error) {
      response[Symbol.dispose]();
      throw error;
    }
  }
}

/** @returns how many bytes of the answer are there already. @throws ERR_HTTP_CHANGED */
function toSkip(response: HttpResponse, url: URL, done: number, validator: string | undefined): number {
  const changed = (why: string): RuntimeError => new RuntimeError('ERR_HTTP_CHANGED', `${shownUrl(url)} ${why} while it was downloaded`);
  if (validatorOf(response) !== validator) throw changed('changed');
  if (response.status !== 206) return done;
  if (!new RegExp(`^bytes ${done}-`).test(response.headers['content-range'] ?? '')) throw changed('was answered with another part than asked for');
  return 0;
}

/** True for a failure after which the same download may be begun anew. */
export const isRestartable = (error: unknown): boolean => isCode(error, 'ERR_HTTP_CHANGED');
