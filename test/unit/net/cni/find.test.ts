import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { versionsOf } from '../../../../src/net/cni/find.ts';
import { keepVersions, keptVersions } from '../../../../src/state/network/versions.ts';
import { RuntimeError } from '../../../../src/model/errors.ts';

const dir = mkdtempSync(join(tmpdir(), 'rkt-versions-'));
afterAll(() => rmSync(dir, { recursive: true }));
let made = 0;
function plugin(script: string, name = `p${made++}`): string {
  const path = join(dir, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}
const code = (path: string): string => {
  try {
    versionsOf(path);
    return 'none';
  } catch (error) {
    return error instanceof RuntimeError ? error.code : String(error);
  }
};

test('a reference plugin', () => expect(versionsOf('/usr/lib/cni/bridge')).toEqual(['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0']));
test('V9: one from before there was VERSION', () =>
  expect(versionsOf(plugin(`echo '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}'; exit 1`))).toEqual(['0.1.0']));
test('V6: it is told what we speak', () =>
  expect(versionsOf(plugin(`read in; [ "$in" = '{"cniVersion":"1.1.0"}' ] && echo '{"cniVersion":"1.1.0","supportedVersions":["1.1.0"]}'`))).toEqual([
    '1.1.0',
  ]));
test('asked once for each file, again when the file is another one', () => {
  const count = join(dir, 'count');
  const answers = (version: string): string => `echo x >> ${count}; echo '{"cniVersion":"1.0.0","supportedVersions":["${version}"]}'`;
  const path = plugin(answers('1.0.0'), 'twice');
  expect([versionsOf(path), versionsOf(path)]).toEqual([['1.0.0'], ['1.0.0']]);
  rmSync(path);
  plugin(answers('0.4.0 '), 'twice');
  expect(versionsOf(path)).toEqual(['0.4.0 ']);
  expect(readFileSync(count, 'utf8')).toBe('x\nx\n');
});
test('kept from one command to the next, for exactly this file; damage and lack of permission only cost time', () => {
  const count = join(dir, 'kept');
  const path = plugin(`echo x >> ${count}; echo '{"cniVersion":"1.0.0","supportedVersions":["1.0.0"]}'`, 'kept-one');
  const file = (): string => `${statSync(path, { bigint: true }).ino}`;
  const commands = (): number => readFileSync(count, 'utf8').length / 2;
  const gone = join(dir, 'gone');
  keepVersions(dir, gone, 'f', ['0.4.0']);
  expect(keptVersions(dir, gone, 'f')).toEqual(['0.4.0']);
  keepVersions(dir, path, file(), versionsOf(path));
  expect([keptVersions(dir, path, file()), keptVersions(dir, path, 'another'), keptVersions(dir, gone, 'f')]).toEqual([
    ['1.0.0'],
    undefined,
    undefined,
  ]);
  expect(commands()).toBe(1);
  const other = plugin('exit 1', 'kept-two');
  const cache = { get: (executable: string) => (executable === other ? ['1.1.0'] : undefined), set: () => undefined };
  expect(versionsOf(other, cache)).toEqual(['1.1.0']);
  for (const damage of ['{', '[]', '{"x":1}', '{"x":{"file":"f","versions":[1]}}']) {
    writeFileSync(join(dir, 'plugin-versions.json'), damage);
    expect(keptVersions(dir, 'x', 'f')).toBeUndefined();
  }
  expect(() => keepVersions(join(dir, 'no/such'), 'x', 'f', [])).not.toThrow();
});
test.each([
  ['ERR_PLUGIN_FAILED', `echo '{"code":7,"msg":"no"}'; exit 1`],
  ['ERR_PLUGIN_FAILED', 'echo oops >&2; exit 1'],
  ['ERR_PLUGIN_FAILED', 'kill -9 $$'],
  ['ERR_PLUGIN_OUTPUT', 'echo hello'],
  ['ERR_PLUGIN_OUTPUT', `echo '{"cniVersion":"1.0.0"}'`],
  ['ERR_PLUGIN_OUTPUT', 'true'],
])('%s: %s', (expected, script) => expect(code(plugin(script))).toBe(expected));
test('one that is not there', () => expect(code(join(dir, 'nothing'))).toBe('ERR_PLUGIN_NOT_FOUND'));
test('one that cannot be run', () => {
  const path = join(dir, 'plain');
  writeFileSync(path, 'x');
  expect(code(path)).toBe('ERR_PLUGIN_FAILED');
});
