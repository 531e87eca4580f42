/** Images from a registry, seen from outside: run, fetched by many, killed while fetching, and what people read. */
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { tarArchive } from '../../src/build/tar-writer.ts';
import { gzipped, plain, writeLayout, type LayerBytes } from '../netns/images/image-rig.ts';
import { noiseLayer } from '../netns/registry/registry-rig.ts';
import { FaultProxy } from '../rig/fault-proxy.ts';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Registry, password, user } from '../rig/registry.ts';
import { Rkt, dist, rktPath } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const registry = new Registry();
const tokens = new Registry({ auth: 'token' });
const secure = new Registry({ tls: true });
const proxy = new FaultProxy(() => registry.host);

let dir = '';
beforeAll(() => void (dir = mkdtempSync('/tmp/rkt-e2e-registry-')));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
afterEach(() => {
  // A store of its own for each test.
  for (const name of ['cas']) rmSync(join(rkt.dataDir, name), { recursive: true, force: true });
});

/** The layer of the image that comes with rkt. */
function busyboxLayer(): LayerBytes {
  const layout = join(dist, 'images/busybox');
  const blobOf = (digest: string): Buffer => readFileSync(join(layout, 'blobs', digest.replace(':', '/')));
  const [entry] = (JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: { digest: string }[] }).manifests;
  const [layer] = (JSON.parse(blobOf(entry?.digest ?? '').toString()) as { layers: { digest: string }[] }).layers;
  return gzipped(gunzipSync(blobOf(layer?.digest ?? '')));
}

/** A web server by its image alone: user, entry point, arguments, directory, environment, port. */
async function pushWebServer(to: Registry, name: string): Promise<void> {
  const layers = [
    busyboxLayer(),
    gzipped(
      tarArchive([
        { name: 'www/', type: '5', uid: 33, gid: 33 },
        { name: 'www/index.html', data: 'old page', uid: 33 },
        { name: 'www/secret.txt', data: 'secret', uid: 33 },
        { name: 'www/old/', type: '5' },
        { name: 'www/old/page.html', data: 'very old', uid: 33 },
      ]),
    ),
    gzipped(
      tarArchive([
        { name: 'www/.wh.secret.txt' },
        { name: 'www/old/', type: '5' },
        { name: 'www/old/.wh..wh..opq' },
        { name: 'www/old/new.html', data: 'new', uid: 33 },
        { name: 'usr/bin/serve', mode: 0o755, data: '#!/bin/sh\nid -un > /tmp/who\nexec "$@" -h "$PWD"\n' },
      ]),
    ),
    gzipped(tarArchive([{ name: 'www/index.html', data: 'from the registry', uid: 33 }])),
  ];
  const config = {
    User: 'www-data',
    Entrypoint: ['/usr/bin/serve'],
    Cmd: ['httpd', '-f', '-p', '80'],
    WorkingDir: '/www',
    Env: ['PATH=/usr/bin:/bin'],
    ExposedPorts: { '80/tcp': {} },
  };
  await to.push(`oci:${writeLayout(join(dir, name.replaceAll('/', '-').replaceAll(':', '-')), layers, { config })}:latest`, name);
}

describe('rkt run docker://…', () => {
  test('a web server by its image alone answers on the published port; again without asking anybody', async () => {
    await pushWebServer(registry, 'team/web:1');
    const reference = `docker://${proxy.host}/team/web:1`;
    // Proxy and token server are in this process: who waits for rkt must not block it.
    expect(await rkt.launch(['fetch', reference])).toMatchObject({ status: 0 });
    const pod = rkt.start(['--net=bridge', '--port=80-tcp:8080', reference]);
    await untilServed(`http://${pod.ip}:80/`);
    expect(await page('http://127.0.0.1:8080/')).toBe('from the registry');
    expect(await page('http://127.0.0.1:8080/old/new.html')).toBe('new');
    expect(await page('http://127.0.0.1:8080/secret.txt')).toMatch(/404/);
    expect(await page('http://127.0.0.1:8080/old/page.html')).toMatch(/404/);
    expect(rkt.ok('enter', pod.uuid, '--', 'cat', '/tmp/who').trim()).toBe('www-data');
    expect(rkt.pods()[0]?.name).toBeDefined();
    await pod.stop();
    rkt.gc();

    proxy.seen.length = 0;
    const again = rkt.run(['run', '--net=none', reference, '--exec=/bin/cat', '--', '/www/index.html']);
    expect(again.stdout, again.stderr).toContain('from the registry');
    expect(again.stderr).toBe('');
    expect(proxy.seen).toEqual([]);
    rkt.gc();
  });
});

