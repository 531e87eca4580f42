/** Images from Debian's registry: every way in, every kind of manifest, mirrors, and what is loaded again. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { tarArchive } from '../../../src/build/tar-writer.ts';
import type { Credential } from '../../../src/model/credentials.ts';
import type { RuntimeError } from '../../../src/model/errors.ts';
import type { RegistryConf } from '../../../src/model/registries.ts';
import { HttpClient } from '../../../src/stage0/http/client.ts';
import type { RegistryAccess } from '../../../src/stage0/registry/access.ts';
import { Authorization } from '../../../src/stage0/registry/authorization.ts';
import { FaultProxy } from '../../rig/fault-proxy.ts';
import { useHost } from '../../rig/host.ts';
import { Registry, password, user } from '../../rig/registry.ts';
import {
  ImageRig,
  gzipped,
  hostArchitecture,
  plain as uncompressed,
  run,
  sha256,
  treeOf,
  writeLayout,
  type LayerBytes,
} from '../images/image-rig.ts';
import { accessWith, noiseLayer, recordedProgress } from './registry-rig.ts';

useHost();
const plain = new Registry();
const secure = new Registry({ tls: true });
const basic = new Registry({ auth: 'htpasswd' });
const tokens = new Registry({ auth: 'token' });
const proxy = new FaultProxy(() => plain.host);
const rig = new ImageRig();

const layers = (): LayerBytes[] => [
  gzipped(
    tarArchive([
      { name: 'etc/', type: '5' },
      { name: 'etc/one', data: 'one' },
      { name: 'etc/gone', data: 'x' },
    ]),
  ),
  gzipped(tarArchive([{ name: 'etc/.wh.gone' }, { name: 'etc/two', data: 'two' }])),
  noiseLayer('noise', 300_000, 1),
];
/** rkt adds one that corrects directories */
const layerCount = 4;
let images = 0;
/** A layout whose configuration is like no other's. */
const layout = (given: readonly LayerBytes[] = layers()): string =>
  `oci:${writeLayout(rig.path(`image-${images}`), given, { config: { Labels: { n: String(images++) } } })}:latest`;
const fetch = (reference: string, access: Partial<RegistryAccess> = {}, options: Parameters<ImageRig['fetch']>[1] = {}) =>
  rig.fetch(reference, { remote: () => accessWith(access), ...options });
const failure = async (work: Promise<unknown>): Promise<RuntimeError> =>
  (await work.then(
    () => expect.fail('it worked'),
    (error: unknown) => error,
  )) as RuntimeError;
const alice: Credential = { kind: 'basic', user, password, source: 'the test' };

describe('the tree is the layout’s', () => {
  test.each([
    ['as it is', [], layers()],
    ['in Docker’s format', ['--format', 'v2s2'], layers()],
    ['compressed by zstd', ['--dest-compress-format', 'zstd'], layers().map(({ tar }) => uncompressed(tar))],
  ])('%s', async (_, flags, given) => {
    const source = layout(given);
    await plain.push(source, 'team/web:1.0', ...flags);
    const from = await fetch(`docker://${plain.host}/team/web:1.0`);
    expect(from.name).toBe(`docker://${plain.host}/team/web:1.0`);
    const tree = rig.mounted(from, (root) => treeOf(root));
    expect(tree.map((line) => line.split(':')[0])).toEqual(['.', 'etc', 'etc/one', 'etc/two', 'noise']);
    expect(rig.mounted(await rig.fetch(source), (root) => treeOf(root))).toEqual(tree);
    expect(from.config.labels).toEqual({ n: String(images - 1) });
  });
});

