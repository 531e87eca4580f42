import { expect, test } from 'vitest';
import type * as errors from '../../../src/model/errors.ts';
import { RuntimeError, isRuntimeError } from '../../../src/model/errors.ts';

test('an error of another bundle counts, one of another kind does not', async () => {
  // A module of another address is another copy, as another bundle has one.
  const address = '../../../src/model/errors.ts?copy';
  const copy = (await import(address)) as typeof errors;
  const error = new copy.RuntimeError('ERR_POD_STATE', 'x');
  expect(copy.RuntimeError).not.toBe(RuntimeError);
  expect([error instanceof RuntimeError, isRuntimeError(error)]).toEqual([true, true]);
  expect(new Error('x') instanceof RuntimeError).toBe(false);
  expect(Object.assign(new Error('x'), { code: 'ENOENT' }) instanceof RuntimeError).toBe(false);
  class Special extends RuntimeError {}
  expect([error instanceof Special, new Special('ERR_POD_STATE', 'x') instanceof Special]).toEqual([false, true]);
});
