import type * as fs from 'node:fs';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { makeDirectory } from '../../../src/host/files.ts';

/** Called after each failed mkdir, before its caller learns of it: what another process does in between. */
let meanwhile: ((path: string) => void) | undefined;
vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  return {
    ...real,
    mkdirSync: (path: string, options: fs.MakeDirectoryOptions) => {
      try {
        return real.mkdirSync(path, options);
      } catch (error) {
        meanwhile?.(path);
        throw error;
      }
    },
  };
});

const dir = mkdtempSync('/tmp/rkt-files-');
afterAll(() => rmSync(dir, { recursive: true }));

test('another makes the same directories at the same time: neither fails', async () => {
  const { mkdirSync } = await vi.importActual<typeof fs>('node:fs');
  meanwhile = (path) => mkdirSync(dirname(path), { recursive: true });
  makeDirectory(join(dir, 'a/b/c/d'));
  meanwhile = (path) => mkdirSync(path, { recursive: true });
  makeDirectory(join(dir, 'A/B/C/D'));
  meanwhile = undefined;
  expect([existsSync(join(dir, 'a/b/c/d')), existsSync(join(dir, 'A/B/C/D'))]).toEqual([true, true]);
});

test('where nothing can be made, it says so', () => {
  expect(() => makeDirectory('/proc/none/of/this')).toThrow(/ENOENT/);
  symlinkSync('/nowhere/at/all', join(dir, 'dangling'));
  expect(() => makeDirectory(join(dir, 'dangling/below'))).toThrow(/ENOENT/);
});
