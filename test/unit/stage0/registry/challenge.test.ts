import { expect, test } from 'vitest';
import { parseChallenges } from '../../../../src/stage0/registry/challenge.ts';
import { reasonIn } from '../../../../src/stage0/registry/reasons.ts';

test.each([
  ['Basic realm="a"', [{ scheme: 'basic', parameters: { realm: 'a' } }]],
  [
    'Bearer realm="https://t/token",service="r",scope="repository:a/b:pull,push"',
    [{ scheme: 'bearer', parameters: { realm: 'https://t/token', service: 'r', scope: 'repository:a/b:pull,push' } }],
  ],
  ['Bearer REALM=x , service = "a \\"b\\" \\\\"', [{ scheme: 'bearer', parameters: { realm: 'x', service: 'a "b" \\' } }]],
  [
    'Negotiate, Basic realm="one", Bearer realm="two"',
    [
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'basic', parameters: { realm: 'one' } },
      { scheme: 'bearer', parameters: { realm: 'two' } },
    ],
  ],
  ['Bearer realm="first", realm="second"', [{ scheme: 'bearer', parameters: { realm: 'first' } }]],
  ['', []],
  ['"', []],
  ['Bearer realm="never closed', [{ scheme: 'bearer', parameters: {} }]],
])('%s', (header, expected) => expect(parseChallenges(header)).toEqual(expected));

test('a header of a megabyte is read in no time', () => {
  const started = performance.now();
  parseChallenges(`Bearer ${'a="\\\\",'.repeat(150_000)}`);
  expect(performance.now() - started).toBeLessThan(2_000);
});

test.each([
  ['{"errors":[{"code":"DENIED","message":"requested access is denied"}]}', ': DENIED, requested access is denied'],
  ['{"details":"incorrect username or password"}', ': incorrect username or password'],
  ['{"error_description":"expired"}', ': expired'],
  ['{"errors":[]}', ''],
  ['{"errors":{}}', ''],
  ['<html>', ''],
  ['', ''],
  [JSON.stringify({ details: `\u001b[2J${'x'.repeat(500)}` }), `: \\x1b[2J${'x'.repeat(193)}…`],
])('%s', (body, expected) => expect(reasonIn(Buffer.from(body))).toBe(expected));
