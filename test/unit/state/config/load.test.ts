import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isRuntimeError } from '../../../../src/model/errors.ts';
import { defaultLimits } from '../../../../src/model/image-limits.ts';
import { endpointsOf } from '../../../../src/model/registries.ts';
import { configurationDocument } from '../../../../src/state/config/document.ts';
import { loadConfiguration } from '../../../../src/state/config/load.ts';
import { configuredDataDir } from '../../../../src/state/config/paths.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rkt-config-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, content: unknown): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}
const dirs = () => ({ systemConfig: join(root, 'system'), localConfig: join(root, 'local'), userConfig: join(root, 'user') });
const load = () => loadConfiguration(dirs());
const head = (rktKind: string) => ({ rktKind, rktVersion: 'v1' });
const basic = (user: string, ...domains: string[]) => ({
  ...head('auth'),
  domains,
  type: 'basic',
  credentials: { user, password: `${user}-secret` },
});

/** Every fault, paths relative to the test's directory. */
function faults(): string[] {
  try {
    load();
  } catch (error) {
    if (!isRuntimeError(error)) throw error;
    expect(error.code).toBe('ERR_CONFIG_INVALID');
    return (error.details.length === 0 ? [error.message] : [...error.details]).map((line) => line.replaceAll(`${root}/`, ''));
  }
  return [];
}

