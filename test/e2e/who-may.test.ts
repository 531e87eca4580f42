/** Who may have what: the image policy and credentials of every place, from outside, with a real registry. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { useHost } from '../rig/host.ts';
import { Registry, password, user } from '../rig/registry.ts';
import { Rkt, dist } from '../rig/rkt.ts';

useHost();
const rkt = new Rkt();
const registry = new Registry({ auth: 'htpasswd' });
const layout = join(dist, 'images/busybox');
afterEach(() => {
  for (const name of ['keys', 'home', 'auth.d', 'policy.json']) rmSync(join(rkt.config, name), { recursive: true, force: true });
  rmSync(join(rkt.dataDir, 'cas'), { recursive: true, force: true });
});
const put = (path: string, content: unknown): string => {
  const file = join(rkt.config, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
};

describe('image policy', () => {
  const layout = join(dist, 'images/busybox');
  const accept = [{ type: 'insecureAcceptAnything' }];
  const reject = [{ type: 'reject' }];
  const policy = (value: unknown): void => writeFileSync(join(rkt.config, 'policy.json'), JSON.stringify(value));
  const fetched = (reference: string): string => {
    const { status, stderr } = rkt.run(['fetch', reference]);
    return status === 0 ? 'accepted' : stderr.replaceAll(`${rkt.config}/`, '').replaceAll(dist, 'DIST');
  };

  test('directories and archives of every kind, by place; links do not lead around it', () => {
    const dir = join(rkt.config, 'keys');
    mkdirSync(dir, { recursive: true });
    execFileSync('tar', ['-cf', join(dir, 'oci.tar'), '-C', layout, '.']);
    execFileSync('skopeo', ['copy', '-q', `oci:${layout}`, `docker-archive:${dir}/docker.tar:x:1`]);
    symlinkSync(layout, join(dir, 'link'));
    policy({
      default: reject,
      transports: {
        oci: { [join(dist, 'images')]: reject, '': accept },
        'oci-archive': { [dir]: accept },
        'docker-archive': { '': [{ type: 'signedBy', keyType: 'x' }] },
      },
    });
    const refused = 'error: oci:DIST/images/busybox is rejected by the image policy policy.json (oci DIST/images) [ERR_IMAGE_POLICY]';
    for (const reference of [`oci:${layout}`, layout, `oci:${dir}/link`, `${dir}/link`]) expect(fetched(reference)).toContain(refused);
    expect([`oci-archive:${dir}/oci.tar`, `${dir}/oci.tar`].map(fetched)).toEqual(['accepted', 'accepted']);
    for (const reference of [`docker-archive:${dir}/docker.tar`, `${dir}/docker.tar`])
      expect(fetched(reference)).toContain(
        `the image policy policy.json (docker-archive, any) asks for signedBy of docker-archive:keys/docker.tar, which rkt does not check`,
      );
    // The embedded image came with rkt.
    expect(fetched('busybox')).toBe('accepted');
  });

  test('a policy that comes later counts for a source that is known already', () => {
    expect([`oci:${layout}`, layout].map(fetched)).toEqual(['accepted', 'accepted']);
    policy({ default: reject });
    for (const reference of [`oci:${layout}`, layout]) expect(fetched(reference)).toContain('policy.json (default)');
    policy({ default: accept });
    expect([`oci:${layout}`, layout].map(fetched)).toEqual(['accepted', 'accepted']);
    policy({ defualt: accept });
    expect(fetched(layout)).toContain('[ERR_CONFIG_INVALID]');
  });

  test('images of registries, by host, repository, tag and digest', async () => {
    put('auth.d/a.json', { rktKind: 'dockerAuth', rktVersion: 'v1', registries: [registry.host], credentials: { user, password } });
    await registry.push(`oci:${layout}`, 'team/app:1');
    await registry.push(`oci:${layout}`, 'team/app:2');
    await registry.push(`oci:${layout}`, 'other/app:1');
    const at = registry.host;
    policy({
      default: reject,
      transports: { docker: { [`${at}/team`]: accept, [`${at}/team/app:2`]: reject, [`${at}/other`]: [{ type: 'sigstoreSigned' }] } },
    });
    expect(fetched(`docker://${at}/team/app:1`)).toBe('accepted');
    expect(fetched(`docker://${at}/team/app:2`)).toContain(
      `docker://${at}/team/app:2 is rejected by the image policy policy.json (docker ${at}/team/app:2)`,
    );
    expect(fetched(`docker://${at}/other/app:1`)).toContain('asks for sigstoreSigned of');
    expect(fetched(`docker://${at}/none/app:1`)).toContain('policy.json (default)');
    expect(fetched('docker://nowhere.invalid/app')).toContain('is rejected by the image policy');
    expect(fetched('nginx')).toContain('docker://docker.io/library/nginx:latest is rejected by the image policy');
  });
});

describe('credentials', () => {
  const basic = (name: string, word: string) => ({ auth: Buffer.from(`${name}:${word}`).toString('base64') });
  const fetched = (env: Record<string, string> = {}) =>
    rkt.run(['fetch', `docker://${registry.host}/team/app:1`], { env: { HOME: join(rkt.config, 'home'), ...env } });
  const dockerAuth = (name: string, word: string) => ({
    rktKind: 'dockerAuth',
    rktVersion: 'v1',
    registries: [registry.host],
    credentials: { user: name, password: word },
  });
  test.each<[string, () => Record<string, string>]>([
    ['dockerAuth of auth.d', () => ({ X: put('auth.d/a.json', dockerAuth(user, password)) })],
    ['~/.docker/config.json', () => ({ X: put('home/.docker/config.json', { auths: { [registry.host]: basic(user, password) } }) })],
    [
      '~/.config/containers/auth.json, of a repository',
      () => ({ X: put('home/.config/containers/auth.json', { auths: { [`${registry.host}/team`]: basic(user, password) } }) }),
    ],
    [
      'REGISTRY_AUTH_FILE',
      () => ({ REGISTRY_AUTH_FILE: put('keys/auth.json', { auths: { [`http://${registry.host}/v2/`]: basic(user, password) } }) }),
    ],
    [
      'XDG_RUNTIME_DIR',
      () => {
        put('keys/run/containers/auth.json', { auths: { [registry.host]: basic(user, password) } });
        return { XDG_RUNTIME_DIR: join(rkt.config, 'keys/run') };
      },
    ],
    [
      'a credential helper',
      () => {
        const helper = put(
          'keys/docker-credential-test',
          `#!/bin/sh\ncat >&2\necho '${JSON.stringify({ ServerURL: '', Username: user, Secret: password })}'\n`,
        );
        chmodSync(helper, 0o755);
        put('home/.docker/config.json', { credHelpers: { [registry.host]: 'test' } });
        return { PATH: `${join(rkt.config, 'keys')}:${process.env['PATH'] ?? ''}` };
      },
    ],
    [
      'the second that fits, when the first is refused',
      () => {
        put('auth.d/a.json', dockerAuth(user, 'wrong'));
        return { X: put('home/.docker/config.json', { auths: { [registry.host]: basic(user, password) } }) };
      },
    ],
  ])('%s', async (_, prepare) => {
    await registry.push(`oci:${layout}`, 'team/app:1');
    const { status, stderr } = fetched(prepare());
    expect([status, stderr]).toEqual([0, expect.not.stringContaining(password)]);
  });

  test('none, and wrong ones: which were tried and where they came from, never what they are', async () => {
    await registry.push(`oci:${layout}`, 'team/app:1');
    expect(fetched().stderr).toContain('401');
    put('auth.d/a.json', dockerAuth('bob', 'TOPSECRET1'));
    put('home/.docker/config.json', { auths: { [registry.host]: basic('carol', 'TOPSECRET2') }, credsStore: 'missing' });
    const { status, stderr } = fetched();
    expect(status).toBe(254);
    expect(stderr).toContain(`user "bob" of ${rkt.config}/auth.d/a.json`);
    expect(stderr).toContain(`user "carol" of ${rkt.config}/home/.docker/config.json (${registry.host})`);
    expect(stderr).toContain(`docker-credential-missing, which ${rkt.config}/home/.docker/config.json names, is not installed`);
    expect(stderr).not.toContain('TOPSECRET');
  });
});