describe('ways in', () => {
  test('TLS by an authority of the registry’s directory', async () => {
    await secure.push(layout(), 'web:1');
    const dir = join(rig.dir, 'certs.d', secure.host);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'ca.crt'), readFileSync(secure.ca));
    expect((await fetch(`docker://${secure.host}/web:1`, { certificateDirs: [join(rig.dir, 'certs.d')] })).layers).toHaveLength(layerCount);
  });
  test('TLS by an authority nobody knows: said so, with the cure; checked by nobody when told to', async () => {
    await secure.push(layout(), 'web:2');
    const error = await failure(fetch(`docker://${secure.host}/web:2`));
    expect(error).toMatchObject({ code: 'ERR_HTTP_TLS', hint: expect.stringContaining(`/etc/containers/certs.d/${secure.host}/ca.crt`) });
    expect(rig.stored()).toEqual([]);
    expect((await fetch(`docker://${secure.host}/web:2`, { insecure: { tls: true } })).layers).toHaveLength(layerCount);
  });
  test('htpasswd: with the password; without: what was tried', async () => {
    await basic.push(layout(), 'web:1');
    expect((await fetch(`docker://${basic.host}/web:1`, { credentials: () => [alice] })).layers).toHaveLength(layerCount);
    rig.reset();
    const nobody = await failure(fetch(`docker://${basic.host}/web:1`));
    expect(nobody).toMatchObject({ code: 'ERR_REGISTRY_DENIED', details: ['tried:', 'no credentials'] });
    expect(nobody.message).toContain(`${basic.host} does not give web: it answers 401: UNAUTHORIZED`);
    const wrong: Credential = { ...alice, password: 'hunter2', source: '/etc/rkt/auth.d/x.json' };
    const error = await failure(fetch(`docker://${basic.host}/web:1`, { credentials: () => [wrong] }, { policy: 'update' }));
    expect(error.details).toEqual(['tried:', 'user "alice" of /etc/rkt/auth.d/x.json']);
    expect(JSON.stringify([error.message, error.details, error.hint])).not.toContain('hunter2');
    // One that is refused does not keep the next one from being tried.
    expect((await fetch(`docker://${basic.host}/web:1`, { credentials: () => [wrong, alice] }, { policy: 'update' })).layers).toHaveLength(
      layerCount,
    );
  });
  test('token server: one token for all layers; public images without a password; expired tokens are replaced', async () => {
    await tokens.push(layout(), 'team/web:1');
    await tokens.push(layout(), 'public/web:1');
    tokens.tokenRequests.length = 0;
    await fetch(`docker://${tokens.host}/team/web:1`, { credentials: () => [alice] });
    expect(tokens.tokenRequests).toEqual([{ url: '/token?service=test-registry&scope=repository%3Ateam%2Fweb%3Apull', authorized: true }]);
    expect((await fetch(`docker://${tokens.host}/public/web:1`)).layers).toHaveLength(layerCount);
    const error = await failure(fetch(`docker://${tokens.host}/team/web:2`));
    expect(error).toMatchObject({ code: 'ERR_REGISTRY_DENIED', details: ['tried:', 'no credentials'] });
    const wrong = await failure(fetch(`docker://${tokens.host}/team/web:2`, { credentials: () => [{ ...alice, password: 'x' }] }));
    expect(wrong.details.join(' ')).toMatch(/user "alice" of the test +token server 127.0.0.1:\d+ answers 401: UNAUTHORIZED, wrong password/);

    await tokens.push(layout([noiseLayer('a', 10, 7)]), 'team/short:1');
    tokens.tokenRequests.length = 0;
    tokens.tokenLifeSeconds = 0;
    await fetch(`docker://${tokens.host}/team/short:1`, { credentials: () => [alice] });
    tokens.tokenLifeSeconds = 300;
    expect(tokens.tokenRequests.length).toBeGreaterThan(2);

    tokens.deadTokens = 1;
    rig.reset();
    expect((await fetch(`docker://${tokens.host}/team/short:1`, { credentials: () => [alice] })).layers).toHaveLength(1);
    tokens.deadTokens = 9;
    rig.reset();
    const dead = await failure(fetch(`docker://${tokens.host}/team/short:1`, { credentials: () => [alice] }));
    tokens.deadTokens = 0;
    expect(dead).toMatchObject({ code: 'ERR_REGISTRY_DENIED', details: ['tried:', 'user "alice" of the test'] });
  });
});

