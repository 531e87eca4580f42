import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withoutSecret, type Credential } from '../../../../src/model/credentials.ts';
import { credentialsFor } from '../../../../src/state/config/credentials.ts';

let root = '';
let oldPath = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rkt-credentials-'));
  oldPath = process.env['PATH'] ?? '';
  process.env['PATH'] = `${root}/bin:${oldPath}`;
});
afterEach(() => {
  process.env['PATH'] = oldPath;
  rmSync(root, { recursive: true, force: true });
});

function put(path: string, content: unknown): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}
const helper = (name: string, script: string): void => chmodSync(put(`bin/docker-credential-${name}`, `#!/bin/sh\n${script}\n`), 0o755);
const auth = (user: string) => ({ auth: Buffer.from(`${user}:pw:${user}`).toString('base64') });
const own = (user: string): Credential & { kind: 'basic' } => ({ kind: 'basic', user, password: 'p', source: 'rkt' });
const config = {
  auth: new Map<string, Credential>([['aci.example', { kind: 'bearer', token: 't', source: 'auth.d' }]]),
  dockerAuth: new Map([['docker.io', own('rkt-hub')]]),
};
let problems: string[] = [];
const ask = (registry: string, repository?: string, extra: Record<string, string> = {}): string[] => {
  problems = [];
  const env = { HOME: join(root, 'home'), XDG_RUNTIME_DIR: join(root, 'run'), PATH: process.env['PATH'] ?? '', ...extra };
  return credentialsFor(config, registry, repository, { env, problem: (text) => problems.push(text.replaceAll(`${root}/`, '')) }).map((found) =>
    withoutSecret(found).replaceAll(`${root}/`, ''),
  );
};

test('a server that is no registry: only the auth kind', () => {
  put('home/.docker/config.json', { auths: { 'aci.example': auth('docker') } });
  expect(ask('aci.example')).toEqual(['the token of auth.d']);
  expect(ask('ACI.example:443')).toEqual(['the token of auth.d']);
  expect(ask('aci.example:8443')).toEqual([]);
  expect(ask('docker.io')).toEqual([]);
});

test("rkt's own, then podman's, then Docker's files; the longest path first", () => {
  put('run/containers/auth.json', {
    auths: { 'reg.example/team': auth('team'), 'reg.example': auth('all'), 'https://index.docker.io/v1/': auth('pod') },
  });
  put('home/.config/containers/auth.json', { auths: { 'reg.example': { username: 'plain', password: 'x' } } });
  put('home/.docker/config.json', { auths: { 'https://reg.example/v2/': { identitytoken: 'i' }, 'registry-1.docker.io': { registrytoken: 'r' } } });
  expect(ask('reg.example', 'team/app')).toEqual([
    'user "team" of run/containers/auth.json (reg.example/team)',
    'user "plain" of home/.config/containers/auth.json (reg.example)',
    'the identity token of home/.docker/config.json (https://reg.example/v2/)',
  ]);
  expect(ask('reg.example', 'teams/app')[0]).toBe('user "all" of run/containers/auth.json (reg.example)');
  expect(ask('registry-1.docker.io', 'library/x')).toEqual([
    'user "rkt-hub" of rkt',
    'user "pod" of run/containers/auth.json (https://index.docker.io/v1/)',
    'the token of home/.docker/config.json (registry-1.docker.io)',
  ]);
  expect(ask('aci.example', 'x')).toEqual(['the token of auth.d']);
  expect(problems).toEqual([]);
});

test('passwords may hold colons', () => {
  const path = put('auth.json', { auths: { 'reg.example': auth('me') } });
  expect(credentialsFor(config, 'reg.example', 'x', { env: { REGISTRY_AUTH_FILE: path } })).toEqual([
    { kind: 'basic', user: 'me', password: 'pw:me', source: `${path} (reg.example)` },
  ]);
});

test('REGISTRY_AUTH_FILE comes first, and instead of the other files; missing, it is a problem', () => {
  put('home/.docker/config.json', { auths: { 'docker.io': auth('docker') } });
  const REGISTRY_AUTH_FILE = put('mine.json', { auths: { 'docker.io': auth('mine') } });
  expect(ask('docker.io', 'x', { REGISTRY_AUTH_FILE })).toEqual(['user "mine" of mine.json (docker.io)', 'user "rkt-hub" of rkt']);
  expect(ask('docker.io', 'x', { REGISTRY_AUTH_FILE: join(root, 'none.json') })).toEqual(['user "rkt-hub" of rkt']);
  expect(problems).toEqual(['none.json (REGISTRY_AUTH_FILE) does not exist']);
  expect(ask('docker.io', 'x', { REGISTRY_AUTH_FILE: '', DOCKER_CONFIG: '' })).toHaveLength(2);
  expect(ask('docker.io', 'x', { DOCKER_CONFIG: join(root, 'elsewhere') })).toEqual(['user "rkt-hub" of rkt']);
});

test('credential helpers: one registry, all of them, Docker Hub by its own name', () => {
  helper('one', `cat > ${root}/asked; echo '{"ServerURL":"x","Username":"from-helper","Secret":"s"}'`);
  helper('store', `test "$1" = get && echo '{"Username":"<token>","Secret":"refresh"}'`);
  put('home/.docker/config.json', { credsStore: 'store', credHelpers: { 'docker.io': 'one' }, auths: { 'docker.io': {} } });
  expect(ask('docker.io', 'library/x')).toEqual([
    'user "rkt-hub" of rkt',
    'user "from-helper" of docker-credential-one (home/.docker/config.json)',
    'the identity token of docker-credential-store (home/.docker/config.json)',
  ]);
  expect(readFileSync(join(root, 'asked'), 'utf8')).toBe('https://index.docker.io/v1/');
  expect(ask('reg.example:5000', 'x')).toEqual(['the identity token of docker-credential-store (home/.docker/config.json)']);
  expect(problems).toEqual([]);
});

test('what is wrong is told without a secret, and the search goes on', () => {
  put('run/containers/auth.json', '{"auths": {"reg.example": {"auth": "TOPSECRET"');
  put('home/.config/containers/auth.json', {
    auths: { 'reg.example': { auth: 'AAAA' } },
    credHelpers: { 'reg.example': '../evil', 'b.example': 'none' },
  });
  helper('bad', 'echo TOPSECRET; echo TOPSECRET >&2; exit 3');
  put('home/.docker/config.json', { credHelpers: { 'reg.example': 'bad' }, auths: { 'reg.example': auth('last') } });
  expect(ask('reg.example', 'x')).toEqual(['user "last" of home/.docker/config.json (reg.example)']);
  expect(problems).toEqual([
    'run/containers/auth.json:1:47: not JSON: expected "," or "}", found the end of the file',
    'home/.config/containers/auth.json: "../evil" is not the name of a credential helper',
    'home/.config/containers/auth.json (reg.example): "auth" is not the base64 of user:password',
    'docker-credential-bad failed with status 3',
  ]);
  expect(ask('b.example', 'x')).toEqual([]);
  expect(problems.at(-1)).toBe('docker-credential-none, which home/.config/containers/auth.json names, is not installed');
  helper('bad', 'echo TOPSECRET');
  ask('reg.example', 'x');
  expect(problems.at(-1)).toBe('docker-credential-bad did not print JSON (syntax error)');
  helper('bad', 'echo "credentials not found in native keychain"; exit 1');
  ask('reg.example', 'x');
  expect(problems.join()).not.toMatch(/bad|TOPSECRET/);
});
