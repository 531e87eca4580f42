/** One request and the head of its answer. */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { HttpRequest } from './client.ts';
import type { Route } from './connections.ts';
import { Stalled, networkError } from './failures.ts';

export interface Exchange {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly message: IncomingMessage;
}

/** @throws a RuntimeError whose cause is what the socket said */
export function exchange(
  url: URL,
  { request: send, options, proxy }: Route,
  request: HttpRequest & { readonly silenceMs: number },
): Promise<Exchange> {
  return new Promise((done, fail) => {
    const outgoing = send({
      ...options,
      method: request.method ?? 'GET',
      headers: {
        'user-agent': 'rkt',
        'accept-encoding': 'identity',
        ...(request.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(request.body)) }),
        ...request.headers,
        ...(options.headers as Record<string, string> | undefined),
        host: url.host,
        ...(request.authorization === undefined ? {} : { authorization: request.authorization }),
      },
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
    watchSilence(outgoing, request.silenceMs);
    outgoing.on('error', (error) => fail(networkError(error, url, proxy)));
    outgoing.on('response', (message) => done({ status: message.statusCode ?? 0, headers: message.headers, message }));
    outgoing.end(request.body);
  });
}

/** How many looks in a row must see nothing new. */
const looks = 4;

/**
 * Ends an exchange whose other side is silent. Not a socket's own timeout: that one also counts the time in which this
 * process was busy (unpacking is synchronous) or did not want more, and then finds the peer guilty.
 */
function watchSilence(outgoing: ClientRequest, silenceMs: number): void {
  let message: IncomingMessage | undefined;
  let seen = -1;
  let silent = 0;
  const look = (): void => {
    const bytes = outgoing.socket?.bytesRead ?? 0;
    const isOurs = message !== undefined && (message.complete || message.readableLength >= message.readableHighWaterMark);
    silent = bytes === seen && !isOurs ? silent + 1 : 0;
    seen = bytes;
    if (silent < looks) return;
    const connected = outgoing.socket?.connecting === false;
    const error = new Stalled(`${connected ? 'it has said nothing' : 'it could not be connected to'} for ${Math.round(silenceMs / 1000)} s`);
    (message ?? outgoing).destroy(error);
  };
  const timer = setInterval(look, silenceMs / looks);
  timer.unref();
  outgoing.on('response', (incoming) => {
    message = incoming;
    incoming.on('close', () => clearInterval(timer));
  });
  outgoing.on('error', () => clearInterval(timer));
  outgoing.on('close', () => {
    if (message === undefined || message.destroyed) clearInterval(timer);
  });
}
