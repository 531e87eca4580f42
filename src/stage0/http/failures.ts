/** What went wrong below HTTP, said so that one knows whom to ask: the resolver, the network, the certificate, the proxy. */
import { RuntimeError, isErrno, isRuntimeError, messageOf, printable, type ErrorContext } from '../../model/errors.ts';
import type { Proxy } from './proxy.ts';

/** Thrown inside this folder when a peer is silent; becomes ERR_HTTP_UNREACHABLE. */
export class Stalled extends Error {
  readonly code = 'ESTALLED';
}

/** The proxy answered CONNECT with something else than 200. */
export class ProxyRefusal extends Error {
  readonly code = 'EPROXY';
  constructor(readonly status: number) {
    super(`it answers ${status}`);
  }
}

const refusals: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: nothing listens there',
  EHOSTUNREACH: 'no route to that host',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'the connection timed out',
  ECONNRESET: 'the connection was closed by the other side',
  EPIPE: 'the connection was closed by the other side',
};

const certificateFaults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: is the clock right?',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself only',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate leads to an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT: 'the authority of its certificate is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the authority of its certificate is not known here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the authority of its certificate is not known here',
};

const codeOf = (error: unknown): string => (typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '');

/** True when asking again may help. */
export const isPassing = (error: unknown): boolean =>
  isErrno(error, 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ESTALLED', 'ERR_STREAM_PREMATURE_CLOSE', 'ECONNABORTED') || codeOf(error).startsWith('HPE_');

/** @returns a RuntimeError; one that is one already as it is */
export function networkError(error: unknown, url: URL, proxy: Proxy | undefined): RuntimeError {
  if (isRuntimeError(error)) return error;
  const code = codeOf(error);
  const context = (hint?: string): ErrorContext => ({ cause: error, ...(hint === undefined ? {} : { hint }) });
  if (proxy !== undefined && !isTls(code)) return proxyError(error, url, proxy);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const why = code === 'ENOTFOUND' ? 'there is no host of that name' : 'the name server does not answer';
    return new RuntimeError(
      'ERR_HTTP_DNS',
      `cannot resolve ${url.hostname}: ${why}`,
      context('is the name right, and is there a network? See /etc/resolv.conf'),
    );
  }
  if (isTls(code)) return tlsError(error, code, url);
  const why = refusals[code] ?? printable(messageOf(error));
  return new RuntimeError('ERR_HTTP_UNREACHABLE', `no answer from ${url.host}: ${why}`, context());
}

const isTls = (code: string): boolean =>
  code in certificateFaults || code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || code.startsWith('CERT_') || code === 'EPROTO';

function tlsError(cause: unknown, code: string, url: URL): RuntimeError {
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || /wrong version number|packet length too long/i.test(messageOf(cause))) {
    return new RuntimeError('ERR_HTTP_TLS', `${url.host} does not speak TLS`, {
      cause,
      hint: 'a registry without TLS needs --insecure-options=http',
    });
  }
  const fault = certificateFaults[code];
  const why = fault ?? printable(messageOf(cause));
  return new RuntimeError('ERR_HTTP_TLS', `no secure connection to ${url.host}: ${why}`, {
    cause,
    hint:
      fault?.includes('authority') === true || code === 'DEPTH_ZERO_SELF_SIGNED_CERT'
        ? `if you trust it, put the certificate of its authority into /etc/containers/certs.d/${url.host}/ca.crt`
        : '--insecure-options=tls connects without checking whom with',
  });
}

function proxyError(cause: unknown, url: URL, { url: proxy, source }: Proxy): RuntimeError {
  const name = `proxy ${proxy.host} (from ${source})`;
  if (cause instanceof ProxyRefusal) {
    return cause.status === 407
      ? new RuntimeError('ERR_HTTP_PROXY', `${name} wants a user name and a password`, {
          cause,
          hint: `${source}=http://USER:PASSWORD@${proxy.host}`,
        })
      : new RuntimeError('ERR_HTTP_PROXY', `${name} does not connect to ${url.host}: ${cause.message}`, {
          cause,
          hint: `if ${url.hostname} needs no proxy, add it to NO_PROXY`,
        });
  }
  const code = codeOf(cause);
  const why = code === 'ENOTFOUND' || code === 'EAI_AGAIN' ? 'its name cannot be resolved' : (refusals[code] ?? printable(messageOf(cause)));
  return new RuntimeError('ERR_HTTP_PROXY', `${name} cannot be used to reach ${url.host}: ${why}`, { cause, hint: `correct or unset ${source}` });
}