test('two requests that are refused together need one way, not two', async () => {
  tokens.tokenRequests.length = 0;
  using http = new HttpClient();
  const authorization = new Authorization({ http, registry: tokens.host, repository: 'team/web', insecure: {}, credentials: () => [alice] });
  const refused = await http.request(new URL(`http://${tokens.host}/v2/team/web/manifests/1`));
  expect(refused.status).toBe(401);
  await Promise.all([1, 2, 3].map(() => authorization.challenged(refused, undefined, Buffer.of())));
  refused[Symbol.dispose]();
  expect(tokens.tokenRequests).toHaveLength(1);
  expect(await authorization.header()).toMatch(/^Bearer /);
});

describe('what is there already', () => {
  test('layers of another image are not loaded again; the summary says so', async () => {
    const shared = layers();
    await plain.push(layout(shared), 'first:1');
    await plain.push(layout([...shared, noiseLayer('own', 1000, 2)]), 'second:1');
    await fetch(`docker://${proxy.host}/first:1`);
    const before = proxy.blobs();
    const told = recordedProgress();
    await fetch(`docker://${proxy.host}/second:1`, {}, { progress: told.progress });
    const again = [...proxy.blobs()].filter(([digest, count]) => count > (before.get(digest) ?? 0));
    expect(again).toHaveLength(2); // its configuration and its own layer
    expect(told.summaries).toMatchObject([{ fetched: `${proxy.host}/second:1`, layers: 4, reused: 3 }]);
    expect(told.items.filter(({ state }) => state === 'present')).toHaveLength(3);
  });
  test('a stored reference asks nobody; update asks for the digest and loads what changed', async () => {
    await plain.push(layout(), 'web:latest');
    const reference = `docker://${proxy.host}/web`;
    const first = await fetch(reference);
    proxy.seen.length = 0;
    expect((await fetch(reference)).id).toBe(first.id);
    expect((await fetch(`${proxy.host}/web:latest`)).id).toBe(first.id);
    expect(proxy.seen).toEqual([]);
    expect((await fetch(reference, {}, { policy: 'update' })).id).toBe(first.id);
    expect(proxy.seen.map(({ method, path }) => `${method} ${path}`)).toEqual(['GET /v2/', 'HEAD /v2/web/manifests/latest']);

    await plain.push(layout(), 'web:latest');
    const second = await fetch(reference, {}, { policy: 'update' });
    expect(second.id).not.toBe(first.id);
    expect(rig.store.find(reference)?.id).toBe(second.id);
    expect(rig.store.find(`${proxy.host}/web`)?.id).toBe(second.id);
    // The old one by its digest, from the store alone.
    proxy.seen.length = 0;
    expect((await fetch(`docker://${proxy.host}/web@${first.id}`)).id).toBe(first.id);
    expect(proxy.seen).toEqual([]);
  });
  test('a digest is fetched as it is, and never asks again', async () => {
    await plain.push(layout(), 'pinned:1');
    const { id } = await fetch(`docker://${plain.host}/pinned:1`);
    rig.reset();
    const pinned = `docker://${proxy.host}/pinned@${id}`;
    expect((await fetch(pinned)).id).toBe(id);
    proxy.seen.length = 0;
    expect((await fetch(pinned, {}, { policy: 'update' })).id).toBe(id);
    expect(proxy.seen).toEqual([]);
  });
  test('never: the store or nothing', async () => {
    await plain.push(layout(), 'never:1');
    expect(await failure(fetch(`docker://${proxy.host}/never:1`, {}, { policy: 'never' }))).toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' });
    expect(proxy.seen).toEqual([]);
  });
  test('an image of a file does not pass for one of a registry, nor is the registry asked to update it', async () => {
    const source = layout();
    await rig.fetch(source.replace(/:latest$/, ''));
    const name = source.replace(/.*\/(.*):latest$/, '$1');
    expect(rig.store.find(name)).toBeDefined();
    expect(rig.store.find(`docker://${name}`)).toBeUndefined();
    const conf = { default: proxy.host, registries: [] };
    expect((await fetch(name, { registries: conf }, { policy: 'update' })).name).toBe(name);
    expect(proxy.seen).toEqual([]);
  });
});

