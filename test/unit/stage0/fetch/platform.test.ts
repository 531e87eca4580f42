import { expect, test } from 'vitest';
import type { Digest } from '../../../../src/model/ids.ts';
import { checkPlatform, choosePlatform, platformOf } from '../../../../src/stage0/fetch/platform.ts';

const index = (...platforms: string[]) =>
  platforms.map((text, i) => {
    const [os = '', architecture = '', variant] = text.split('/');
    return {
      digest: `sha256:${String(i).padStart(64, '0')}` as Digest,
      size: 1,
      ...(text === '' ? {} : { platform: { os, architecture, variant } }),
    };
  });
const chosen = (platforms: string[], arch: string, variant = ''): number =>
  Number(choosePlatform(index(...platforms), { ...platformOf(arch), variant }, 'it').digest.slice(-3));

test.each([
  [['linux/arm64', 'linux/amd64'], 'x64', '', 1],
  [['linux/amd64', 'linux/arm64/v8'], 'arm64', '', 1],
  [['linux/amd64/v3', 'linux/amd64'], 'x64', '', 1],
  [['linux/amd64/v4', 'linux/amd64/v2'], 'x64', '', 1],
  [['windows/amd64', 'linux/amd64/v1'], 'x64', '', 1],
  [['linux/arm/v5', 'linux/arm/v7'], 'arm', 'v7', 1],
  [['linux/arm/v7', 'linux/arm/v6'], 'arm', '', 1],
  [['linux/amd64', 'linux/amd64'], 'x64', '', 0],
  [['unknown/unknown', 'linux/amd64'], 'x64', '', 1],
  [['', 'linux/amd64'], 'x64', '', 1],
  [['linux/arm64', ''], 'x64', '', 1],
  [['linux/386'], 'ia32', '', 0],
])('%j on %s %s', (platforms, arch, variant, expected) => expect(chosen(platforms, arch, variant)).toBe(expected));

test('nothing fits', () => {
  expect(() => chosen(['linux/arm64/v8', 'windows/amd64', 'unknown/unknown'], 'x64')).toThrow(
    expect.objectContaining({
      code: 'ERR_IMAGE_PLATFORM',
      message: 'it is not for linux/amd64',
      details: ['it is for linux/arm64/v8', 'it is for windows/amd64'],
    }),
  );
  expect(() => checkPlatform({ os: 'linux', architecture: 's390x' }, platformOf('x64'), 'it')).toThrow(
    'it is for linux/s390x, this machine is linux/amd64',
  );
});
