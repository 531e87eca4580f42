import { describe, expect, test } from 'vitest';
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