describe('what is merged', () => {
  test('nothing configured', () => {
    expect(configurationDocument(load(), false)).toEqual({
      stage0: [
        { rktVersion: 'v1', rktKind: 'paths', data: '', 'stage1-images': '' },
        { rktVersion: 'v1', rktKind: 'stage1', name: '', version: '', location: '' },
      ],
    });
  });

  test('later directories win, key by key', () => {
    put('system/auth.d/a.json', basic('sys', 'a.example', 'b.example'));
    put('local/auth.d/a.json', { ...head('auth'), domains: ['b.example'], type: 'oauth', credentials: { token: 'tok' } });
    put('user/auth.d/a.json', {
      ...head('auth'),
      domains: ['s3.example:8443'],
      type: 'aws',
      credentials: { accessKeyID: 'AK', secretAccessKey: 'SK', awsRegion: 'eu-west-1' },
    });
    put('system/auth.d/docker.json', { ...head('dockerAuth'), credentials: { user: 'hub', password: 'x' } });
    put('user/auth.d/docker.json', { ...head('dockerAuth'), registries: ['docker.io', 'quay.io'], credentials: { user: 'me', password: 'y' } });
    put('system/paths.d/p.json', { ...head('paths'), data: '/sys/data', 'stage1-images': '/sys/images' });
    put('local/paths.d/p.json', { ...head('paths'), data: '/local/data', 'stage1-images': '' });
    put('system/stage1.d/a.json', { ...head('stage1'), name: 'example.com/s1', version: '1', location: '/s1.aci' });
    put('user/stage1.d/a.json', { ...head('stage1'), name: 'example.com/s2', version: '2' });
    expect(configurationDocument(load(), true).stage0).toEqual([
      { ...head('auth'), domains: ['a.example'], type: 'basic', credentials: { user: 'sys', password: 'sys-secret' } },
      { ...head('auth'), domains: ['b.example'], type: 'oauth', credentials: { token: 'tok' } },
      {
        ...head('auth'),
        domains: ['s3.example:8443'],
        type: 'aws',
        credentials: { accessKeyID: 'AK', secretAccessKey: 'SK', awsRegion: 'eu-west-1' },
      },
      { ...head('dockerAuth'), registries: ['docker.io'], credentials: { user: 'me', password: 'y' } },
      { ...head('dockerAuth'), registries: ['quay.io'], credentials: { user: 'me', password: 'y' } },
      { ...head('paths'), data: '/local/data', 'stage1-images': '/sys/images' },
      { ...head('stage1'), name: 'example.com/s2', version: '2', location: '/s1.aci' },
    ]);
    expect(configuredDataDir(dirs())).toBe('/local/data');
  });

  test('secrets are hidden unless asked for', () => {
    put('local/auth.d/a.json', basic('me', 'a.example'));
    put('local/auth.d/b.json', { ...head('auth'), domains: ['b.example'], type: 'oauth', credentials: { token: 'me-secret' } });
    put('local/auth.d/c.json', {
      ...head('auth'),
      domains: ['c.example'],
      type: 'aws',
      credentials: { accessKeyID: 'AK', secretAccessKey: 'me-secret' },
    });
    put('local/auth.d/d.json', { ...head('dockerAuth'), credentials: { user: 'hub', password: 'me-secret' } });
    const text = JSON.stringify(configurationDocument(load(), false));
    expect(text).not.toContain('me-secret');
    expect(text.match(/\(hidden\)/g)).toHaveLength(4);
    expect(JSON.stringify(configurationDocument(load(), true)).match(/me-secret/g)).toHaveLength(4);
  });

  test('what is no regular *.json file is not looked at, one directory named twice is read once', () => {
    put('local/auth.d/a.json', basic('me', 'a.example'));
    put('local/auth.d/notes.txt', 'not JSON');
    put('local/auth.d/sub/x.json', 'not JSON');
    put('local/auth.d/dir.json/x.json', 'not JSON');
    execFileSync('mkfifo', [join(root, 'local/auth.d/fifo.json')]);
    symlinkSync(put('elsewhere.json', basic('link', 'l.example')), join(root, 'local/auth.d/l.json'));
    const twice = loadConfiguration({ systemConfig: join(root, 'local'), localConfig: join(root, 'local'), userConfig: undefined });
    expect([...twice.auth.keys()]).toEqual(['a.example', 'l.example']);
    expect(faults()).toEqual([]);
  });

  test('registries: mirrors, default, blocked', () => {
    put('system/registries.d/a.json', {
      ...head('registries'),
      default: 'registry.example',
      registries: [
        { name: 'docker.io', mirrors: ['mirror.local:5000/hub', { location: 'backup.local', insecure: true }] },
        { name: 'old.example', blocked: true },
        { name: 'reg.example/team', location: '127.0.0.1:5000/t', insecure: true },
      ],
    });
    const { registries } = load();
    expect(registries.default).toBe('registry.example');
    const at = (registry: string, repository: string) =>
      endpointsOf(registries, registry, repository).endpoints.map((end) => `${end.registry} ${end.repository} ${end.isMirror} ${end.insecure}`);
    expect(at('index.docker.io', 'library/nginx')).toEqual([
      'mirror.local:5000 hub/library/nginx true false',
      'backup.local library/nginx true true',
      'docker.io library/nginx false false',
    ]);
    expect(at('reg.example', 'team/app')).toEqual(['127.0.0.1:5000 t/app false true']);
    expect(at('reg.example', 'teams/app')).toEqual(['reg.example teams/app false false']);
    expect(endpointsOf(registries, 'old.example', 'x')).toEqual({ endpoints: [], blockedBy: join(root, 'system/registries.d/a.json') });
    put('user/registries.d/a.json', { ...head('registries'), registries: [{ name: 'old.example' }] });
    expect(endpointsOf(load().registries, 'old.example', 'x').endpoints).toHaveLength(1);
  });
});

