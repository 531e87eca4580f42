import { describe, expect, test } from 'vitest';
import { appcArchitecture, labelFault, ociArchitecture } from '../../../../src/model/appc/labels.ts';
import { milliOf } from '../../../../src/model/appc/quantity.ts';

describe('quantities', () => {
  test.each([
    ['500m', 500n],
    ['1', 1000n],
    ['0.3', 300n],
    ['.5', 500n],
    ['2G', 2_000_000_000_000n],
    ['1Gi', 1_073_741_824_000n],
    ['123Mi', 128_974_848_000n],
    ['125952Ki', 128_974_848_000n],
    ['1.5Ki', 1_536_000n],
    ['1e3', 1_000_000n],
    ['1E3', 1_000_000n],
    ['1E', 10n ** 21n],
    ['2E-1', 200n],
    // Rounded up: a limit of nothing would be another thing.
    ['1u', 1n],
    ['0.0001', 1n],
    ['-1', -1000n],
    ['16Ei', 16n * 1024n ** 6n * 1000n],
  ])('%s', (text, milli) => expect(milliOf(text)).toBe(milli));
  test.each(['', 'm', '1KiB', '1 G', '1Gb', 'e3', '1e', '1e99', '0x10', '1,5', '١', '9'.repeat(65)])('%j is none', (text) =>
    expect(milliOf(text)).toBeUndefined(),
  );
});

describe('labels', () => {
  const has = [
    { name: 'version', value: '1.2.0' },
    { name: 'os', value: 'linux' },
  ];
  test('what is not asked for may be anything', () => {
    expect(labelFault([], has)).toBeUndefined();
    expect(labelFault([{ name: 'os', value: 'linux' }], has)).toBeUndefined();
  });
  test("rkt's words for another value, and for none", () => {
    expect(labelFault([{ name: 'version', value: '2.0' }], has)).toBe(
      'requested value for label "version": "2.0" differs from fetched aci label value: "1.2.0"',
    );
    expect(labelFault([{ name: 'x', value: '' }], has)).toBe('requested label "x" not provided by the image manifest');
  });
  test.each([
    ['amd64', 'amd64', ''],
    ['i386', '386', ''],
    ['aarch64', 'arm64', ''],
    ['armv7l', 'arm', 'v7'],
    ['armv6l', 'arm', 'v6'],
    ['ppc64le', 'ppc64le', ''],
  ])('%s is %s', (appc, oci, variant) => {
    expect(ociArchitecture(appc)).toBe(oci);
    expect(appcArchitecture(oci, variant)).toBe(appc);
  });
});