describe('what people read', () => {
  test('a line for each layer and a summary; the id alone on standard output; what is known is not loaded again', async () => {
    await pushWebServer(registry, 'team/web:2');
    const first = await rkt.launch(['fetch', `docker://${proxy.host}/team/web:2`]);
    expect(first.stdout).toMatch(/^sha256-[0-9a-f]{32}\n$/);
    const lines = first.stderr.trim().split('\n');
    expect(lines).toHaveLength(5);
    for (const line of lines.slice(0, 4)) expect(line).toMatch(/^layer [0-9a-f]{12}: [\d.]+ (B|KiB|MiB)$/);
    expect(lines[4]).toMatch(new RegExp(`^${proxy.host}/team/web:2: 4 layers, all new; [\\d.]+ [KM]iB in [\\d.]+ s, [\\d.]+ [KM]iB/s$`));
    const second = await rkt.launch(['fetch', `docker://${proxy.host}/team/web:2`]);
    expect(second.stdout).toBe(first.stdout);
    expect(second.stderr).toMatch(/team\/web:2: nothing new, \d layers already here\n$/);
    expect([...proxy.blobs().values()].every((count) => count === 1)).toBe(true);
  });

  test('refused credentials: which they were and where they are from, and not what they are', async () => {
    await pushWebServer(tokens, 'team/web:1');
    mkdirSync(join(rkt.config, 'auth.d'), { recursive: true });
    const file = join(rkt.config, 'auth.d/registry.json');
    const write = (secret: string): void =>
      writeFileSync(
        file,
        JSON.stringify({ rktKind: 'dockerAuth', rktVersion: 'v1', registries: [tokens.host], credentials: { user, password: secret } }),
      );
    write('wr0ng');
    const refused = await rkt.launch(['fetch', `docker://${tokens.host}/team/web:1`]);
    expect(refused.status).toBe(254);
    expect(refused.stderr).toContain(`error: ${tokens.host} does not give team/web: it answers 401`);
    expect(refused.stderr).toContain(`user "alice" of ${file}`);
    expect(refused.stderr).toContain('[ERR_REGISTRY_DENIED]');
    expect(refused.stderr).not.toContain('wr0ng');
    write(password);
    expect(await rkt.launch(['fetch', `docker://${tokens.host}/team/web:1`])).toMatchObject({ status: 0 });
    rmSync(file);
  });

  test('the authority of NODE_EXTRA_CA_CERTS, of SSL_CERT_FILE, of certs.d; --insecure-options=tls', async () => {
    await pushWebServer(secure, 'web:1');
    const fetch = (flags: string[], env: Record<string, string> = {}) =>
      rkt.run([...flags, 'fetch', '--pull-policy=new', `docker://${secure.host}/web:1`], { env });
    const refused = fetch([]);
    expect(refused.stderr).toContain('ERR_HTTP_TLS');
    expect(refused.stderr).toContain(`/etc/containers/certs.d/${secure.host}/ca.crt`);
    for (const env of [{ NODE_EXTRA_CA_CERTS: secure.ca }, { SSL_CERT_FILE: secure.ca }] as Record<string, string>[]) {
      const outcome = fetch([], env);
      expect(outcome.status, outcome.stderr).toBe(0);
      rmSync(join(rkt.dataDir, 'cas'), { recursive: true });
    }
    const certificates = join(rkt.config, 'certs.d', secure.host);
    mkdirSync(certificates, { recursive: true });
    writeFileSync(join(certificates, 'ca.crt'), readFileSync(secure.ca));
    expect(fetch([]).status).toBe(0);
    rmSync(join(rkt.config, 'certs.d'), { recursive: true });
    rmSync(join(rkt.dataDir, 'cas'), { recursive: true });
    expect(fetch(['--insecure-options=tls']).status).toBe(0);
  });

  test('a bare name: what was tried; contradicting flags', () => {
    const outcome = rkt.run(['run', '--net=none', 'no-such-image:7']);
    expect(outcome.status).toBe(254);
    expect(outcome.stderr).toContain('no image named "no-such-image:7" in the store, and none elsewhere [ERR_IMAGE_NOT_FOUND]');
    expect(outcome.stderr).toContain('cannot resolve registry-1.docker.io');
    expect(outcome.stderr).toContain('registries.d');
    expect(rkt.run(['run', '--net=none', '--store-only', 'no-such-image:7']).stderr).not.toContain('docker.io');
    expect(rkt.run(['fetch', '--store-only', '--no-store', 'x']).stderr).toContain('--store-only and --no-store contradict each other');
  });
});