describe('limits of images', () => {
  test('numbers and units, later directories win, what is changed is shown', () => {
    put('system/limits.d/a.json', { ...head('imageLimits'), maxEntries: 5000, maxLayerBytes: '40GiB', maxFileBytes: '1500 M' });
    put('user/limits.d/b.json', { ...head('imageLimits'), maxEntries: 10, maxHeaderBytes: '65536', maxRatio: 1000 });
    const { limits } = load();
    expect(limits).toEqual({
      ...defaultLimits,
      maxEntries: 10,
      maxLayerBytes: 40 * 1024 ** 3,
      maxFileBytes: 1500 * 1024 ** 2,
      maxHeaderBytes: 65_536,
      maxRatio: 1000,
    });
    expect(configurationDocument(load(), false).stage0[0]).toMatchObject({ rktKind: 'imageLimits', maxEntries: 10, maxLayerBytes: 40 * 1024 ** 3 });
    expect(configurationDocument(load(), false).stage0[0]).not.toHaveProperty('maxDocumentBytes');
  });
  test('what is none', () => {
    put('system/limits.d/a.json', {
      ...head('imageLimits'),
      maxEntires: 5,
      maxRatio: '10',
      maxLayers: 500,
      maxFileBytes: 0,
      maxLayerBytes: '1PB',
      x: 1,
    });
    put('system/limits.d/b.json', { ...head('imageLimits'), maxEntries: 1 });
    put('system/limits.d/c.json', { ...head('imageLimits'), maxEntries: 1.5 });
    put('system/limits.d/d.json', { ...head('imageLimits'), maxEntries: 2 });
    expect(faults()).toEqual([
      'system/limits.d/a.json:1:57: maxEntires is no limit; did you mean maxEntries?',
      'system/limits.d/a.json:1:70: maxRatio must be a whole number above 0, not "10"',
      'system/limits.d/a.json:1:87: maxLayers is 500; Linux takes at most 499',
      'system/limits.d/a.json:1:106: maxFileBytes must be a number of bytes above 0, such as 1048576 or "1MiB", not 0',
      'system/limits.d/a.json:1:124: maxLayerBytes must be a number of bytes above 0, such as 1048576 or "1MiB", not "1PB"',
      expect.stringMatching(/^system\/limits.d\/a.json:1:\d+: x is no limit; limits are maxFileBytes, /),
      'system/limits.d/c.json:1:57: maxEntries must be a whole number above 0, not 1.5',
      'system/limits.d/d.json:1:57: maxEntries limit is said a second time, first in system/limits.d/b.json',
    ]);
  });
});

