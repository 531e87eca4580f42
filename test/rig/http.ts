/** HTTP from the throw-away host: sockets are made on the main thread, so they are born in its namespace. */
import { get } from 'node:http';
import { expect } from 'vitest';

/** Body of the page at `url`. Rejects after `timeoutMs` without an answer. */
export function page(url: string, timeoutMs = 3_000): Promise<string> {
  return new Promise((done, fail) => {
    const request = get(url, { timeout: timeoutMs }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => done(text.trim()));
    });
    request.on('timeout', () => request.destroy(new Error(`no answer from ${url} in ${timeoutMs} ms`)));
    request.on('error', fail);
  });
}

/** Waits for a server that was just started: an app runs before it listens. */
export async function untilServed(url: string): Promise<void> {
  await expect.poll(() => page(url, 500).then(() => 'served', String), { timeout: 5_000, interval: 20 }).toBe('served');
}
