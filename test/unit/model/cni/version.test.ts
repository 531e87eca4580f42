import { expect, test } from 'vitest';
import { atLeast, compareVersions, parseVersion, versionsOfReply } from '../../../../src/model/cni/version.ts';

test.each([
  ['', [0, 1, 0]],
  ['1', [1, 0, 0]],
  ['0.4', [0, 4, 0]],
  ['1.1.0', [1, 1, 0]],
  ['10.20.30', [10, 20, 30]],
])('V13: %j is a version', (text, numbers) => expect(parseVersion(text)).toEqual(numbers));
test.each(['asdf', '.x', '0.', '..', '.', '1.2.3.4', '1.2.3.4.5', '1.0.0-rc1', ' 1.0.0', '-1.0.0', '1e3'])('V13: %j is none', (text) =>
  expect(parseVersion(text)).toBeUndefined(),
);

test('versions compare by number', () => {
  expect(compareVersions('0.10.0', '0.9.0')).toBeGreaterThan(0);
  expect(compareVersions('1.0', '1.0.0')).toBe(0);
  expect(compareVersions('', '0.1.0')).toBe(0);
  expect(compareVersions('nonsense', '0.1.0')).toBeLessThan(0);
  expect(atLeast('0.4.0', '0.4.0')).toBe(true);
  expect(atLeast('0.3.1', '0.4.0')).toBe(false);
});

test.each([
  [{ cniVersion: '1.0.0', supportedVersions: ['0.4.0', '1.0.0'] }, ['0.4.0', '1.0.0']],
  [{ CNIVersion: '1.0.0', SUPPORTEDVERSIONS: ['9.9.9'] }, ['9.9.9']],
  [{ cniVersion: '0.2.0' }, ['0.1.0', '0.2.0']],
])('V10: %j', (reply, versions) => expect(versionsOfReply(reply)).toEqual(versions));
test.each([
  {},
  null,
  [],
  { cniVersion: '1.0.0' },
  { supportedVersions: ['1.0.0'] },
  { cniVersion: '1.0.0', supportedVersions: [1] },
  { cniVersion: '1.0.0', supportedVersions: [] },
])('V10: %j is an error', (reply) => expect(() => versionsOfReply(reply)).toThrow(/VERSION/));