const temporaries = (): string[] => {
  const path = join(rkt.dataDir, 'cas/tmp');
  return existsSync(path) ? readdirSync(path) : [];
};

describe('stopped by a signal: all is closed in order, nothing is left', () => {
  const leases = (): string[] => {
    const path = join(rkt.dataDir, 'cas/leases');
    return existsSync(path) ? readdirSync(path) : [];
  };
  /** Sends `signal` to all that a terminal would send it to, as soon as `isTime`. */
  async function stopped(args: readonly string[], signal: NodeJS.Signals, isTime: () => boolean): Promise<{ status: number | null; stderr: string }> {
    const child = spawn(rktPath, rkt.arguments(args), { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<number | null>((done) => child.once('close', done));
    await expect.poll(() => child.exitCode !== null || isTime(), { timeout: 10_000, interval: 5 }).toBe(true);
    if (child.pid !== undefined) process.kill(-child.pid, signal);
    return { status: await ended, stderr };
  }
  const isUnpacking = (): boolean => temporaries().some((name) => name.startsWith('layer-'));
  /** some of a layer has come through its decompressor */
  const hasFile = (): boolean =>
    isUnpacking() && readdirSync(join(rkt.dataDir, 'cas/tmp'), { recursive: true }).some((name) => /rootfs\/./.test(String(name)));
  const isLeft = (): string[] => [...temporaries(), ...leases()];

  test.each([
    ['gzip', (layer: LayerBytes) => layer],
    // A program of its own, which the terminal stops, too.
    [
      'zstd',
      (layer: LayerBytes) => ({
        ...layer,
        blob: execFileSync('zstd', ['-q', '-c'], { input: layer.tar, maxBuffer: 1 << 24 }),
        mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd',
      }),
    ],
  ])('a download that hangs, %s', async (kind, compressed) => {
    const layers = [1, 2].map((seed) => compressed(noiseLayer(`hanging-${kind}-${seed}`, 400_000, 70 + seed)));
    await registry.push(`oci:${writeLayout(join(dir, `hanging-${kind}`), layers)}:latest`, `hanging-${kind}:1`);
    proxy.fault = ({ path }) => (path.includes('/blobs/') ? { kind: 'delay', afterBytes: 200_000, ms: Infinity } : undefined);
    const { status, stderr } = await stopped(['fetch', `docker://${proxy.host}/hanging-${kind}:1`], 'SIGINT', () => leases().length > 0 && hasFile());
    expect([status, stderr]).toEqual([130, expect.stringContaining('error: stopped by signal 2 [ERR_INTERRUPTED]')]);
    expect(isLeft()).toEqual([]);
    proxy.fault = () => undefined;
    expect((await rkt.launch(['fetch', `docker://${proxy.host}/hanging-${kind}:1`])).status).toBe(0);
  });
  test('a registry that says nothing, and one that wants another attempt later', async () => {
    for (const fault of [{ kind: 'delay', afterBytes: 0, ms: Infinity } as const, { kind: 'status', status: 503 } as const]) {
      proxy.seen.length = 0;
      proxy.fault = () => fault;
      const { status, stderr } = await stopped(['fetch', `${proxy.host}/silent:1`], 'SIGTERM', () => proxy.seen.length > 0);
      expect([status, stderr]).toEqual([143, expect.stringContaining('error: stopped by signal 15 [ERR_INTERRUPTED]')]);
      expect(isLeft()).toEqual([]);
    }
  });
  test('a local layer, whose unpacking waits for nothing', async () => {
    const tar = tarArchive([{ name: 'noise', data: randomBytes(96 << 20) }]);
    const layout = writeLayout(join(dir, 'local'), [plain(tar)]);
    const { status, stderr } = await stopped(['fetch', `oci:${layout}`], 'SIGINT', isUnpacking);
    expect([status, stderr]).toEqual([130, expect.stringContaining('[ERR_INTERRUPTED]')]);
    expect(isLeft()).toEqual([]);
    // At once, not when it was done.
    expect(rkt.ok('image', 'list', '--no-legend')).toBe('');
    expect(existsSync(join(rkt.dataDir, 'cas/layers'))).toBe(false);
  });
  test('a repair keeps what there was', async () => {
    await registry.push(`oci:${writeLayout(join(dir, 'repaired'), [noiseLayer('repaired', 400_000, 80)])}:latest`, 'repaired:1');
    expect((await rkt.launch(['fetch', `docker://${proxy.host}/repaired:1`])).status).toBe(0);
    const layers = join(rkt.dataDir, 'cas/layers');
    const layer = join(layers, readdirSync(layers).find((name) => !name.includes('.')) ?? '');
    writeFileSync(join(layer, 'more'), '');
    proxy.fault = ({ path }) => (path.includes('/blobs/') ? { kind: 'delay', afterBytes: 200_000, ms: Infinity } : undefined);
    expect((await stopped(['image', 'verify'], 'SIGINT', isUnpacking)).status).toBe(130);
    expect([existsSync(join(layer, 'more')), isLeft()]).toEqual([true, []]);
  });
});

describe('many and unlucky', () => {
  test('twenty fetches of overlapping images beside image gc: all succeed, each blob is loaded once', async () => {
    const shared = [1, 2, 3, 4, 5, 6].map((seed) => noiseLayer(`shared-${seed}`, 150_000, seed));
    const names: string[] = [];
    for (let i = 0; i < 5; i++) {
      const layers = [...shared.slice(i % 3, (i % 3) + 4), noiseLayer(`own-${i}`, 60_000, 100 + i)];
      names.push(`many/image-${i}:1`);
      await registry.push(`oci:${writeLayout(join(dir, `many-${i}`), layers)}:latest`, names[i] ?? '');
    }
    proxy.seen.length = 0;
    let isOver = false;
    const collect = (async () => {
      while (!isOver) {
        const outcome = await rkt.launch(['image', 'gc', '--grace-period=1h']);
        expect(outcome.status, outcome.stderr).toBe(0);
      }
    })();
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => rkt.launch(['fetch', `docker://${proxy.host}/${names[i % 5] ?? ''}`])));
    isOver = true;
    await collect;
    for (const { status, stderr } of outcomes) expect(status, stderr).toBe(0);
    expect(new Set(outcomes.map(({ stdout }) => stdout)).size).toBe(5);
    const blobs = proxy.blobs();
    expect(blobs.size).toBe(6 + 5 + 5);
    expect([...blobs].filter(([, count]) => count > 1)).toEqual([]);
    expect(temporaries()).toEqual([]);
  });

  const kills = process.env['RKT_SOAK'] === undefined ? 5 : 50;
  test(`killed ${kills} times at any moment: the next fetch succeeds, and nothing is left of the killed ones`, async () => {
    const layers = [1, 2, 3, 4, 5].map((seed) => noiseLayer(`layer-${seed}`, 400_000, 50 + seed));
    await registry.push(`oci:${writeLayout(join(dir, 'killed'), layers)}:latest`, 'killed:1');
    const fetch = ['fetch', `docker://${proxy.host}/killed:1`];
    const startedMs = performance.now();
    const whole = await rkt.launch(fetch);
    const wholeMs = performance.now() - startedMs;
    expect(whole.status, whole.stderr).toBe(0);
    for (let kill = 0; kill < kills; kill++) {
      rmSync(join(rkt.dataDir, 'cas'), { recursive: true, force: true });
      const child = spawn(rktPath, rkt.arguments(fetch), { stdio: 'ignore' });
      const ended = new Promise((done) => child.once('close', done));
      await sleep(Math.random() * wholeMs);
      child.kill('SIGKILL');
      await ended;
      const next = await rkt.launch(fetch);
      expect(next.stdout, next.stderr).toBe(whole.stdout);
      rkt.ok('image', 'verify', '--no-repair');
      rkt.ok('image', 'gc', '--grace-period=1h');
      expect(temporaries()).toEqual([]);
    }
  });
});
