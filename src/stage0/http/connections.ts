/** Connections to servers, kept while there is more to ask: direct, or through a proxy (CONNECT for TLS, absolute URLs without). */
import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type SecureContext } from 'node:tls';
import type { Duplex } from 'node:stream';
import { secureContextFor } from './certificates.ts';
import { ProxyRefusal } from './failures.ts';
import { hostOf, portOf, proxyFor, type Environment, type Proxy } from './proxy.ts';

/** As many at a time as browsers open; registries count more as abuse. */
const maxSockets = 6;

export interface ConnectionSettings {
  readonly env: Environment;
  readonly certificateDirs: readonly string[];
}

/** How to send a request for one URL. */
export interface Route {
  readonly request: typeof httpRequest;
  readonly options: RequestOptions;
  readonly proxy: Proxy | undefined;
}

const proxyAuthorization = ({ username, password }: URL): Record<string, string> =>
  username === ''
    ? {}
    : { 'proxy-authorization': `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}` };

/** TLS inside a tunnel that the proxy opens. */
class TunnelAgent extends HttpsAgent {
  /** `ofProxy`: for a proxy that is spoken to by TLS itself */
  constructor(
    readonly proxy: URL,
    readonly ofProxy: ConnectionOptions,
    readonly ofServer: ConnectionOptions,
  ) {
    super({ keepAlive: true, maxSockets });
  }

  createConnection(options: ConnectionOptions, callback?: (error: Error | null, stream: Duplex) => void): undefined {
    const done = callback as (error: Error | null, stream?: Duplex) => void;
    const host = options.host ?? '';
    const authority = `${host.includes(':') ? `[${host}]` : host}:${options.port ?? 443}`;
    const request = {
      host: hostOf(this.proxy),
      port: portOf(this.proxy),
      method: 'CONNECT',
      path: authority,
      headers: { host: authority, ...proxyAuthorization(this.proxy) },
      agent: false,
    } as const;
    const connecting = this.proxy.protocol === 'https:' ? httpsRequest({ ...request, ...this.ofProxy }) : httpRequest(request);
    connecting
      .on('error', (error) => done(error))
      .on('response', (response) => {
        response.destroy();
        done(new ProxyRefusal(response.statusCode ?? 0));
      })
      .on('connect', ({ statusCode = 0 }, socket) => {
        if (statusCode === 200) return done(null, connectTls({ ...this.ofServer, socket, host, servername: options.servername ?? '' }));
        socket.destroy();
        return done(new ProxyRefusal(statusCode));
      })
      .end();
    return undefined;
  }
}

export class Connections implements Disposable {
  readonly #agents = new Map<string, HttpAgent>();
  readonly #contexts = new Map<string, SecureContext>();
  readonly #settings: ConnectionSettings;

  constructor(settings: ConnectionSettings) {
    this.#settings = settings;
  }

  /** `checked` false: whoever answers is believed to be the host that was asked. @throws ERR_HTTP_PROXY, ERR_HTTP_TLS for settings that make no sense */
  route(url: URL, checked: boolean): Route {
    const proxy = proxyFor(url, this.#settings.env);
    const host = hostOf(url);
    if (url.protocol === 'http:') {
      const agent = this.#agent(`${url.origin} ${proxy?.url.href ?? ''}`, () => new HttpAgent({ keepAlive: true, maxSockets }));
      const target = { host, port: portOf(url), path: `${url.pathname}${url.search}` };
      if (proxy === undefined) return { request: httpRequest, options: { agent, ...target }, proxy };
      const via = { host: hostOf(proxy.url), port: portOf(proxy.url), path: `${url.origin}${target.path}`, headers: proxyAuthorization(proxy.url) };
      return proxy.url.protocol === 'https:'
        ? { request: httpsRequest, options: { ...via, ...this.#ofProxy(proxy.url), agent: false }, proxy }
        : { request: httpRequest, options: { ...via, agent }, proxy };
    }
    const agent = this.#agent(`${url.origin} ${proxy?.url.href ?? ''} ${checked}`, () => {
      const options = { secureContext: this.#context(host, portOf(url)), rejectUnauthorized: checked };
      return proxy === undefined
        ? new HttpsAgent({ keepAlive: true, maxSockets, ...options })
        : new TunnelAgent(proxy.url, this.#ofProxy(proxy.url), options);
    });
    return { request: httpsRequest, options: { agent, host, port: portOf(url), path: `${url.pathname}${url.search}` }, proxy };
  }

  #ofProxy(proxy: URL): ConnectionOptions {
    if (proxy.protocol !== 'https:') return {};
    const host = hostOf(proxy);
    // Said, because Node would take the name from the Host header, which is the server's.
    return { secureContext: this.#context(host, portOf(proxy)), servername: isIP(host) === 0 ? host : '' };
  }

  #agent(key: string, make: () => HttpAgent): HttpAgent {
    const agent = this.#agents.get(key) ?? make();
    this.#agents.set(key, agent);
    return agent;
  }

  #context(host: string, port: number): SecureContext {
    const key = `${host}:${port}`;
    const context = this.#contexts.get(key) ?? secureContextFor(host, port, this.#settings.certificateDirs, this.#settings.env);
    this.#contexts.set(key, context);
    return context;
  }

  [Symbol.dispose](): void {
    for (const agent of this.#agents.values()) agent.destroy();
    this.#agents.clear();
  }
}
