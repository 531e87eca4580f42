import { expect, test } from 'vitest';
import { delayMs, isPassingStatus, retryAfterMs } from '../../../../src/stage0/http/retry.ts';

test.each([
  ['2', 2000],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:01:00 GMT', 50_000],
  ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
  ['soon', undefined],
  ['-1', 0],
  [undefined, undefined],
])('Retry-After %j, ten seconds after the epoch', (header, expected) => expect(retryAfterMs(header, 10_000)).toBe(expected));

test('waits double, jitter, and stay below the longest', () => {
  const policy = { attempts: 5, firstDelayMs: 100, maxDelayMs: 1000 };
  expect([1, 2, 3].map((attempt) => delayMs(policy, attempt, 0))).toEqual([50, 100, 200]);
  expect(delayMs(policy, 1, 0.999)).toBeCloseTo(99.95);
  expect(delayMs(policy, 30, 0.999)).toBeLessThan(1000);
});

test('what passes and what does not', () => {
  expect([408, 429, 500, 502, 503, 504].every(isPassingStatus)).toBe(true);
  expect([200, 400, 401, 403, 404, 501].some(isPassingStatus)).toBe(false);
});
