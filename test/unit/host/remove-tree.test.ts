import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { rawName } from '../../../src/host/names.ts';
import { removeTree } from '../../../src/host/remove-tree.ts';

let box = '';
let top = '';
beforeEach(() => {
  box = mkdtempSync(join(tmpdir(), 'rkt-remove-'));
  top = join(box, 'top');
  mkdirSync(top);
});
afterEach(() => rmSync(box, { recursive: true, force: true }));
const sh = (script: string): void => void execFileSync('/bin/sh', ['-ec', script], { cwd: top });

test('nothing, a file, a link: as rm -rf', () => {
  removeTree(join(box, 'none'));
  removeTree(join(box, 'none/below'));
  writeFileSync(join(box, 'file'), '');
  removeTree(join(box, 'file'));
  symlinkSync(top, join(box, 'link'));
  writeFileSync(join(top, 'kept'), '');
  removeTree(join(box, 'link'));
  expect(readdirSync(box)).toEqual(['top']);
  expect(readdirSync(top)).toEqual(['kept']);
});
test('links are not followed, names are bytes, modes do not matter', () => {
  const outside = join(box, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'kept'), '');
  sh(`ln -s ${outside} out; mkdir -p a/b/c/d; ln -s ${outside} a/b/out; ln -s ../../.. a/b/c/up; mkfifo a/b/c/d/fifo
    mkdir "$(printf 'bad\\377')" "$(printf 'a/b/\\376')"; touch "$(printf 'bad\\377/\\375')" "$(printf 'a/b/\\376/x')"; chmod 0 a/b/c/d`);
  removeTree(rawName(top));
  expect(readdirSync(box)).toEqual(['outside']);
  expect(readdirSync(outside)).toEqual(['kept']);
});
test('names that look like its own', () => {
  sh(`mkdir -p x/.rkt-removed-0/y/z a/b/c/d .rkt-removed-1/q/r/s .rkt-removed-2; touch .rkt-removed-2/f .rkt-removed-0 .rkt-removed-3`);
  removeTree(top);
  expect(existsSync(top)).toBe(false);
});
test('many entries, and levels beyond any path', () => {
  for (let i = 0; i < 500; i++) {
    mkdirSync(join(top, `d${i}`));
    writeFileSync(join(top, `d${i}/f`), '');
  }
  const before = process.cwd();
  try {
    process.chdir(top);
    for (const [name, levels] of [
      ['n'.repeat(200), 15],
      ['a', 300],
    ] as const) {
      for (let part = 0; part < 5; part++) {
        const below = Array.from({ length: levels }, () => name).join('/');
        mkdirSync(below, { recursive: true });
        process.chdir(below);
        writeFileSync('f', '');
      }
      process.chdir(top);
    }
  } finally {
    process.chdir(before);
  }
  removeTree(top);
  expect(existsSync(top)).toBe(false);
});
