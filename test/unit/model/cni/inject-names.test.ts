import { expect, test } from 'vitest';
import { injectNames } from '../../../../src/model/cni/inject.ts';

test.each([
  ['nothing there', '{"type":"x"}', '{"type":"x","args":{"cni":{"names":["a","b"]}}}'],
  ['an empty object', '{}', '{"args":{"cni":{"names":["a","b"]}}}'],
  [
    'other arguments stay, byte for byte',
    '{"args":{"o":12345678901234567890,"cni":{"l":[ 1 ]}},"type":"x"}',
    '{"type":"x","args":{"o":12345678901234567890,"cni":{"l":[ 1 ],"names":["a","b"]}}}',
  ],
  ['names of the configuration are replaced', '{"args":{"cni":{"names":["old"]}}}', '{"args":{"cni":{"names":["a","b"]}}}'],
  ['what is no object is replaced', '{"args":7}', '{"args":{"cni":{"names":["a","b"]}}}'],
])('%s', (_, text, expected) => {
  expect(injectNames(text, ['a', 'b'])).toBe(expected);
});
