import { expect, test } from 'vitest';
import { splitLayerPath, whiteoutOf } from '../../../../src/stage0/render/layer-path.ts';
import { defaultLimits } from '../../../../src/stage0/render/limits.ts';

const split = (name: string) => splitLayerPath(name, defaultLimits, 'it');

test.each([
  ['a', '', 'a'],
  ['./a/b/', 'a', 'b'],
  ['/etc/passwd', 'etc', 'passwd'],
  ['//a//./b', 'a', 'b'],
  ['.', '', ''],
  ['./', '', ''],
  ['/', '', ''],
  ['a/..b', 'a', '..b'],
  ['...', '', '...'],
])('%j', (name, parent, leaf) => expect(split(name)).toEqual({ parent, leaf }));

test.each([
  ['..', 'ERR_LAYER_ESCAPE'],
  ['../x', 'ERR_LAYER_ESCAPE'],
  ['/../x', 'ERR_LAYER_ESCAPE'],
  ['a/../b', 'ERR_LAYER_ESCAPE'],
  ['a/..', 'ERR_LAYER_ESCAPE'],
  ['a/../../b', 'ERR_LAYER_ESCAPE'],
  ['', 'ERR_LAYER_CORRUPT'],
  ['a\0b', 'ERR_LAYER_CORRUPT'],
  ['x'.repeat(256), 'ERR_LAYER_LIMIT'],
  ['a/'.repeat(2048), 'ERR_LAYER_LIMIT'],
])('%j is refused', (name, code) => expect(() => split(name)).toThrow(expect.objectContaining({ code })));

test('whiteouts', () => {
  expect(whiteoutOf('wh.a', 'it')).toBeUndefined();
  expect(whiteoutOf('.wh.a', 'it')).toEqual({ kind: 'hide', name: 'a' });
  expect(whiteoutOf('.wh..bashrc', 'it')).toEqual({ kind: 'hide', name: '.bashrc' });
  expect(whiteoutOf('.wh..wh..opq', 'it')).toEqual({ kind: 'opaque' });
  expect(whiteoutOf('.wh..wh.plnk', 'it')).toEqual({ kind: 'ignored' });
  expect(() => whiteoutOf('.wh.', 'it')).toThrow(expect.objectContaining({ code: 'ERR_LAYER_CORRUPT' }));
  for (const leaf of ['.wh..', '.wh...']) expect(() => whiteoutOf(leaf, 'it')).toThrow(expect.objectContaining({ code: 'ERR_LAYER_ESCAPE' }));
});
