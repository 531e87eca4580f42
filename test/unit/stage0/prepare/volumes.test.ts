import { describe, expect, test } from 'vitest';
import { cleanTarget, mountsOf } from '../../../../src/model/mounts.ts';
import type { StoredImage } from '../../../../src/model/oci.ts';
import type { PodApp, PodManifest } from '../../../../src/model/pod.ts';
import { parseMount, parseMountVolume, parseVolume } from '../../../../src/stage0/prepare/volume-flags.ts';
import { noVolumeOptions, populatedVolumes, withVolumes } from '../../../../src/stage0/prepare/volumes.ts';

describe('--volume', () => {
  test.each([
    ['data,kind=host,source=/srv', { name: 'data', kind: 'host', source: '/srv' }],
    ['d,kind=host,source=/a=b,readOnly=true,recursive=false', { name: 'd', kind: 'host', source: '/a=b', readOnly: true, recursive: false }],
    ['d,source=/a,kind=host,readOnly=0', { name: 'd', kind: 'host', source: '/a', readOnly: false }],
    ['e,kind=empty', { name: 'e', kind: 'empty' }],
    ['e,kind=empty,mode=1777,uid=5,gid=6', { name: 'e', kind: 'empty', mode: '1777', uid: 5, gid: 6 }],
    ['t,kind=tmpfs,size=64m', { name: 't', kind: 'tmpfs', size: '64m' }],
    ['t,kind=tmpfs,size=10%,mode=0700', { name: 't', kind: 'tmpfs', size: '10%', mode: '0700' }],
    ['i,kind=image,image=docker://nginx:1', { name: 'i', kind: 'image', image: 'docker://nginx:1' }],
  ])('%s', (text, volume) => {
    const faults: string[] = [];
    expect(parseVolume(text, faults)).toEqual(volume);
    expect(faults).toEqual([]);
  });

  test.each([
    ['', ['the name of a volume', 'kind is missing']],
    ['A_b,kind=empty', ['the name of a volume']],
    ['a,kind=nfs', ['kind "nfs" is not one of host, empty, tmpfs, image']],
    ['a,kind=host', ['needs source=/PATH']],
    ['a,kind=host,source=b', ['not an absolute path']],
    ['a,kind=host,source=/b\0c', ['not an absolute path']],
    ['a,kind=host,source=/a,mode=0755', ['mode is not an option of volumes of kind host']],
    ['a,kind=empty,source=/a', ['source is not an option']],
    ['a,kind=empty,mode=0999,uid=-1,gid=x', ['mode is octal', 'uid is a number', 'gid is a number']],
    ['a,kind=empty,uid=4294967295', ['uid is a number']],
    ['a,kind=empty,readOnly=yes', ['readOnly is true or false']],
    ['a,kind=empty,colour=red', ['unknown option "colour"']],
    ['a,kind=empty,mode', ['"mode" is not OPTION=VALUE']],
    ['a,kind=empty,mode=1,mode=2', ['says mode twice']],
    ['a,kind=tmpfs,size=1g,mode=755', []],
    ['a,kind=tmpfs,size=1m,nr_inodes=1', ['unknown option "nr_inodes"']],
    ['a,kind=tmpfs,size=0', ['size is a number']],
    ['a,kind=tmpfs,size=1m:exec', ['size is a number']],
    ['a,kind=tmpfs,size=101%', ['size is a number']],
    ['a,kind=image', ['needs image=IMAGE']],
    ['a,kind=image,image=', ['image is empty', 'needs image=IMAGE']],
    ['a,kind=image,image=b,readOnly=false', ['always mounted read-only']],
    ['a,kind=__proto__', ['kind "__proto__" is not one of']],
  ])('%j', (text, wanted) => {
    const faults: string[] = [];
    parseVolume(text, faults);
    expect(faults).toEqual(wanted.map((part) => expect.stringContaining(part) as string));
  });
});

test.each([
  ['volume=a,target=/x', { volume: 'a', path: '/x' }, []],
  ['target=x/y,volume=a', { volume: 'a', path: 'x/y' }, []],
  ['volume=a', undefined, ['target=PATH is missing']],
  ['', undefined, ['"" is not OPTION=VALUE', 'volume=NAME is missing', 'target=PATH is missing']],
  ['volume=a,target=/x,ro=1', { volume: 'a', path: '/x' }, ['unknown option "ro"']],
])('--mount=%s', (text, mount, wanted) => {
  const faults: string[] = [];
  expect(parseMount(text, faults)).toEqual(mount);
  expect(faults).toEqual(wanted.map((part) => expect.stringContaining(part) as string));
});

test('--mnt-volume', () => {
  const faults: string[] = [];
  expect(parseMountVolume('name=a,kind=host,source=/s,target=/t', faults)).toEqual({
    volume: 'a',
    path: '/t',
    appVolume: { name: 'a', kind: 'host', source: '/s' },
  });
  expect(faults).toEqual([]);
  expect(parseMountVolume('name=a,kind=empty', faults)).toBe(undefined);
  expect(faults).toEqual([expect.stringContaining('target=PATH is missing')]);
});

