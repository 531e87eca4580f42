/** An HTTPS server with a certificate of a test authority, on a port of the throw-away host; what it serves is a table the test fills. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { join } from 'node:path';
import { makeCertificates } from './registry.ts';

export interface Page {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

/** Answers `localhost`. Close it. */
export class WebServer {
  /** path without query → page, or what makes one for the n-th request (from 1) */
  readonly pages = new Map<string, Page | ((n: number) => Page)>();
  /** `GET /path?query AUTHORIZATION` of every request */
  readonly asked: string[] = [];
  readonly dir = mkdtempSync('/tmp/rkt-web-');
  /** certificate of the authority: for NODE_EXTRA_CA_CERTS and certs.d */
  readonly ca = join(this.dir, 'ca.crt');
  #server: Server | undefined;

  async listen(port: number, tls = true): Promise<void> {
    this.#server = tls ? createTlsServer(this.#certificate(), this.#answer) : createServer(this.#answer);
    await new Promise<void>((done, fail) => void this.#server?.once('error', fail).listen(port, done));
  }

  readonly #answer: RequestListener = ({ url = '', headers }, response) => {
    this.asked.push(`GET ${url}${headers.authorization === undefined ? '' : ` ${headers.authorization}`}`);
    const path = url.replace(/\?.*/, '');
    const found = this.pages.get(path);
    const times = this.asked.filter((line) => line.split(/[ ?]/)[1] === path).length;
    const page = typeof found === 'function' ? found(times) : (found ?? { status: 404, body: 'nothing here' });
    response.writeHead(page.status ?? 200, page.headers ?? { 'content-type': 'text/html' }).end(page.body ?? '');
  };

  #certificate(): { key: Buffer; cert: Buffer } {
    makeCertificates(this.dir);
    return { key: readFileSync(join(this.dir, 'server.key')), cert: readFileSync(join(this.dir, 'server.crt')) };
  }

  async close(): Promise<void> {
    this.#server?.closeAllConnections();
    await new Promise((done) => (this.#server === undefined ? done(undefined) : this.#server.close(done)));
    rmSync(this.dir, { recursive: true, force: true });
  }
}
