/** OCI configuration → appc manifest and back: docker2aci's names and annotations, nothing lost. */
import { describe, expect, test } from 'vitest';
import { checkImageManifest } from '../../../../src/model/appc/image.ts';
import type { Digest } from '../../../../src/model/ids.ts';
import { checkConfig } from '../../../../src/model/oci-schema.ts';
import type { StoredImage } from '../../../../src/model/oci.ts';
import { appcView, configAnnotation, ociConfigOf } from '../../../../src/stage0/pack/appc-view.ts';

const id = `sha256:${'ab'.repeat(32)}` as Digest;
const file = (settings: object, more: object = {}) => ({
  os: 'linux',
  architecture: 'amd64',
  ...more,
  config: settings,
  rootfs: { type: 'layers', diff_ids: [] },
});
function view(name: string, settings: object, { more = {}, keepConfig = false } = {}) {
  const config = file(settings, more);
  const checked = checkConfig(Buffer.from(JSON.stringify(config)), 'it');
  const image: StoredImage = { id, name, config: checked.config, layers: [], os: checked.os, architecture: checked.architecture };
  const manifest = appcView({ image, config, configDigest: `sha256:${'cd'.repeat(32)}`, keepConfig });
  expect(checkImageManifest(Buffer.from(JSON.stringify(manifest)), 'it')).toEqual(manifest);
  return { manifest, image, config };
}

test('everything a configuration says', () => {
  const { manifest } = view(
    'ghcr.io/org/Web_app.x:1.2',
    {
      User: 'web:staff',
      Env: ['PATH=/bin', 'A=b=c', 'A=last', '1BAD=x', 'NOVALUE'],
      Entrypoint: ['/bin/web'],
      Cmd: ['-p', '80'],
      WorkingDir: '/srv',
      ExposedPorts: { '80/tcp': {}, '53/udp': {}, '8080': {}, 'x/tcp': {} },
      Volumes: { '/var/lib/data': {}, '/var/lib-data': {}, '/': {}, relative: {} },
      Labels: { maintainer: 'me' },
    },
    { more: { author: 'somebody', created: '2020-01-02T03:04:05Z', architecture: 'arm', variant: 'v6' } },
  );
  expect(manifest).toEqual({
    acKind: 'ImageManifest',
    acVersion: '0.8.11',
    name: 'ghcr.io/org/web_app.x'.replace('_', '_'),
    labels: [
      { name: 'version', value: '1.2' },
      { name: 'os', value: 'linux' },
      { name: 'arch', value: 'armv6l' },
    ],
    app: {
      exec: ['/bin/web', '-p', '80'],
      user: 'web',
      group: 'staff',
      workingDirectory: '/srv',
      environment: [
        { name: 'PATH', value: '/bin' },
        { name: 'A', value: 'last' },
      ],
      mountPoints: [
        { name: 'volume', path: '/' },
        { name: 'volume-var-lib-data', path: '/var/lib/data' },
        { name: 'volume-var-lib-data-1', path: '/var/lib-data' },
      ],
      ports: [
        { name: '53-udp', protocol: 'udp', port: 53 },
        { name: '80-tcp', protocol: 'tcp', port: 80 },
        { name: '8080-tcp', protocol: 'tcp', port: 8080 },
      ],
      userLabels: { maintainer: 'me' },
    },
    annotations: [
      { name: 'author', value: 'somebody' },
      { name: 'created', value: '2020-01-02T03:04:05Z' },
      { name: 'appc.io/docker/originalname', value: 'ghcr.io/org/Web_app.x:1.2' },
      { name: 'appc.io/docker/registryurl', value: 'ghcr.io' },
      { name: 'appc.io/docker/repository', value: 'org/Web_app.x' },
      { name: 'appc.io/docker/imageid', value: `sha256:${'cd'.repeat(32)}` },
      { name: 'appc.io/docker/manifesthash', value: id },
      { name: 'appc.io/docker/entrypoint', value: '["/bin/web"]' },
      { name: 'appc.io/docker/cmd', value: '["-p","80"]' },
    ],
  });
});

