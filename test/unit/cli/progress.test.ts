import { describe, expect, test } from 'vitest';
import { pullPolicyOf } from '../../../src/cli/pull-flags.ts';
import { progressLines, sizeText, summaryLine, timeText } from '../../../src/cli/render/progress.ts';
import type { ProgressOf } from '../../../src/model/options.ts';

const MiB = 1024 ** 2;
const items: ProgressOf[] = [
  { what: 'layer 0123456789ab', doneBytes: 0, totalBytes: 3 * MiB, isDownload: true, state: 'present' },
  { what: 'layer 123456789abc', doneBytes: 10 * MiB, totalBytes: 10 * MiB, isDownload: true, state: 'done' },
  { what: 'layer 23456789abcd', doneBytes: 5 * MiB, totalBytes: 20 * MiB, isDownload: true },
  { what: 'layer 3456789abcde', doneBytes: 0, totalBytes: 10 * MiB, isDownload: true },
];

describe('on a terminal', () => {
  test('a line a layer, and one of the whole with speed and time left', () => {
    expect(progressLines(items, 3_000, { columns: 100, rows: 24 })).toEqual([
      'layer 0123456789ab  already here',
      'layer 123456789abc  done  10.0 MiB',
      'layer 23456789abcd  [#####...............]  25%  5.0 MiB of 20.0 MiB',
      'layer 3456789abcde  waiting',
      'total               [########............]  37%  15.0 MiB of 40.0 MiB, 5.0 MiB/s, 5.0 s left',
    ]);
  });
  test('a narrow one has no bars, and no line is longer than it is wide', () => {
    const lines = progressLines(items, 3_000, { columns: 50, rows: 24 });
    expect(lines[2]).toBe('layer 23456789abcd  5.0 MiB of 20.0 MiB');
    for (const columns of [1, 10, 20, 50, 79, 80, 81])
      for (const line of progressLines(items, 3_000, { columns, rows: 24 })) expect(line.length).toBeLessThan(Math.max(2, columns));
  });
  test('a low one shows what moves', () => {
    expect(progressLines(items, 3_000, { columns: 40, rows: 5 })).toEqual([
      'layer 23456789abcd  5.0 MiB of 20.0 MiB',
      'layer 3456789abcde  waiting',
      '… and 2 more',
      expect.stringContaining('total'),
    ]);
  });
  test('one piece of work alone has no total', () => {
    expect(progressLines([{ what: 'image 1/1', doneBytes: 1, totalBytes: 4 }], 1, { columns: 80, rows: 24 })).toEqual([
      'image 1/1  [#####...............]  25%  1 B of 4 B',
    ]);
  });
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1024 ** 5, '1024.0 TiB'],
])('%d bytes: %s', (bytes, text) => expect(sizeText(bytes)).toBe(text));
test.each([
  [0, '0.0 s'],
  [9_960, '10 s'],
  [59_000, '59 s'],
  [125_000, '2 min 05 s'],
  [3_720_000, '1 h 02 min'],
])('%d ms: %s', (ms, text) => expect(timeText(ms)).toBe(text));

test('the summary', () => {
  const one = { fetched: 'reg/web:1', layers: 5, reused: 2, downloadedBytes: 10 * MiB, elapsedMs: 2_000 };
  expect(summaryLine(one)).toBe('reg/web:1: 5 layers, 2 already here; 10.0 MiB in 2.0 s, 5.0 MiB/s');
  expect(summaryLine({ ...one, layers: 1, reused: 0 })).toBe('reg/web:1: 1 layer, all new; 10.0 MiB in 2.0 s, 5.0 MiB/s');
  expect(summaryLine({ ...one, reused: 5 })).toBe('reg/web:1: nothing new, 5 layers already here');
});

describe('--pull-policy and its old names', () => {
  const flags = { 'pull-policy': undefined, 'store-only': false, 'no-store': false };
  test.each([
    [flags, 'new'],
    [{ ...flags, 'store-only': true }, 'never'],
    [{ ...flags, 'no-store': true }, 'update'],
    [{ ...flags, 'pull-policy': 'never', 'store-only': true }, 'never'],
  ])('%j: %s', (given, expected) => expect(pullPolicyOf(given, 'new')).toBe(expected));
  test('that contradict', () => {
    expect(() => pullPolicyOf({ ...flags, 'store-only': true, 'no-store': true }, 'new')).toThrow(
      '--store-only and --no-store contradict each other',
    );
    expect(() => pullPolicyOf({ ...flags, 'pull-policy': 'new', 'no-store': true }, 'new')).toThrow('--no-store and --pull-policy=new contradict');
  });
});
