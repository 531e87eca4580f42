import { describe, expect, test } from 'vitest';
import type { AppcApp } from '../../../src/model/appc/app.ts';
import type { Digest } from '../../../src/model/ids.ts';
import type { ImageConfig, StoredImage } from '../../../src/model/oci.ts';
import { defaultAppName, podManifest, type AppRequest } from '../../../src/stage0/prepare/manifest.ts';

const image = (config: Partial<ImageConfig> = {}): StoredImage => ({
  id: `sha256:${'a'.repeat(64)}` as Digest,
  name: 'web',
  config: {
    entrypoint: ['/entry'],
    cmd: ['default'],
    env: ['A=1', 'B=2'],
    user: '',
    workingDir: '',
    exposedPorts: ['80/tcp', '53/udp', '8080'],
    volumes: [],
    stopSignal: '',
    labels: {},
    ...config,
  },
  layers: [],
  os: 'linux',
  architecture: 'amd64',
});
const request = (overrides: Partial<AppRequest> = {}): AppRequest => ({ image: image(), args: [], environment: [], ...overrides });
const app = (overrides: Partial<AppRequest> = {}) => podManifest([request(overrides)]).apps[0]?.app ?? expect.fail();

describe('podManifest', () => {
  test('entrypoint, arguments and --exec', () => {
    expect(app().exec).toEqual(['/entry', 'default']);
    expect(app({ args: ['x'] }).exec).toEqual(['/entry', 'x']);
    expect(app({ exec: '/bin/sh', args: ['-c', 'y'] }).exec).toEqual(['/bin/sh', '-c', 'y']);
    expect(app({ exec: '/bin/sh' }).exec).toEqual(['/bin/sh']);
  });
  test('environment: the image below, flags on top', () => {
    expect(app({ environment: ['B=3', 'C=a=b', 'D='] }).environment).toEqual([
      { name: 'A', value: '1' },
      { name: 'B', value: '3' },
      { name: 'C', value: 'a=b' },
      { name: 'D', value: '' },
    ]);
  });
  test('user and group', () => {
    expect(app()).toMatchObject({ user: '0', group: '' });
    expect(app({ image: image({ user: 'web:staff' }) })).toMatchObject({ user: 'web', group: 'staff' });
    expect(app({ image: image({ user: 'web:staff' }), user: '7' })).toMatchObject({ user: '7', group: 'staff' });
  });
  test('exposed ports are named as docker2aci names them', () => {
    expect(app().ports?.map((port) => port.name)).toEqual(['80-tcp', '53-udp', '8080-tcp']);
  });
  test('every fault is listed at once', () => {
    const faults = (): unknown =>
      podManifest([
        request({ name: 'Bad Name' }),
        request({ name: 'x', environment: ['=1'] }),
        request({ name: 'x', image: image({ entrypoint: [], cmd: [] }) }),
      ]);
    expect(faults).toThrow(
      expect.objectContaining({
        code: 'ERR_POD_MANIFEST',
        details: [
          expect.stringContaining('Bad Name'),
          expect.stringContaining('"=1"'),
          expect.stringContaining('no program'),
          expect.stringContaining('two apps are named "x"'),
        ],
      }),
    );
  });
  test('a pod without apps is refused', () => {
    expect(() => podManifest([])).toThrow(/at least one application/);
  });
});

test.each([
  ['busybox', 'busybox'],
  ['oci:./my_Web:latest', 'my-web'],
  ['docker-archive:/tmp/nginx.tar', 'nginx'],
  ['/images/redis.tar.gz', 'redis'],
  ['registry:5000/team/app:v1', 'app'],
  ['///', 'app'],
])('default app name of %s is %s', (name, expected) => {
  expect(defaultAppName(name)).toBe(expected);
});

describe('an ACI', () => {
  const aci = (app: Partial<AppcApp> | undefined, overrides: Partial<StoredImage> = {}): StoredImage => ({
    ...image({ entrypoint: ['/bin/app'], cmd: [], user: '/a:b:c', exposedPorts: ['80/tcp'] }),
    id: `sha512:${'b'.repeat(128)}` as Digest,
    appc: {
      manifest: `sha256:${'c'.repeat(64)}` as Digest,
      name: 'example.com/some_app',
      labels: [{ name: 'version', value: '1' }],
      app: app === undefined ? undefined : { user: '/a:b', group: 'c', ...app },
      rootfs: [],
      archiveBytes: 1,
      tarBytes: 1,
    },
    ...overrides,
  });
  test('its name and ID, the user as it says it, arguments behind exec', () => {
    const [pod] = podManifest([request({ image: aci({}), args: ['x'] })]).apps;
    expect(pod).toMatchObject({
      name: 'some-app',
      image: { name: 'example.com/some_app', id: `sha512-${'b'.repeat(128)}`, labels: [{ name: 'version', value: '1' }] },
      app: { exec: ['/bin/app', 'x'], user: '/a:b', group: 'c', ports: [] },
    });
  });
  test('all else it says about its app', () => {
    const said = {
      supplementaryGIDs: [1],
      eventHandlers: [{ name: 'pre-start' as const, exec: ['/init'] }],
      mountPoints: [
        { name: 'a', path: '/a', readOnly: true },
        { name: 'b', path: '/b', readOnly: false },
      ],
      isolators: [{ name: 'os/linux/cpu-shares', value: 5 }],
      userAnnotations: { a: 'b' },
      userLabels: { c: 'd' },
      ports: [
        { name: 'http', protocol: 'tcp', port: 80, count: 1, socketActivated: true },
        { name: 'many', protocol: 'udp', port: 90, count: 9 },
        { name: 'odd', protocol: 'dccp', port: 7 },
      ],
    };
    expect(app({ image: aci(said) })).toMatchObject({
      ...said,
      mountPoints: [
        { name: 'a', path: '/a', readOnly: true },
        { name: 'b', path: '/b' },
      ],
      ports: [
        { name: 'http', protocol: 'tcp', port: 80, socketActivated: true },
        { name: 'many', protocol: 'udp', port: 90, count: 9 },
      ],
    });
  });
  test('one without app, os or arch', () => {
    expect(() =>
      podManifest([request({ image: aci(undefined, { os: '', architecture: '', config: { ...image().config, entrypoint: [], cmd: [] } }) })]),
    ).toThrow(
      expect.objectContaining({
        details: [
          'app some-app: missing os label in the image manifest',
          'app some-app: missing arch label in the image manifest',
          'app some-app: the image names no program to run: use --exec',
        ],
      }),
    );
  });
});
