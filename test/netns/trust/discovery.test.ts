/** Discovery and signatures as a fetch uses them, from an HTTPS server of a test authority. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseAciName } from '../../../src/model/aci-name.ts';
import type { Credential } from '../../../src/model/credentials.ts';
import { isRuntimeError } from '../../../src/model/errors.ts';
import { serverAccess } from '../../../src/stage0/discovery/access.ts';
import { discoverImage } from '../../../src/stage0/discovery/discover.ts';
import { readSignatureFile, requestSignature } from '../../../src/stage0/discovery/signature.ts';
import { trustDiscoveredKeys } from '../../../src/stage0/discovery/trust-keys.ts';
import { trustedKeysFor } from '../../../src/state/keys/keystore.ts';
import { GpgHome } from '../../rig/gpg.ts';
import { useHost } from '../../rig/host.ts';
import { WebServer } from '../../rig/web.ts';

useHost();
let web: WebServer;
let root = '';
beforeAll(async () => {
  web = new WebServer();
  await web.listen(443);
  root = mkdtempSync('/tmp/rkt-discovery-');
  mkdirSync(join(root, 'local/certs.d/localhost'), { recursive: true });
  copyFileSync(web.ca, join(root, 'local/certs.d/localhost/ca.crt'));
});
afterAll(async () => {
  await web.close();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  web.pages.clear();
  web.asked.length = 0;
});

const settings = () => ({
  dataDir: join(root, 'data'),
  systemConfig: join(root, 'system'),
  localConfig: join(root, 'local'),
  userConfig: undefined,
  insecure: new Set<never>(),
  trustKeysFromHttps: true,
});
const access = (auth = new Map<string, Credential>()) => serverAccess(settings(), { auth, dockerAuth: new Map() });
const name = (text: string) => {
  const parsed = parseAciName(text);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
};
const template = (prefix: string, target: string) => `<meta name="ac-discovery" content="${prefix} ${target}">`;
async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (isRuntimeError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'no failure';
}

describe('images', () => {
  test('every endpoint of the first page that has any, in order; labels filled in', async () => {
    using http = access().http;
    web.pages.set('/team/app', { body: template('localhost/other', 'https://localhost/no.{ext}') });
    web.pages.set('/team', {
      body: [
        template('localhost/team', 'https://localhost/{name}-{version}-{os}-{arch}.{ext}'),
        template('localhost', 'https://cdn.example/{version}/{channel}.{ext}'),
        template('localhost', 'http://localhost/{name}.{ext}'),
        template('localhost', 'ftp://localhost/{name}.{ext}'),
      ].join(''),
    });
    const found = (text: string) => discoverImage(name(text), { ...access(), http }, 'arm64').then((endpoints) => endpoints.map(({ aci }) => aci));
    expect(await found('localhost/team/app')).toEqual(['https://localhost/localhost/team/app-latest-linux-aarch64.aci']);
    expect(await found('localhost/team/app:1.0,arch=amd64,channel=beta')).toEqual([
      'https://localhost/localhost/team/app-1.0-linux-amd64.aci',
      'https://cdn.example/1.0/beta.aci',
    ]);
    expect(await failure(found('localhost/app'))).toBe('ERR_DISCOVERY: discovery finds no place of an image for localhost/app');
  });

  test('a page larger than any page is not read to its end', async () => {
    using http = access().http;
    web.pages.set('/', { body: Buffer.alloc(5 << 20, 0x20) });
    expect(await failure(discoverImage(name('localhost'), { ...access(), http }))).toContain('ERR_DISCOVERY');
  });
});

describe('signatures', () => {
  const url = 'https://localhost/app.aci.asc';
  test('there at once', async () => {
    using http = access().http;
    web.pages.set('/app.aci.asc', { body: 'sig' });
    const requested = await requestSignature(url, { ...access(), http });
    web.pages.clear();
    expect((await requested.bytes()).toString()).toBe('sig');
    expect(web.asked).toHaveLength(1);
  });
  test('deferred, then there; deferred, and then still not', async () => {
    using http = access().http;
    web.pages.set('/app.aci.asc', (n) => (n === 2 ? { body: 'late' } : { status: 202 }));
    const requested = await requestSignature(url, { ...access(), http });
    expect((await requested.bytes()).toString()).toBe('late');
    expect(await failure(requested.bytes())).toBe(
      'ERR_SIGNATURE_MISSING: the server promised a signature https://localhost/app.aci.asc and still does not have it',
    );
  });
  test('none; refused, with and without credentials; too large', async () => {
    using http = access().http;
    const ask = (auth?: Map<string, Credential>) => failure(requestSignature(url, { ...access(auth), http }));
    expect(await ask()).toBe('ERR_SIGNATURE_MISSING: there is no signature https://localhost/app.aci.asc');
    web.pages.set('/app.aci.asc', { status: 401 });
    expect(await ask()).toContain('answers 401: there are no credentials for localhost');
    expect(await ask(new Map([['localhost', { kind: 'bearer', token: 'SECRET', source: '/etc/rkt/auth.d/a.json' }]]))).toBe(
      'ERR_HTTP_STATUS: https://localhost/app.aci.asc answers 401: the credentials of /etc/rkt/auth.d/a.json were refused',
    );
    expect(web.asked.at(-1)).toBe('GET /app.aci.asc Bearer SECRET');
    web.pages.set('/app.aci.asc', { body: Buffer.alloc((1 << 20) + 1) });
    expect(await ask()).toContain('ERR_HTTP_STATUS');
  });
  test('a file', () => {
    const path = join(root, 'x.asc');
    writeFileSync(path, 'sig');
    expect(readSignatureFile(path).toString()).toBe('sig');
    expect(() => readSignatureFile(join(root, 'none.asc'))).toThrow(`there is no signature ${root}/none.asc`);
    expect(() => readSignatureFile(root)).toThrow('it is not a file');
  });
});

test('--trust-keys-from-https: keys of the owner, except those somebody masked', async () => {
  using gpg = new GpgHome();
  const [alice, bob] = [gpg.key('Alice <a@example.com>'), gpg.key('Bob <b@example.com>')];
  using http = access().http;
  web.pages.set('/', { body: '<meta name="ac-discovery-pubkeys" content="localhost https://localhost/keys">' });
  web.pages.set('/keys', { body: gpg.publicKey(true, alice, bob) });
  const mask = join(root, 'local/trustedkeys/root.d', bob);
  mkdirSync(dirname(mask), { recursive: true });
  writeFileSync(mask, '');
  const trust = () => trustDiscoveredKeys(settings(), 'localhost/app', { ...access(), http });
  for (const option of ['http', 'tls'] as const) {
    const weak = serverAccess({ ...settings(), insecure: new Set([option]) }, { auth: new Map(), dockerAuth: new Map() });
    expect(await trustDiscoveredKeys(settings(), 'localhost/app', weak)).toEqual([expect.stringContaining('are not trusted unseen')]);
  }
  expect(trustedKeysFor(settings(), 'localhost/app').trusted).toEqual([]);
  expect(await trust()).toEqual([
    `trusting key ${alice} of https://localhost/keys for localhost/app: ${join(root, 'local/trustedkeys/prefix.d/localhost/app', alice)}`,
  ]);
  expect(trustedKeysFor(settings(), 'localhost/app').trusted.map(({ key }) => key.fingerprint)).toEqual([alice]);
  expect(await trust()).toEqual([]);
});