describe('indexes', () => {
  const platforms = [
    { os: 'linux', architecture: hostArchitecture === 'amd64' ? 'arm64' : 'amd64' },
    { os: 'linux', architecture: hostArchitecture },
  ];
  const multi = (): string => {
    const dir = rig.path('multi');
    const entries = platforms.map((platform, i) => {
      const one = writeLayout(rig.path(`p${i}`), [noiseLayer(platform.architecture, 100, i)], { platform });
      run('cp', '-r', `${one}/blobs`, `${rig.directory('multi')}/`);
      return (JSON.parse(readFileSync(join(one, 'index.json'), 'utf8')) as { manifests: object[] }).manifests[0];
    });
    const index = JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests: entries });
    writeFileSync(join(dir, 'blobs/sha256', sha256(index)), index);
    const top = {
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: `sha256:${sha256(index)}`,
      size: index.length,
      annotations: { 'org.opencontainers.image.ref.name': 'x' },
    };
    writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [top] }));
    writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    return `oci:${dir}:x`;
  };
  test('this machine’s is taken; pinned by the index’s digest as well', async () => {
    await plain.push(multi(), 'multi:1', '--all');
    const image = await fetch(`docker://${plain.host}/multi:1`);
    expect(image.architecture).toBe(hostArchitecture);
    const index = run('skopeo', 'inspect', '--tls-verify=false', '--format', '{{.Digest}}', `docker://${plain.host}/multi:1`).trim();
    expect(index).not.toBe(image.id);
    expect((await fetch(`docker://${proxy.host}/multi@${index}`)).id).toBe(image.id);
    const other = { os: 'linux', architecture: 'riscv64', variant: '' };
    const error = await failure(rig.fetch(`docker://${plain.host}/multi:1`, { remote: () => accessWith(), policy: 'update', platform: other }));
    // The store knows what the tag stands for, whatever the platform.
    expect(error).toMatchObject({ code: 'ERR_IMAGE_PLATFORM' });
  });
});

describe('what is refused', () => {
  test('a tag that is not there: which one was meant', async () => {
    await plain.push(layout(), 'tags:1.2.3');
    await plain.push(layout(), 'tags:1.2.4');
    expect(await failure(fetch(`docker://${plain.host}/tags:1.2.5`))).toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: `${plain.host}/tags has no tag "1.2.5": the registry answers 404`,
      hint: `did you mean ${plain.host}/tags:1.2.3?`,
      details: ['it has 1.2.3, 1.2.4'],
    });
    const nothing = await failure(fetch(`docker://${plain.host}/nothing:1`));
    expect(nothing).toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND' });
    expect(nothing.message).toContain(`${plain.host} has no nothing:1: it answers 404`);
    expect(rig.stored()).toEqual([]);
  });
  test.each([
    ['schema 1', { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' }, 'ERR_IMAGE_INVALID', 'schema 1'],
    [
      'a manifest that is sent as an index',
      { 'content-type': 'application/vnd.oci.image.index.v1+json' },
      'ERR_REGISTRY_PROTOCOL',
      'a manifest and an index at once',
    ],
    ['another digest than the registry’s own', { 'docker-content-digest': `sha256:${'0'.repeat(64)}` }, 'ERR_IMAGE_DIGEST', 'not sha256:000'],
  ])('%s', async (_, headers, code, message) => {
    await plain.push(layout(), 'odd:1', '--format', 'v2s2');
    proxy.fault = ({ path, method }) => (path.includes('/manifests/') && method === 'GET' ? { kind: 'headers', headers } : undefined);
    const error = await failure(fetch(`docker://${proxy.host}/odd:1`));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain(message);
    expect(rig.stored()).toEqual([]);
  });
  test('a name that is no name, before anybody is asked', async () => {
    for (const [reference, message] of [
      [`docker://${proxy.host}/Web:1`, 'is no name of a repository'],
      [`docker://${proxy.host}/web:b@d`, 'is no digest'],
      [`docker://${proxy.host}/web:-x`, 'is no tag'],
      ['docker://', 'it names no repository'],
      ['docker:///web', 'is no name'],
      [`docker://${proxy.host}/../../etc/passwd`, 'is no name'],
      [`docker://user:pw@${proxy.host}/web`, 'is no digest'],
    ] as const) {
      const error = await failure(fetch(reference));
      expect(error.code, reference).toBe('ERR_IMAGE_REFERENCE');
      expect(error.message).toContain(message);
    }
    expect(proxy.seen).toEqual([]);
  });
  test('http to another machine', async () => {
    const error = await failure(
      fetch('docker://192.0.2.1:5000/web', { insecure: {}, patience: { retry: { attempts: 1, firstDelayMs: 1, maxDelayMs: 1 }, silenceMs: 100 } }),
    );
    // Never tried without TLS; the throw-away host has no route there.
    expect(error).toMatchObject({ code: 'ERR_HTTP_UNREACHABLE', message: 'no answer from 192.0.2.1:5000: the network is unreachable' });
  });
});

