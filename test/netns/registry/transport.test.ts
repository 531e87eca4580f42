/** The transport alone: proxies, certificates, redirects, patience, each beside a real server on loopback. */
import { createServer as createTlsServer } from 'node:https';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type RequestListener, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RuntimeError } from '../../../src/model/errors.ts';
import { HttpClient, type HttpSettings } from '../../../src/stage0/http/client.ts';
import { useHost } from '../../rig/host.ts';
import { makeCertificates } from '../../rig/registry.ts';

useHost();
let dir = '';
beforeAll(() => {
  dir = mkdtempSync('/tmp/rkt-transport-');
  makeCertificates(join(dir, 'tls'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return (server.address() as AddressInfo).port;
}
const certificate = (): { cert: Buffer; key: Buffer } => ({
  cert: readFileSync(join(dir, 'tls/server.crt')),
  key: readFileSync(join(dir, 'tls/server.key')),
});
const secureServer = (answer: RequestListener, options: object = {}): Promise<number> =>
  listen(createTlsServer({ ...certificate(), ...options }, answer));

/** A proxy that knows its users; it leads every name to this machine. */
async function proxyServer(seen: string[], options: { readonly password?: string; readonly isTls?: boolean } = {}): Promise<number> {
  const { password } = options;
  const wanted = password === undefined ? undefined : `Basic ${Buffer.from(`bob:${password}`).toString('base64')}`;
  const answer: RequestListener = (request, response) => {
    seen.push(`${request.method ?? ''} ${request.url ?? ''} ${request.headers.authorization ?? '-'}`);
    response.end('by way of the proxy');
  };
  const proxy = options.isTls === true ? createTlsServer(certificate(), answer) : createServer(answer);
  proxy.on('connect', (request, socket, head) => {
    if (options.isTls !== true || (request.socket as unknown as { encrypted?: boolean }).encrypted === true)
      seen.push(`CONNECT ${request.url ?? ''} ${request.headers.authorization ?? '-'}`);
    if (request.headers['proxy-authorization'] !== wanted) return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const upstream = connect(Number((request.url ?? '').split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) upstream.write(head);
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    for (const one of [upstream, socket]) one.on('error', () => [upstream, socket].forEach((stream) => stream.destroy()));
  });
  return listen(proxy);
}

const quick = { retry: { attempts: 2, firstDelayMs: 10, maxDelayMs: 100 }, silenceMs: 2_000 };
async function get(url: string, settings: HttpSettings = {}, request: object = {}): Promise<string> {
  using http = new HttpClient({ env: { SSL_CERT_FILE: join(dir, 'tls/ca.crt') }, ...quick, ...settings });
  const { status, body } = await http.document(new URL(url), { maxBytes: 1000, ...request });
  return `${status} ${body.toString()}`;
}
const failure = async (work: Promise<unknown>): Promise<RuntimeError> =>
  (await work.then(
    () => expect.fail('it worked'),
    (error: unknown) => error,
  )) as RuntimeError;

describe('proxies of the environment', () => {
  const env = (more: Record<string, string>): Record<string, string> => ({ SSL_CERT_FILE: join(dir, 'tls/ca.crt'), ...more });
  test('https by CONNECT: end to end, with what is for the server unseen by the proxy; connections are kept', async () => {
    const seen: string[] = [];
    const port = await secureServer((request, response) => response.end(`hello ${request.headers.authorization ?? ''}`));
    const proxy = await proxyServer(seen, { password: 's3cret:x' });
    using http = new HttpClient({ env: env({ HTTPS_PROXY: `http://bob:s3cret%3Ax@127.0.0.1:${proxy}` }), ...quick, insecure: { tls: true } });
    for (let i = 0; i < 3; i++) {
      const { body } = await http.document(new URL(`https://server.test:${port}/x`), { maxBytes: 100, authorization: 'Bearer t' });
      expect(body.toString()).toBe('hello Bearer t');
    }
    expect(seen).toEqual([`CONNECT server.test:${port} -`]);
  });
  test('a proxy that is spoken to by TLS itself', async () => {
    const seen: string[] = [];
    const port = await secureServer((_, response) => response.end('inner'));
    const proxy = await proxyServer(seen, { isTls: true });
    const settings = {
      env: env({ HTTPS_PROXY: `https://127.0.0.1:${proxy}`, HTTP_PROXY: `https://127.0.0.1:${proxy}` }),
      insecure: { tls: true, http: true },
    };
    expect(await get(`https://server.test:${port}/`, settings)).toBe('200 inner');
    expect(await get('http://server.test/', settings)).toBe('200 by way of the proxy');
    expect(seen).toEqual([`CONNECT server.test:${port} -`, 'GET http://server.test/ -']);
  });
  test('http as a whole address', async () => {
    const seen: string[] = [];
    const proxy = await proxyServer(seen);
    expect(await get('http://server.test/path?q=1', { env: { http_proxy: `http://127.0.0.1:${proxy}` }, insecure: { http: true } })).toBe(
      '200 by way of the proxy',
    );
    expect(seen).toEqual(['GET http://server.test/path?q=1 -']);
  });
  test('a proxy that wants a password, one that is not there: the proxy is named, its password is not', async () => {
    const proxy = await proxyServer([], { password: 'other' });
    const refused = await failure(get('https://server.test/', { env: env({ HTTPS_PROXY: `http://bob:hunter2@127.0.0.1:${proxy}` }) }));
    expect(refused).toMatchObject({
      code: 'ERR_HTTP_PROXY',
      message: `proxy 127.0.0.1:${proxy} (from HTTPS_PROXY) wants a user name and a password`,
    });
    const absent = await failure(get('https://server.test/', { env: env({ ALL_PROXY: 'http://bob:hunter2@127.0.0.1:1' }) }));
    expect(absent).toMatchObject({ code: 'ERR_HTTP_PROXY', hint: 'correct or unset ALL_PROXY' });
    expect(absent.message).toContain('cannot be used to reach server.test: connection refused');
    expect(`${refused.message}${refused.hint}${absent.message}`).not.toContain('hunter2');
  });
  test('NO_PROXY and this machine go directly', async () => {
    const port = await secureServer((_, response) => response.end('direct'));
    expect(await get(`https://127.0.0.1:${port}/`, { env: env({ HTTPS_PROXY: 'http://127.0.0.1:1' }) })).toBe('200 direct');
    const error = await failure(get(`https://server.test:${port}/`, { env: env({ HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '.test' }) }));
    expect(error.code).toBe('ERR_HTTP_DNS');
  });
});

describe('certificates', () => {
  test('the host of a certificate has to be the one that was asked; a certificate of the client is shown', async () => {
    let shown: unknown;
    const port = await secureServer(
      (request, response) => {
        shown = (request.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } }).getPeerCertificate().subject?.CN;
        response.end('ok');
      },
      { requestCert: true, rejectUnauthorized: true, ca: readFileSync(join(dir, 'tls/ca.crt')) },
    );
    const certificates = join(dir, 'certs.d');
    const own = join(certificates, `127.0.0.1:${port}`);
    mkdirSync(own, { recursive: true });
    writeFileSync(join(own, 'me.cert'), readFileSync(join(dir, 'tls/server.crt')));
    const half = await failure(get(`https://127.0.0.1:${port}/`, { certificateDirs: [certificates] }));
    expect(half).toMatchObject({ code: 'ERR_HTTP_TLS', message: `${join(own, 'me.cert')} has no key me.key beside it` });
    writeFileSync(join(own, 'me.key'), readFileSync(join(dir, 'tls/server.key')));
    expect(await get(`https://127.0.0.1:${port}/`, { certificateDirs: [certificates] })).toBe('200 ok');
    expect(shown).toBe('localhost');
    const without = await failure(get(`https://127.0.0.1:${port}/`));
    expect(without.code).toMatch(/^ERR_HTTP_(TLS|UNREACHABLE)$/);
    const other = await failure(get(`https://ip6-localhost:${port}/`).catch((error: unknown) => Promise.reject(error as Error)));
    expect(other.code).toMatch(/^ERR_HTTP_(TLS|UNREACHABLE|DNS)$/);
  });
  test('no TLS where TLS was expected; files of variables that are not there or no certificates', async () => {
    const port = await listen(createServer((_, response) => response.end('plain')));
    expect(await failure(get(`https://127.0.0.1:${port}/`))).toMatchObject({ code: 'ERR_HTTP_TLS', message: `127.0.0.1:${port} does not speak TLS` });
    expect(await failure(get(`https://127.0.0.1:${port}/`, { env: { SSL_CERT_FILE: '/nowhere' } }))).toMatchObject({
      code: 'ERR_HTTP_TLS',
      message: 'SSL_CERT_FILE names /nowhere, which does not exist',
    });
    writeFileSync(join(dir, 'nonsense'), '-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n');
    expect(await failure(get(`https://127.0.0.1:${port}/`, { env: { NODE_EXTRA_CA_CERTS: join(dir, 'nonsense') } }))).toMatchObject({
      code: 'ERR_HTTP_TLS',
    });
  });
});

describe('redirects and limits', () => {
  test('from encrypted to plain is not followed unless told to; queries are not shown', async () => {
    const plain = await listen(createServer((_, response) => response.end('plain')));
    const port = await secureServer((_, response) => response.writeHead(302, { location: `http://127.0.0.1:${plain}/x?signature=secret` }).end());
    const error = await failure(get(`https://127.0.0.1:${port}/`));
    expect(error).toMatchObject({ code: 'ERR_HTTP_INSECURE' });
    expect(error.message).not.toContain('secret');
    expect(await get(`https://127.0.0.1:${port}/`, { insecure: { http: true } })).toBe('200 plain');
  });
  test('names and passwords of a Location are not used; the same origin keeps the credentials', async () => {
    const heard: IncomingHttpHeaders[] = [];
    const port: number = await listen(
      createServer((request, response) => {
        heard.push(request.headers);
        if (request.url === '/') response.writeHead(301, { location: `http://eve:pw@127.0.0.1:${port}/next` }).end();
        else response.end('there');
      }),
    );
    expect(await get(`http://127.0.0.1:${port}/`, {}, { authorization: 'Bearer mine' })).toBe('200 there');
    expect(heard.map(({ authorization }) => authorization)).toEqual(['Bearer mine', 'Bearer mine']);
  });
  test('more than fits is not read', async () => {
    const port = await listen(createServer((_, response) => void response.end('x'.repeat(5000))));
    expect(await failure(get(`http://127.0.0.1:${port}/`))).toMatchObject({
      code: 'ERR_HTTP_STATUS',
      message: expect.stringContaining('more than the 1000 bytes'),
    });
  });
  test('a redirect without an address, and to nowhere', async () => {
    const port = await listen(
      createServer((request, response) => response.writeHead(302, request.url === '/a' ? {} : { location: 'http://[' }).end()),
    );
    for (const path of ['/a', '/b']) expect(await failure(get(`http://127.0.0.1:${port}${path}`))).toMatchObject({ code: 'ERR_HTTP_REDIRECT' });
  });
});