describe('faults', () => {
  test('every one of every file, at its place, and no secret', () => {
    put('system/auth.d/a.json', '{\n  "rktKind": "auth",\n  "rktVersion": "v1",,\n}');
    put('system/auth.d/b.json', '');
    put('system/auth.d/c.json', { rktKind: 'paths', rktVersion: 'v2' });
    put('system/auth.d/d.json', '[]');
    put('system/auth.d/e.json', { ...head('auth'), domains: [], type: 'basic', credentials: { user: 7, password: 1234567 } });
    put('system/auth.d/f.json', { ...head('auth'), domains: ['https://x.example/'], type: 'magic' });
    put('system/auth.d/g.json', { ...head('auth'), domains: ['x.example'], type: 'oauth', credentials: 'my-token' });
    put('system/auth.d/h.json', { ...head('dockerAuth'), registries: [], credentials: { user: '', password: '' } });
    put('local/paths.d/a.json', { ...head('paths'), data: 'relative', 'stage1-images': 7 });
    put('local/stage1.d/a.json', { ...head('stage1'), name: 'n', location: 'stage1.aci' });
    put('local/stage1.d/b.json', { ...head('stage1'), version: '1' });
    put('user/registries.d/a.json', { ...head('registries'), defualt: 'x', registries: [{ name: 'https://x', mirors: [] }, {}] });
    writeFileSync(join(root, 'user/registries.d/b.json'), Buffer.from([0x7b, 0xff]));
    symlinkSync('nowhere', join(root, 'user/registries.d/c.json'));
    put('user/registries.d/big.json', ' '.repeat(1_048_577));
    const found = faults();
    expect(found.join('\n')).not.toMatch(/1234567|my-token/);
    expect(found).toEqual([
      'system/auth.d/a.json:3:22: not JSON: expected a key in double quotes, found ","',
      'system/auth.d/b.json: not JSON: the file is empty',
      'system/auth.d/c.json:1:12: rktKind is "paths", but files in auth.d are of kind "auth" or "dockerAuth"',
      'system/auth.d/c.json:1:33: rktVersion must be "v1", not "v2"',
      'system/auth.d/d.json:1:1: must be an object',
      'system/auth.d/e.json:1:47: domains is empty; must name a domain',
      'system/auth.d/e.json:1:87: credentials.user must be a user name, not 7',
      'system/auth.d/e.json:1:100: credentials.password must be a password',
      'system/auth.d/f.json:1:48: domains[0] must be a host name, such as example.com or localhost:5000, not "https://x.example/"',
      'system/auth.d/f.json:1:77: type must be basic, oauth or aws, not "magic"',
      'system/auth.d/g.json:1:90: credentials must be an object',
      'system/auth.d/h.json:1:56: registries is empty; must name a registry',
      'system/auth.d/h.json:1:81: credentials.user is empty; must be a user name',
      'system/auth.d/h.json:1:95: credentials.password is empty; must be a password',
      'local/stage1.d/a.json:1:46: name is said without version: they come together',
      'local/stage1.d/a.json:1:61: location must be an absolute path or a URL (file, http, https, docker), not "stage1.aci"',
      'local/stage1.d/b.json:1:49: version is said without name: they come together',
      'user/registries.d/a.json:1:79: registries[0].name must be a registry, such as docker.io or mirror.local:5000/hub, without a scheme, not "https://x"',
      'user/registries.d/a.json:1:71: registries[0] has the unknown key "mirors"',
      'user/registries.d/a.json:1:104: registries[1].name is missing; must be a registry, such as docker.io or mirror.local:5000/hub, without a scheme',
      'user/registries.d/a.json:1:1: has the unknown key "defualt"',
      'user/registries.d/b.json is not UTF-8 text',
      'user/registries.d/big.json is larger than 1048576 bytes',
      'user/registries.d/c.json is a link to nothing',
      'local/paths.d/a.json:1:45: data must be an absolute path, not "relative"',
      'local/paths.d/a.json:1:72: stage1-images must be an absolute path, not 7',
    ]);
  });

  test('one key twice in one directory, not in two', () => {
    put('system/auth.d/a.json', basic('me', 'a.example', 'A.example:443'));
    put('local/auth.d/a.json', basic('me', 'a.example'));
    put('local/auth.d/b.json', basic('you', 'a.example'));
    put('local/auth.d/c.json', { ...head('dockerAuth'), credentials: { user: 'u', password: 'p' } });
    put('local/auth.d/d.json', { ...head('dockerAuth'), registries: ['docker.io'], credentials: { user: 'u', password: 'p' } });
    put('local/paths.d/a.json', { ...head('paths'), data: '/a' });
    put('local/paths.d/b.json', { ...head('paths'), data: '/b' });
    put('local/stage1.d/a.json', { ...head('stage1'), name: 'n', version: '1' });
    put('local/stage1.d/b.json', { ...head('stage1'), name: 'm', version: '1', location: '/x' });
    put('local/registries.d/a.json', { ...head('registries'), default: 'a.example', registries: [{ name: 'docker.io' }] });
    put('local/registries.d/b.json', { ...head('registries'), default: 'b.example', registries: [{ name: 'index.docker.io' }] });
    expect(faults().map((line) => line.replace(/:\d+:\d+/, ''))).toEqual([
      'system/auth.d/a.json: domains[1] domain A.example:443 is said a second time, first in system/auth.d/a.json',
      'local/auth.d/b.json: domains[0] domain a.example is said a second time, first in local/auth.d/a.json',
      'local/auth.d/d.json: registries[0] registry docker.io is said a second time, first in local/auth.d/c.json',
      'local/stage1.d/b.json: name name of stage1 is said a second time, first in local/stage1.d/a.json',
      'local/registries.d/b.json: default default registry is said a second time, first in local/registries.d/a.json',
      'local/registries.d/b.json: registries[0].name registry index.docker.io is said a second time, first in local/registries.d/a.json',
      'local/paths.d/b.json: data is said a second time: local/paths.d/a.json says "/a"',
    ]);
  });
});