describe('mirrors and the default registry', () => {
  const conf = (change: Partial<RegistryConf>): RegistryAccess['registries'] => ({
    default: 'registry.test',
    registries: [
      { name: 'registry.test', location: undefined, insecure: false, blocked: false, mirrors: [], source: '/etc/rkt/registries.d/x.json', ...change },
    ],
  });
  const dead = { location: '127.0.0.1:1', insecure: false };
  test('the first mirror that has it; a bare name means the default registry', async () => {
    await plain.push(layout(), 'cache/web:1');
    const registries = conf({ mirrors: [dead, { location: `${plain.host}/cache`, insecure: false }] });
    const image = await fetch('web:1', { registries });
    expect(image.layers).toHaveLength(layerCount);
    expect(image.origin).toBe('docker://registry.test/web:1');
    expect(rig.store.find('registry.test/web:1')?.id).toBe(image.id);
    expect(rig.store.find('web:1')?.id).toBe(image.id);
    expect(rig.store.find('docker://web:1')?.id).toBe(image.id);
  });
  test('a mirror that loses its layers is left for the next place', async () => {
    await plain.push(layout(), 'web:lossy');
    proxy.fault = ({ path }) => (path.includes('/blobs/') ? { kind: 'status', status: 404 } : undefined);
    const registries = conf({ location: plain.host, mirrors: [{ location: proxy.host, insecure: false }] });
    expect(await failure(fetch(`docker://${proxy.host}/web:lossy`))).toMatchObject({ code: 'ERR_IMAGE_INVALID' });
    proxy.fault = ({ path }, earlier) =>
      path.includes('/blobs/') && (earlier > 0 || proxy.blobs().size > 1) ? { kind: 'status', status: 404 } : undefined;
    expect((await fetch('docker://registry.test/web:lossy', { registries })).layers).toHaveLength(layerCount);
  });
  test('nobody has it: every place is told of; a blocked registry is not asked', async () => {
    const registries = conf({ location: '127.0.0.1:2', mirrors: [dead] });
    const error = await failure(fetch('docker://registry.test/web:1', { registries }));
    expect(error).toMatchObject({
      code: 'ERR_HTTP_UNREACHABLE',
      details: ['mirror 127.0.0.1:1: no answer from 127.0.0.1:1: connection refused: nothing listens there'],
    });
    const blocked = await failure(fetch('docker://registry.test/web:1', { registries: conf({ blocked: true }) }));
    expect(blocked).toMatchObject({ code: 'ERR_REGISTRY_DENIED', hint: '/etc/rkt/registries.d/x.json blocks it' });
    const bare = await failure(fetch('web:1', { registries }));
    expect(bare).toMatchObject({ code: 'ERR_IMAGE_NOT_FOUND', message: 'no image named "web:1" in the store, and none elsewhere' });
    expect(bare.details.join('\n')).toContain('no answer from 127.0.0.1:2');
    expect(rig.stored()).toEqual([]);
  });
});
