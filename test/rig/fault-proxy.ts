/** Between rkt and a real registry: passes everything on, counts it, and does to answers what networks and servers do. */
import { createServer, request as send, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { enterHost } from './namespaces.ts';

/** What happens to one answer; undefined: it is passed on. */
export type Fault =
  /** the connection breaks after so many bytes of the body */
  | { readonly kind: 'drop'; readonly afterBytes: number }
  /** the body ends early, as if that were all */
  | { readonly kind: 'truncate'; readonly bytes: number }
  /** the rest comes later, or never (Infinity) */
  | { readonly kind: 'delay'; readonly afterBytes: number; readonly ms: number }
  /** one byte is another one */
  | { readonly kind: 'corrupt'; readonly at: number }
  | { readonly kind: 'status'; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** headers are others; empty ones are left out */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string>> }
  | { readonly kind: 'redirect'; readonly to: string };

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export class FaultProxy {
  port = 0;
  readonly seen: Seen[] = [];
  /** `earlier`: how many requests of the same method and path were seen before */
  fault: (seen: Seen, earlier: number) => Fault | undefined = () => undefined;
  #server: Server | undefined;
  readonly #timers = new Set<NodeJS.Timeout>();

  /** @param target - host:port of the real server, asked for each request */
  constructor(readonly target: () => string) {
    beforeAll(async () => {
      enterHost();
      const server = createServer((request, response) => this.#pass(request, response));
      this.#server = server;
      await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
      this.port = (server.address() as AddressInfo).port;
    });
    beforeEach(() => {
      this.seen.length = 0;
      this.fault = () => undefined;
    });
    afterAll(() => {
      for (const timer of this.#timers) clearTimeout(timer);
      this.#server?.closeAllConnections();
      this.#server?.close();
    });
  }

  get host(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Downloads of blobs: digest → how often. */
  blobs(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { method, path } of this.seen) {
      const digest = /\/blobs\/(sha256:[0-9a-f]+)/.exec(path)?.[1];
      if (method === 'GET' && digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    }
    return counts;
  }

  #pass(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = 'GET', url: path = '/', headers } = incoming;
    const seen = { method, path, headers };
    const earlier = this.seen.filter((other) => other.method === method && other.path === path).length;
    this.seen.push(seen);
    const fault = this.fault(seen, earlier);
    if (fault?.kind === 'status') {
      outgoing.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers }).end(fault.body ?? '');
      return;
    }
    if (fault?.kind === 'redirect') {
      outgoing.writeHead(307, { location: fault.to }).end();
      return;
    }
    const [host, port] = this.target().split(':');
    const upstream = send({ host, port, method, path, headers: { ...headers, host: this.host }, agent: false });
    upstream.on('error', () => outgoing.destroy());
    outgoing.on('close', () => upstream.destroy());
    upstream.on('response', (answer) => this.#answer(answer, outgoing, fault, method));
    incoming.pipe(upstream);
  }

  #answer(answer: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined, method: string): void {
    const headers: Record<string, string | string[] | undefined> = { ...answer.headers };
    if (fault?.kind === 'headers') for (const [name, value] of Object.entries(fault.headers)) headers[name] = value === '' ? undefined : value;
    if (fault?.kind === 'truncate') headers['content-length'] = undefined;
    outgoing.writeHead(answer.statusCode ?? 500, Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)));
    answer.on('error', () => outgoing.destroy());
    if (method === 'HEAD') {
      outgoing.end();
      answer.resume();
      return;
    }
    let done = 0;
    let isHeld = false;
    let isOver = false;
    answer.on('data', (chunk: Buffer) => {
      const before = done;
      done += chunk.length;
      switch (fault?.kind) {
        case 'drop':
          outgoing.write(chunk.subarray(0, Math.max(0, fault.afterBytes - before)), () => done >= fault.afterBytes && outgoing.destroy());
          return;
        case 'truncate':
          outgoing.write(chunk.subarray(0, Math.max(0, fault.bytes - before)));
          return;
        case 'corrupt':
          if (fault.at >= before && fault.at < done) chunk[fault.at - before] = (chunk[fault.at - before] ?? 0) ^ 0x40;
          break;
        case 'delay':
          if (before <= fault.afterBytes && done > fault.afterBytes) {
            isHeld = true;
            answer.pause();
            outgoing.write(chunk.subarray(0, fault.afterBytes - before));
            if (fault.ms === Infinity) return;
            const timer = setTimeout(() => {
              this.#timers.delete(timer);
              isHeld = false;
              outgoing.write(chunk.subarray(fault.afterBytes - before));
              if (isOver) outgoing.end();
              else answer.resume();
            }, fault.ms);
            this.#timers.add(timer);
            return;
          }
          break;
        default:
      }
      if (!outgoing.write(chunk)) {
        answer.pause();
        outgoing.once('drain', () => answer.resume());
      }
    });
    answer.on('end', () => {
      isOver = true;
      if (!isHeld) outgoing.end();
    });
  }
}
