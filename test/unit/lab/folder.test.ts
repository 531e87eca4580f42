/** What an experiment is read from: folders, files, patterns. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openFolder } from '../../../src/lab/folder.ts';

let root = '';
const write = (path: string, text: string | Uint8Array = 'a: 1\n'): void => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
};
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rkt-lab-'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('a folder', () => {
  test('every manifest below it, sorted; hidden and foreign folders and links to folders are passed over', () => {
    for (const path of ['b.yml', 'a/c.json', 'a/x.YAML', 'readme.md', '.git/x.yaml', '.hidden.yaml', 'node_modules/p/x.yaml', 'experiment.yaml'])
      write(path);
    symlinkSync(root, join(root, 'loop'));
    const folder = openFolder(root);
    expect(folder.files).toEqual(['a/c.json', 'a/x.YAML', 'b.yml']);
    expect(folder.experiment).toEqual({ file: 'experiment.yaml', text: 'a: 1\n' });
    expect(folder.read('a/c.json')).toEqual({ text: 'a: 1\n' });
  });

  test('patterns: within a name, across folders, outside of the folder, a whole folder', () => {
    for (const path of ['x/p/one.yaml', 'x/p/two.yaml', 'x/p/deep/three.yaml', 'y/four.yaml']) write(path);
    const { expand } = openFolder(join(root, 'x'));
    expect(expand('p/*.yaml')).toEqual(['p/one.yaml', 'p/two.yaml']);
    expect(expand('p/t?o.yaml')).toEqual(['p/two.yaml']);
    expect(expand('**/*.yaml')).toEqual(['p/deep/three.yaml', 'p/one.yaml', 'p/two.yaml']);
    expect(expand('p')).toEqual(['p/deep/three.yaml', 'p/one.yaml', 'p/two.yaml']);
    expect(expand('../y/*.yaml')).toEqual(['../y/four.yaml']);
    expect(expand('p/one.yaml')).toEqual(['p/one.yaml']);
    expect(expand('q/*.yaml')).toEqual([]);
  });

  test('one file: manifests, or an experiment by another name', () => {
    write('pods.yaml', 'kind: Pod\napiVersion: v1\n');
    write('second.yaml', 'pods: []\npolicies: [pods.yaml]\n');
    expect(openFolder(join(root, 'pods.yaml'))).toMatchObject({ name: 'pods.yaml', files: ['pods.yaml'] });
    const second = openFolder(join(root, 'second.yaml'));
    expect([second.experiment?.file, second.files, second.expand('pods.yaml')]).toEqual(['second.yaml', [], ['pods.yaml']]);
  });

  test('what cannot be read is said: nothing there, no UTF-8, too large', () => {
    expect(() => openFolder(join(root, 'gone'))).toThrow(`there is no ${join(root, 'gone')}`);
    write('binary.yaml', Uint8Array.of(0xff, 0xfe));
    write('big.yaml', 'x'.repeat((4 << 20) + 1));
    const { read } = openFolder(root);
    expect(read('binary.yaml')).toEqual({ fault: 'the file is not UTF-8 text' });
    expect(read('big.yaml')).toEqual({ fault: 'the file has 4194305 bytes, more than the 4194304 that are read' });
    expect(read('gone.yaml')).toEqual({ fault: 'there is no such file' });
    expect(read('.')).toEqual({ fault: 'there is no such file' });
  });
});
