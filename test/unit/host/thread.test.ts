import { expect, test } from 'vitest';
import { Errno } from '../../../src/host/linux.ts';
import { receivedError, sentError } from '../../../src/host/thread.ts';
import { RuntimeError, isErrno, isRuntimeError } from '../../../src/model/errors.ts';

const across = (error: unknown): Error => receivedError(structuredClone(sentError(error)));

test('an error of ours is the same on the other side', () => {
  const cause = new Errno('write', 28, 'a file');
  const error = new RuntimeError('ERR_STORE_IO', 'cannot write', { hint: 'make room', details: ['one', 'two'], exitCode: 7, cause });
  const got = across(error);
  expect(isRuntimeError(got)).toBe(true);
  expect(got).toMatchObject({ code: 'ERR_STORE_IO', message: 'cannot write', hint: 'make room', details: ['one', 'two'], exitCode: 7 });
  expect(isErrno(got.cause, 'ENOSPC')).toBe(true);
  expect((got.cause as Error).message).toBe(cause.message);
});
test('so is one of a system call, and a value that is no error', () => {
  expect(across(new Errno('openat2', 13, 'x'))).toMatchObject({ code: 'EACCES', errno: 13 });
  expect('errno' in across(new TypeError('a bug'))).toBe(false);
  expect(across(new TypeError('a bug')).stack).toContain('TypeError');
  expect(across('text').message).toBe('text');
});
