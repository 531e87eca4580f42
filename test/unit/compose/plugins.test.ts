import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { builtinTypes } from '../../../src/compose/plugin-types.ts';
import { builtinPlugins } from '../../../src/compose/plugins.ts';

test('planning knows the plugins that there are, in process and as executables', () => {
  const folders = readdirSync(resolve(import.meta.dirname, '../../../cni-plugins')).filter((name) => name !== 'skel');
  expect([...builtinPlugins.keys()].sort()).toEqual(folders.sort());
  expect([...builtinTypes].sort()).toEqual(folders);
});
