/**
 * Debian's docker-registry on a free port of the throw-away host: plain, with TLS by a CA of the test's own, with htpasswd, or
 * with a token server. Filled by skopeo. Make it after useHost().
 */
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createSign, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';
import { enterHost } from './namespaces.ts';

export const user = 'alice';
export const password = 'se:cret ü';

export interface RegistryOptions {
  readonly tls?: boolean;
  readonly auth?: 'htpasswd' | 'token';
}

const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });

/** A certificate authority in `dir`, and a certificate of it for 127.0.0.1 and localhost: ca.crt, server.crt, server.key. */
export function makeCertificates(dir: string): void {
  mkdirSync(dir, { recursive: true });
  const at = (name: string): string => join(dir, name);
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...ec, '-keyout', at('ca.key'), '-out', at('ca.crt'), '-days', '2', '-subj', '/CN=rkt test CA');
  openssl('req', ...ec, '-keyout', at('server.key'), '-out', at('server.csr'), '-subj', '/CN=localhost');
  writeFileSync(at('server.ext'), 'subjectAltName=IP:127.0.0.1,DNS:localhost\n');
  openssl(
    'x509',
    '-req',
    '-in',
    at('server.csr'),
    '-CA',
    at('ca.crt'),
    '-CAkey',
    at('ca.key'),
    '-CAcreateserial',
    '-out',
    at('server.crt'),
    '-days',
    '2',
    '-extfile',
    at('server.ext'),
  );
}

/** A port nobody listens on at the moment. */
export function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}

export class Registry {
  dir = '';
  port = 0;
  /** what the token server was asked: path and query, and whether with a password */
  readonly tokenRequests: { readonly url: string; readonly authorized: boolean }[] = [];
  /** of the tokens given out from now on */
  tokenLifeSeconds = 300;
  /** how many of the next tokens are dead when they are given out, whatever their life is said to be */
  deadTokens = 0;
  #child: ChildProcess | undefined;
  #tokens: Server | undefined;
  #log = '';

  constructor(readonly options: RegistryOptions = {}) {
    beforeAll(async () => {
      enterHost();
      this.dir = mkdtempSync('/tmp/rkt-registry-');
      await this.#start();
    });
    afterAll(async () => {
      this.#tokens?.closeAllConnections();
      this.#tokens?.close();
      const child = this.#child;
      if (child !== undefined && child.exitCode === null) {
        const ended = new Promise((done) => child.once('exit', done));
        child.kill('SIGKILL');
        await ended;
      }
      rmSync(this.dir, { recursive: true, force: true });
    });
  }

  /** `127.0.0.1:PORT` */
  get host(): string {
    return `127.0.0.1:${this.port}`;
  }
  get ca(): string {
    return join(this.dir, 'tls/ca.crt');
  }

  /** Copies an image into the registry. @param source - as skopeo takes it */
  async push(source: string, name: string, ...options: string[]): Promise<void> {
    const credentials = this.options.auth === undefined ? [] : ['--dest-creds', `${user}:${password}`];
    // Not synchronous: the token server is in this process.
    await promisify(execFile)(
      'skopeo',
      ['--insecure-policy', 'copy', '--quiet', '--dest-tls-verify=false', ...credentials, ...options, source, `docker://${this.host}/${name}`],
      { timeout: 20_000 },
    );
  }

  async #start(): Promise<void> {
    this.port = await freePort();
    const { tls, auth } = this.options;
    const lines = [
      'version: 0.1',
      'log: { level: warn }',
      `storage: { filesystem: { rootdirectory: ${join(this.dir, 'data')} }, delete: { enabled: true } }`,
      `http:\n  addr: ${this.host}`,
    ];
    if (tls === true) {
      makeCertificates(join(this.dir, 'tls'));
      lines.push(`  tls:\n    certificate: ${join(this.dir, 'tls/server.crt')}\n    key: ${join(this.dir, 'tls/server.key')}`);
    }
    if (auth === 'htpasswd') {
      writeFileSync(join(this.dir, 'htpasswd'), execFileSync('htpasswd', ['-Bbn', user, password]));
      lines.push(`auth: { htpasswd: { realm: test, path: ${join(this.dir, 'htpasswd')} } }`);
    }
    if (auth === 'token') {
      const port = await this.#startTokenServer();
      lines.push(
        `auth: { token: { realm: "http://127.0.0.1:${port}/token", service: test-registry, issuer: rkt-test, rootcertbundle: ${join(this.dir, 'token/ca.crt')} } }`,
      );
    }
    writeFileSync(join(this.dir, 'config.yml'), `${lines.join('\n')}\n`);
    this.#child = spawn('docker-registry', ['serve', join(this.dir, 'config.yml')], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', OTEL_TRACES_EXPORTER: 'none' },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream?.on('data', (chunk: Buffer) => (this.#log += chunk.toString()));
    const deadline = performance.now() + 10_000;
    while (!(await listens(this.port))) {
      if (performance.now() > deadline || this.#child.exitCode !== null) throw new Error(`docker-registry does not listen: ${this.#log}`);
      await sleep(20);
    }
  }

  /** Gives alice tokens for everything she asks for, and others none; the repository `public/…` is everybody's. */
  #startTokenServer(): Promise<number> {
    const keys = join(this.dir, 'token');
    makeCertificates(keys);
    const key = readFileSync(join(keys, 'ca.key'));
    const certificate = new X509Certificate(readFileSync(join(keys, 'ca.crt'))).raw.toString('base64');
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      const url = new URL(request.url ?? '', 'http://token');
      const given = request.headers.authorization;
      const authorized = given === `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
      this.tokenRequests.push({ url: request.url ?? '', authorized });
      if (given !== undefined && !authorized) {
        response.writeHead(401, { 'content-type': 'application/json' }).end('{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}');
        return;
      }
      const now = Math.floor(Date.now() / 1000);
      const access = url.searchParams.getAll('scope').flatMap((scope) => {
        const [type = '', name = '', actions = ''] = scope.split(':');
        return authorized || name.startsWith('public/') ? [{ type, name, actions: actions.split(',') }] : [];
      });
      const claims = {
        iss: 'rkt-test',
        sub: user,
        aud: 'test-registry',
        exp: now + (this.deadTokens-- > 0 ? -1000 : this.tokenLifeSeconds),
        nbf: now - 10,
        iat: now,
        jti: String(Math.random()),
        access,
      };
      const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const signed = `${encode({ typ: 'JWT', alg: 'ES256', x5c: [certificate] })}.${encode(claims)}`;
      const signature = createSign('SHA256').update(signed).sign({ key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ token: `${signed}.${signature}`, expires_in: this.tokenLifeSeconds }));
    };
    return new Promise((done) => {
      const server = createServer(answer).listen(0, '127.0.0.1', () => done((server.address() as AddressInfo).port));
      this.#tokens = server;
    });
  }
}

const listens = (port: number): Promise<boolean> =>
  fetchNothing(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  );

/** Not the global fetch: its sockets would outlive the test. */
async function fetchNothing(url: string): Promise<void> {
  const { get } = await import('node:http');
  await new Promise<void>((done, fail) => {
    get(url, { agent: false }, (response) => {
      response.resume();
      response.on('end', done);
    }).on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? fail(error) : done()));
  });
}
