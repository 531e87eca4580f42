import { describe, expect, test } from 'vitest';
import { canonicalImageName, imageIdPrefix } from '../../../src/model/image-name.ts';

describe('image names', () => {
  test.each([
    ['web', 'web:latest'],
    ['web:1.0', 'web:1.0'],
    ['docker.io/library/web', 'web:latest'],
    ['index.docker.io/library/web:2', 'web:2'],
    ['docker.io/ann/web', 'ann/web:latest'],
    ['localhost:5000/a/b_c/d-e.f:V1', 'localhost:5000/a/b_c/d-e.f:V1'],
    ['localhost:5000/web', 'localhost:5000/web:latest'],
    ['quay.io/x/y__z', 'quay.io/x/y__z:latest'],
    ['Registry.Example/web', 'Registry.Example/web:latest'],
    ['oci', 'oci:latest'],
  ])('%s is %s', (text, expected) => expect(canonicalImageName(text)).toBe(expected));

  test.each([
    '',
    'Web',
    './web',
    '/web',
    '../web',
    'web:',
    'web/',
    'a//b',
    'web:-x',
    `web:${'t'.repeat(129)}`,
    'a'.repeat(201),
    'we b',
    'web\n',
    'oci:web',
    'docker-archive:web.tar',
    'sha256:abc',
    '-web',
    'web-',
    'a..b',
    'a/../b',
    '.web',
    'web@sha256:00',
  ])('%j is not one', (text) => expect(canonicalImageName(text)).toBeUndefined());

  test('a long hostile name is decided at once', () => {
    const start = performance.now();
    canonicalImageName(`${'a-'.repeat(99)}!`);
    canonicalImageName(`${'a.'.repeat(99)}_`);
    expect(performance.now() - start).toBeLessThan(100);
  });
});

test('image ids and their first digits', () => {
  const hex = 'ab'.repeat(32);
  expect(imageIdPrefix(`sha256:${hex}`)).toEqual({ algorithm: 'sha256', hex, id: `sha256:${hex}` });
  expect(imageIdPrefix(`sha256-${hex.toUpperCase()}`)).toEqual({ algorithm: 'sha256', hex, id: `sha256:${hex}` });
  expect(imageIdPrefix(`quay.io/web@sha256:${hex}`)).toEqual({ algorithm: 'sha256', hex, id: `sha256:${hex}` });
  expect(imageIdPrefix('sha256-ab')).toEqual({ algorithm: 'sha256', hex: 'ab', id: undefined });
  const long = 'cd'.repeat(64);
  expect(imageIdPrefix(`sha512-${long}`)).toEqual({ algorithm: 'sha512', hex: long, id: `sha512:${long}` });
  expect(imageIdPrefix(`sha512:${hex}`)).toEqual({ algorithm: 'sha512', hex, id: undefined });
  expect(imageIdPrefix(`sha512-${long}0`)).toBeUndefined();
  expect(canonicalImageName(`sha512:${long}`)).toBeUndefined();
  expect(imageIdPrefix('sha256-xy')).toBeUndefined();
  expect(imageIdPrefix(`sha256-${hex}0`)).toBeUndefined();
  expect(imageIdPrefix('sha256')).toBeUndefined();
});