test.each([
  ['/a//b/./c/', '/a/b/c'],
  ['a/b', '/a/b'],
  ['../../etc', '/etc'],
  ['/..', '/'],
  ['.', '/'],
])('target %s is %s', (path, clean) => {
  expect(cleanTarget(path)).toBe(clean);
});

const image = (docker: boolean): StoredImage =>
  ({ config: { labels: docker ? { 'appc.io/docker/repository': 'x' } : {} }, appc: { name: 'x', labels: [] } }) as unknown as StoredImage;
const app = (change: Partial<PodApp> = {}, mountPoints: NonNullable<PodApp['app']['mountPoints']> = []): PodApp => ({
  name: 'web',
  image: { name: 'x', id: 'sha512-0' },
  app: { exec: ['/x'], user: '0', group: '0', mountPoints },
  ...change,
});
const manifest = (...apps: PodApp[]): PodManifest => ({ acVersion: '0.8.11', acKind: 'PodManifest', apps });
const matched = (pod: PodManifest, options: Partial<Parameters<typeof withVolumes>[2]>, docker = false): ReturnType<typeof withVolumes> =>
  withVolumes(
    pod,
    pod.apps.map(() => image(docker)),
    { ...noVolumeOptions, ...options },
  );

describe('matching', () => {
  test('explicit, of the app before of all; then by name; then an empty volume with a warning', () => {
    const points = [
      { name: 'one', path: '/one' },
      { name: 'two', path: '/two/' },
      { name: 'three', path: '/three' },
    ];
    const { manifest: pod, warnings } = matched(manifest(app({}, points)), {
      volumes: ['a,kind=empty', 'b,kind=empty', 'two,kind=host,source=/h'],
      mounts: ['volume=b,target=/one/', 'volume=b,target=/x'],
      appMounts: [['volume=a,target=/one']],
    });
    expect(pod.apps[0]?.mounts).toEqual([
      { volume: 'a', path: '/one' },
      { volume: 'b', path: '/x' },
      { volume: 'two', path: '/two' },
      { volume: 'web-three', path: '/three' },
    ]);
    expect(pod.volumes?.at(-1)).toEqual({ name: 'web-three', kind: 'empty', mode: '0755', uid: 0, gid: 0 });
    expect(warnings).toEqual([expect.stringContaining('implicitly creating an "empty" volume')]);
    expect(matched(pod, {})).toEqual({ manifest: pod, warnings: [] });
  });
  test('an image of Docker: what it has there is where the volume begins, and no warning', () => {
    const { manifest: pod, warnings } = matched(manifest(app({}, [{ name: 'data', path: '/data' }])), {}, true);
    expect([[...populatedVolumes(pod)], warnings]).toEqual([['web-data'], []]);
  });
  test('every fault at once', () => {
    const faults = (): unknown =>
      matched(manifest(app()), {
        volumes: ['a,kind=empty', 'a,kind=empty'],
        mounts: ['volume=x,target=/x'],
        appMounts: [['volume=a,target=/', 'volume=a,target=/../proc', 'volume=a,target=/dev', 'volume=a,target=/dev/pts/1']],
      });
    expect(faults).toThrow(
      expect.objectContaining({
        code: 'ERR_POD_MANIFEST',
        details: [
          'duplicate volume name "a"',
          expect.stringContaining('is the root of the app'),
          expect.stringContaining('is in /proc'),
          expect.stringContaining('target /dev hides'),
          expect.stringContaining('target /dev/pts/1 hides'),
          'dangling mount point /x: volume "x" not found',
        ],
      }),
    );
  });
});

test('mounts: parents first; read-only by the volume, else by the mount point; where each is on the host', () => {
  const points = [
    { name: 'ro', path: '/ro', readOnly: true },
    { name: 'rw', path: '/ro/rw', readOnly: true },
  ];
  const mounts = [
    { volume: 'rw', path: '/ro/rw' },
    { volume: 'ro', path: '/ro' },
    { volume: 'own', path: '/own', appVolume: { name: 'own', kind: 'empty' as const } },
    { volume: 'ro', path: '/own/' },
    { volume: 'gone', path: '/gone' },
  ];
  const volumes = [
    { name: 'ro', kind: 'host' as const, source: '/h' },
    { name: 'rw', kind: 'empty' as const, readOnly: false },
  ];
  expect(mountsOf({ volumes }, app({ mounts }, points), '/d').map(({ target, hostPath, readOnly }) => [target, hostPath, readOnly])).toEqual([
    ['/ro', '/h', true],
    ['/own', '/d/appVolumes/web/own', false],
    ['/ro/rw', '/d/sharedVolumes/rw', false],
  ]);
});