test.each([
  ['web', 'registry-1.docker.io/library/web', 'latest'],
  ['web:1', 'registry-1.docker.io/library/web', '1'],
  ['org/web:1', 'registry-1.docker.io/org/web', '1'],
  ['localhost/web', 'localhost/web', 'latest'],
  ['127.0.0.1:5000/a/b:c', '127.0.0.1-5000/a/b', 'c'],
  ['docker://quay.io/a/b', 'quay.io/a/b', 'latest'],
  [`quay.io/a/b@sha256:${'0'.repeat(64)}`, 'quay.io/a/b', 'latest'],
  ['oci:/tmp/some dir/web:1.0', 'web', '1.0'],
  ['oci:/tmp/web', 'web', undefined],
  ['./web.tar', 'web', undefined],
  ['docker-archive:/x/Web.tar:web:2', 'web', 'web'],
  ['/x/', 'x', undefined],
])('%s is called %s, version %s', (name, called, version) => {
  const { manifest } = view(name, {});
  expect(manifest.name).toBe(called);
  expect(manifest.labels?.find((label) => label.name === 'version')?.value).toBe(version);
});

test.each([
  [undefined, '0', '0'],
  ['1000', '1000', '1000'],
  ['web', 'web', 'web'],
  ['web:', 'web', 'web'],
  [':5', '0', '5'],
  ['7:staff', '7', 'staff'],
])('user %s', (User, user, group) => {
  expect(view('x', User === undefined ? {} : { User }).manifest.app).toMatchObject({ user, group });
});

describe('and back', () => {
  const settings = { User: '5', Entrypoint: ['/e'], Cmd: ['c'], StopSignal: 'SIGQUIT', Healthcheck: { Test: ['NONE'] }, Labels: { a: 'b' } };
  test('the very configuration, when it went along', () => {
    const { manifest, image, config } = view('web', settings, { keepConfig: true, more: { author: 'me', 'org.x': { y: 1 } } });
    const { rootfs: _, ...rest } = config;
    expect(ociConfigOf(manifest, image)).toEqual(rest);
  });
  test('what the app says, when it did not', () => {
    const { manifest, image } = view('web', settings, { more: { author: 'me' } });
    expect(ociConfigOf(manifest, image)).toEqual({
      author: 'me',
      os: 'linux',
      architecture: 'amd64',
      config: { User: '5', Entrypoint: ['/e'], Cmd: ['c'], Labels: { a: 'b' } },
    });
  });
  test('a kept configuration that the app no longer agrees with, or that is none, does not count', () => {
    const { manifest, image } = view('web', settings, { keepConfig: true });
    const changed = { ...manifest, app: { user: '5', group: '5', exec: ['/other'] } };
    expect(ociConfigOf(changed, image)).toMatchObject({ config: { Entrypoint: ['/other'] } });
    const invalid = { ...manifest, annotations: [{ name: configAnnotation, value: '{"os":1,"config":{"Env":7}}' }] };
    expect(ociConfigOf(invalid, image)).toMatchObject({ os: 'linux', config: { Entrypoint: ['/e', 'c'] } });
  });
  test('annotations that the app no longer agrees with, or that are no JSON, do not count', () => {
    const { manifest, image } = view('web', settings);
    const changed = {
      ...manifest,
      app: { ...manifest.app, exec: ['/other'], user: '0', group: '0' },
      annotations: [...(manifest.annotations ?? []), { name: configAnnotation, value: '{' }],
    };
    expect(ociConfigOf(changed, image)).toMatchObject({ config: { Entrypoint: ['/other'] } });
    expect(ociConfigOf({ ...changed, annotations: [{ name: configAnnotation, value: '[]' }] }, image)).toMatchObject({
      config: { Entrypoint: ['/other'] },
    });
  });
});
