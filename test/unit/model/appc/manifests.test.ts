/** Every fixture says which faults its manifest has: `{ faults, manifest }`, empty for a valid one. Each field of both schemas is in some of them. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RuntimeError } from '../../../../src/model/errors.ts';
import { checkImageManifest } from '../../../../src/model/appc/image.ts';
import { checkPodManifest } from '../../../../src/model/appc/pod.ts';

interface Fixture {
  readonly faults: readonly string[];
  readonly manifest: unknown;
}
const kinds = { image: checkImageManifest, pod: checkPodManifest } as const;
const directory = join(import.meta.dirname, '../../../fixtures/appc');
const fixtures = (Object.keys(kinds) as (keyof typeof kinds)[]).flatMap((kind) =>
  readdirSync(join(directory, kind))
    .sort()
    .map((file) => [kind, file.replace('.json', ''), JSON.parse(readFileSync(join(directory, kind, file), 'utf8')) as Fixture] as const),
);

function faultsOf(kind: keyof typeof kinds, manifest: unknown): readonly string[] {
  try {
    kinds[kind](new TextEncoder().encode(JSON.stringify(manifest)), 'it');
    return [];
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    expect(error.code).toBe(kind === 'image' ? 'ERR_IMAGE_INVALID' : 'ERR_POD_MANIFEST');
    return error.details.length > 0 ? error.details : [error.message.replace(/^it: /, '')];
  }
}

test.each(fixtures)('%s %s', (kind, _, { faults, manifest }) => expect(faultsOf(kind, manifest)).toEqual(faults));

test('there are enough of both', () => {
  const valid = fixtures.filter(([, , { faults }]) => faults.length === 0).length;
  expect(fixtures.length).toBeGreaterThanOrEqual(60);
  expect(valid).toBeGreaterThanOrEqual(20);
});

test('what is not JSON, not UTF-8, or nested without end', () => {
  const check = (bytes: Uint8Array) => () => checkImageManifest(bytes, 'it');
  expect(check(new TextEncoder().encode('{"acKind":'))).toThrow('it is not JSON');
  expect(check(Uint8Array.of(0x22, 0xff, 0x22))).toThrow('it is not JSON');
  expect(check(new TextEncoder().encode(`{"acKind":${'['.repeat(200_000)}${']'.repeat(200_000)}}`))).toThrow('nested deeper than 500 levels');
});
