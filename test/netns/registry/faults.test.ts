/** Twelve things that happen between here and a registry: each ends in success or in one clear error, and never in half an image. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RuntimeError } from '../../../src/model/errors.ts';
import { FaultProxy, type Fault, type Seen } from '../../rig/fault-proxy.ts';
import { useHost } from '../../rig/host.ts';
import { Registry, password, user } from '../../rig/registry.ts';
import { ImageRig, sha256, treeOf, writeLayout } from '../images/image-rig.ts';
import { accessWith, impatience, noiseLayer, recordedProgress } from './registry-rig.ts';

useHost();
const registry = new Registry();
const basic = new Registry({ auth: 'htpasswd' });
let target = registry;
const proxy = new FaultProxy(() => target.host);
const rig = new ImageRig();

const layers = [noiseLayer('one', 200_000, 11), noiseLayer('two', 700_000, 12), noiseLayer('three', 50_000, 13)];
const largest = Math.max(...layers.map(({ blob }) => blob.length));
let reference = '';
beforeEach(async () => {
  target = registry;
  await registry.push(`oci:${writeLayout(rig.path('image'), layers)}:latest`, 'web:1');
  reference = `docker://${proxy.host}/web:1`;
});
afterEach(() => {
  // Whatever happened: a store has whole things in it, and nothing that is being made.
  const temporary = join(rig.store.dataDir, 'cas/tmp');
  expect(existsSync(temporary) ? readdirSync(temporary) : []).toEqual([]);
});

const isBlob = ({ path }: Seen): boolean => path.includes('/blobs/');
const isLayer = ({ path }: Seen): boolean => layers.some(({ blob }) => path.endsWith(`/blobs/sha256:${sha256(blob)}`));
const isManifest = ({ path, method }: Seen): boolean => path.includes('/manifests/') && method === 'GET';
const told = recordedProgress();
const fetch = (access: Parameters<typeof accessWith>[0] = {}) => rig.fetch(reference, { remote: () => accessWith(access), progress: told.progress });
async function expectWhole(work = fetch()): Promise<void> {
  const root = rig.store.layerPaths(await work);
  const names = root.flatMap((dir) => treeOf(dir)).map((line) => line.split(':')[0]);
  expect(new Set(names)).toEqual(new Set(['.', 'one', 'two', 'three']));
}
async function expectError(code: string, text: string | RegExp, work = fetch()): Promise<RuntimeError> {
  const error = (await work.then(
    () => expect.fail('it worked'),
    (thrown: unknown) => thrown,
  )) as RuntimeError;
  expect(error).toMatchObject({ code });
  expect(error.message).toMatch(text);
  // Layers that came whole may stay; an image, a name or a reference may not.
  expect(rig.stored().filter((path) => /^(blobs|images|names|sources)\//.test(path))).toEqual([]);
  return error;
}
const once =
  (match: (seen: Seen) => boolean, fault: Fault) =>
  (seen: Seen, earlier: number): Fault | undefined =>
    match(seen) && earlier === 0 ? fault : undefined;
const always =
  (match: (seen: Seen) => boolean, fault: Fault) =>
  (seen: Seen): Fault | undefined =>
    match(seen) ? fault : undefined;

describe('1 the connection breaks', () => {
  test('in every layer: each goes on where it was', async () => {
    proxy.fault = once(isBlob, { kind: 'drop', afterBytes: 40_000 });
    await expectWhole();
    const resumed = proxy.seen.filter(({ headers }) => headers.range !== undefined);
    expect(resumed).toHaveLength(3);
    for (const { headers } of resumed) {
      expect(headers.range).toMatch(/^bytes=[1-9]\d*-$/);
      expect(headers['if-range']).toMatch(/^"sha256:[0-9a-f]{64}"$/);
    }
    expect(told.notes.some((note) => /connection was closed by the other side; trying again in/.test(note))).toBe(true);
  });
  test('after every 100 kB: still', async () => {
    proxy.fault = always(isBlob, { kind: 'drop', afterBytes: 100_000 });
    await expectWhole();
    expect(proxy.seen.filter(isBlob).length).toBeGreaterThan(largest / 100_000);
  });
  test('at once, for ever', async () => {
    proxy.fault = always(isBlob, { kind: 'drop', afterBytes: 0 });
    await expectError('ERR_HTTP_UNREACHABLE', /no answer from 127\.0\.0\.1:\d+: the connection was closed by the other side/);
  });
  test('in the manifest', async () => {
    proxy.fault = once(isManifest, { kind: 'drop', afterBytes: 10 });
    await expectWhole();
  });
});

describe('2 the body ends early', () => {
  test('once', async () => {
    proxy.fault = once(isBlob, { kind: 'truncate', bytes: 20_000 });
    await expectWhole();
  });
  test('a manifest, for ever', async () => {
    proxy.fault = always(isManifest, { kind: 'truncate', bytes: 100 });
    await expectError('ERR_IMAGE_DIGEST', /^manifest 1 of 127\.0\.0\.1:\d+\/web has the digest sha256:/);
  });
});

describe('3 the server is slow', () => {
  test('a pause is waited for', async () => {
    proxy.fault = once(isBlob, { kind: 'delay', afterBytes: 10_000, ms: 150 });
    await expectWhole();
    expect(proxy.seen.filter(({ headers }) => headers.range !== undefined)).toEqual([]);
  });
  test('silence is not: the download goes on over another connection', async () => {
    proxy.fault = once(isBlob, { kind: 'delay', afterBytes: 10_000, ms: Infinity });
    await expectWhole(fetch({ patience: impatience }));
    expect(proxy.seen.filter(({ headers }) => headers.range !== undefined).length).toBeGreaterThan(0);
  });
  test('silence for ever', async () => {
    proxy.fault = always(isManifest, { kind: 'delay', afterBytes: 0, ms: Infinity });
    await expectError('ERR_HTTP_UNREACHABLE', 'it has said nothing for', fetch({ patience: impatience }));
  });
});

describe('4 a byte is another one', () => {
  test('once, in a layer or in the manifest', async () => {
    proxy.fault = (seen, earlier) => ((isBlob(seen) || isManifest(seen)) && earlier === 0 ? { kind: 'corrupt', at: 60 } : undefined);
    await expectWhole();
  });
  test('for ever, in a layer', async () => {
    proxy.fault = (seen) => (isBlob(seen) ? { kind: 'corrupt', at: 30_000 } : undefined);
    await expectError('ERR_IMAGE_DIGEST', /^layer sha256:[0-9a-f]{64}: its blob has the digest/);
  });
  test('in the first bytes, by which compression is told', async () => {
    proxy.fault = once(isBlob, { kind: 'corrupt', at: 0 });
    await expectWhole();
  });
});

describe('5-7 the server has no time', () => {
  test.each([
    ['429 with Retry-After', { kind: 'status', status: 429, headers: { 'retry-after': '0' } }],
    ['500', { kind: 'status', status: 500 }],
    ['503', { kind: 'status', status: 503 }],
  ] as const)('%s, once for everything', async (_, fault) => {
    proxy.fault = once(() => true, fault);
    await expectWhole();
  });
  test('429 with a second of patience: it is waited for', async () => {
    proxy.fault = once(isManifest, { kind: 'status', status: 429, headers: { 'retry-after': '1' } });
    const started = performance.now();
    await expectWhole();
    expect(performance.now() - started).toBeGreaterThan(900);
  });
  test('429 with an hour of patience: nobody waits', async () => {
    proxy.fault = always(isManifest, {
      kind: 'status',
      status: 429,
      headers: { 'retry-after': '3600' },
      body: '{"errors":[{"code":"TOOMANYREQUESTS","message":"slow \\u001b[31mdown"}]}',
    });
    const error = await expectError(
      'ERR_HTTP_STATUS',
      /manifests\/1 answers 429, too many requests: TOOMANYREQUESTS, slow \\x1b\[31mdown \(it asks to wait: 3600\)/,
    );
    expect(error.hint).toContain('skopeo login');
  });
  test('503 for ever', async () => {
    proxy.fault = always(isBlob, { kind: 'status', status: 503 });
    const error = await expectError('ERR_HTTP_STATUS', /blobs\/sha256:[0-9a-f]{64} answers 503/);
    expect(error.hint).toContain('out of order');
  });
});

describe('8 Content-Length lies', () => {
  test.each([
    ['too long', String(largest + 1000)],
    ['too short', '10'],
  ])('%s', async (_, length) => {
    proxy.fault = once(isBlob, { kind: 'headers', headers: { 'content-length': length } });
    await expectWhole();
    rig.reset();
    proxy.fault = always(isLayer, { kind: 'headers', headers: { 'content-length': length } });
    await expectError('ERR_HTTP_CHANGED', /blobs\/sha256:\w+ has \d+ bytes, not \d+$/);
  });
});

describe('9 Content-Type lies', () => {
  test('an image that is called a page is known by its own words', async () => {
    proxy.fault = always(isManifest, { kind: 'headers', headers: { 'content-type': 'text/html; charset=utf-8' } });
    await expectWhole();
  });
  test('a login page in its place is told of', async () => {
    proxy.fault = always(isManifest, { kind: 'status', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>Please log in</html>' });
    const error = await expectError('ERR_REGISTRY_PROTOCOL', 'is no image but text/html');
    expect(error.hint).toContain('login page');
  });
});

describe('10 and 11 redirects', () => {
  let elsewhere: Server;
  const heard: IncomingHttpHeaders[] = [];
  beforeEach(async () => {
    heard.length = 0;
    elsewhere = createServer((request, response) => {
      heard.push(request.headers);
      response.writeHead(307, { location: `http://${registry.host}${request.url ?? ''}` }).end();
    });
    await new Promise<void>((done) => elsewhere.listen(0, '127.0.0.1', done));
  });
  afterEach(() => {
    elsewhere.closeAllConnections();
    elsewhere.close();
  });
  test('10 a loop', async () => {
    proxy.fault = (seen) => (isManifest(seen) ? { kind: 'redirect', to: seen.path } : undefined);
    await expectError('ERR_HTTP_REDIRECT', 'is redirected more than 10 times');
  });
  test('11 to another origin: it gets no credentials, and they do not come back on the way', async () => {
    target = basic;
    await basic.push(`oci:${rig.path('image')}:latest`, 'web:1');
    proxy.fault = (seen) =>
      isBlob(seen) && seen.headers.authorization !== undefined
        ? { kind: 'redirect', to: `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}${seen.path}` }
        : undefined;
    await expectWhole(fetch({ credentials: () => [{ kind: 'basic', user, password, source: 'the test' }] }));
    expect(heard.length).toBe(4);
    expect(heard.every((headers) => headers.authorization === undefined)).toBe(true);
  });
  test('to where nothing is encrypted, from where it is: not followed', async () => {
    proxy.fault = always(isManifest, { kind: 'redirect', to: 'file:///etc/passwd' });
    await expectError('ERR_HTTP_REDIRECT', 'leads to file:');
  });
});

describe('12 the blob is another one when the download goes on', () => {
  const changed = (seen: Seen, earlier: number): Fault | undefined => {
    if (!isBlob(seen)) return undefined;
    if (earlier === 0) return { kind: 'drop', afterBytes: 30_000 };
    return seen.headers.range === undefined ? undefined : { kind: 'headers', headers: { etag: '"another"' } };
  };
  test('it is begun anew', async () => {
    proxy.fault = changed;
    await expectWhole();
  });
  test('for ever', async () => {
    proxy.fault = (seen, earlier) => changed(seen, seen.headers.range === undefined ? 0 : earlier);
    await expectError('ERR_HTTP_CHANGED', 'changed while it was downloaded');
  });
  test('without a validator nothing is put together that may not belong together', async () => {
    proxy.fault = (seen, earlier) => {
      if (!isBlob(seen)) return undefined;
      return earlier === 0 ? { kind: 'drop', afterBytes: 30_000 } : { kind: 'headers', headers: { etag: '' } };
    };
    await expectWhole();
  });
});
