/** What is written is read back as it was, also what a plain header cannot hold; GNU tar reads the same archives in netns/images/pack. */
import { describe, expect, test } from 'vitest';
import { TarWriter, type PackedEntry } from '../../../../src/stage0/pack/tar-writer.ts';
import { defaultLimits } from '../../../../src/stage0/render/limits.ts';
import type { TarEntry } from '../../../../src/stage0/render/tar-header.ts';
import { TarReader } from '../../../../src/stage0/render/tar.ts';

const plain = { mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n } as const;

function written(...members: readonly (PackedEntry & { readonly content?: string })[]): Buffer {
  const parts: Buffer[] = [];
  const tar = new TarWriter((bytes) => parts.push(Buffer.from(bytes)));
  for (const { content, ...entry } of members) {
    tar.entry({ ...entry, ...(content === undefined ? {} : { bytes: content.length }) });
    if (content !== undefined) tar.data(Buffer.from(content, 'latin1'));
  }
  tar.finish();
  expect(tar.position % 512).toBe(0);
  return Buffer.concat(parts);
}
function readBack(archive: Buffer): { entry: TarEntry; content: string }[] {
  const found: { entry: TarEntry; content: string }[] = [];
  let content = '';
  const reader = new TarReader(
    {
      entry: () => (content = ''),
      data: (chunk) => (content += chunk.toString('latin1')),
      end: (entry) => found.push({ entry, content }),
    },
    defaultLimits,
    'it',
  );
  reader.push(archive);
  reader.finish();
  return found;
}

describe('round trips', () => {
  const long = 'd/'.repeat(60) + 'f';
  test.each<[string, PackedEntry & { content?: string }]>([
    ['a file', { ...plain, name: 'a', type: 'file', content: 'x' }],
    ['an empty one', { ...plain, name: 'a', type: 'file' }],
    ['a whole block', { ...plain, name: 'a', type: 'file', content: 'x'.repeat(512) }],
    ['more than the buffer', { ...plain, name: 'a', type: 'file', content: 'x'.repeat(700_001) }],
    ['a long name', { ...plain, name: long, type: 'file', content: 'x' }],
    ['bytes that are not UTF-8', { ...plain, name: 'caf\u00e9\u00ff', type: 'file' }],
    ['a long name of bytes', { ...plain, name: `${'\u00ff'.repeat(150)}`, type: 'file' }],
    ['a directory', { ...plain, name: 'd/', type: 'directory', mode: 0o2755 }],
    ['a link', { ...plain, name: 'l', type: 'symlink', linkName: '../x' }],
    ['a long link', { ...plain, name: 'l', type: 'symlink', linkName: long }],
    ['a device', { ...plain, name: 'c', type: 'character', major: 259, minor: 1_048_575 }],
    ['a fifo', { ...plain, name: 'p', type: 'fifo', mode: 0o4777 }],
    ['large ids', { ...plain, name: 'a', type: 'file', uid: 4_000_000_000, gid: 2_097_152 }],
    ['nanoseconds', { ...plain, name: 'a', type: 'file', mtimeNs: 1_234_567_890_000_000_001n }],
    ['before 1970', { ...plain, name: 'a', type: 'file', mtimeNs: -1_500_000_000n }],
    ['just before 1970', { ...plain, name: 'a', type: 'file', mtimeNs: -1n }],
    ['attributes', { ...plain, name: 'a', type: 'file', xattrs: [['security.capability', Buffer.from('\0=\n\xff', 'latin1')]] }],
  ])('%s', (_, { content = '', ...entry }) => {
    const [back] = readBack(written({ ...entry, ...(entry.type === 'file' ? { content } : {}) }));
    const { xattrs = [], ...rest } = entry;
    expect(back?.entry).toMatchObject({ ...rest, ...(entry.type === 'file' ? { bytes: content.length } : {}) });
    expect([...(back?.entry.xattrs ?? [])]).toEqual(xattrs);
    expect(back?.content).toBe(content);
  });

  test('every length of a record that counts its own digits', () => {
    for (let length = 80; length <= 130; length++) {
      const name = 'n'.repeat(length);
      expect(readBack(written({ ...plain, name, type: 'file' }))[0]?.entry.name).toBe(name);
    }
  });
});

test('data must be as long as was said', () => {
  const tar = new TarWriter(() => undefined);
  tar.entry({ ...plain, name: 'a', type: 'file', bytes: 2 });
  expect(() => tar.entry({ ...plain, name: 'b', type: 'file' })).toThrow('2 bytes are missing before b');
  expect(() => tar.data(Buffer.from('xyz'))).toThrow('more data than was announced');
});
