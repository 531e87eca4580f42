import { describe, expect, test } from 'vitest';
import { sealTarHeader, tarArchive, tarHeader, tarMember, type TarMember } from '../../../../src/build/tar-writer.ts';
import { defaultLimits, type ImageLimits } from '../../../../src/stage0/render/limits.ts';
import type { TarEntry } from '../../../../src/stage0/render/tar-header.ts';
import { TarReader } from '../../../../src/stage0/render/tar.ts';

type Seen = Partial<TarEntry> & { content: string };

/** Reads `archive` in pieces of `step` bytes; holes come out as dots. */
function read(archive: Buffer, step = archive.length, limits: Partial<ImageLimits> = {}): Seen[] {
  const seen: Seen[] = [];
  let content: Buffer = Buffer.alloc(0);
  const reader = new TarReader(
    {
      entry: (entry) => (content = Buffer.alloc(entry.bytes, '.')),
      data: (chunk, position) => void chunk.copy(content, position),
      end: ({ name, type, linkName, mode, uid, gid, mtimeNs, major, minor, xattrs, bytes }) =>
        void seen.push({ name, type, linkName, mode, uid, gid, mtimeNs, major, minor, xattrs, bytes, content: content.toString('latin1') }),
    },
    { ...defaultLimits, ...limits },
    'it',
  );
  for (let at = 0; at < archive.length; at += step) reader.push(archive.subarray(at, at + step));
  reader.finish();
  expect(reader.position).toBe(archive.length);
  return seen;
}
const record = (key: string, value: string): string => {
  let length = 0;
  while (length !== `${length} ${key}=${value}\n`.length) length = `${length} ${key}=${value}\n`.length;
  return `${length} ${key}=${value}\n`;
};
/** An extended header in front of a member. */
const pax = (records: readonly (readonly [string, string])[], type = 'x'): TarMember => ({
  name: 'PaxHeaders/x',
  type,
  data: Buffer.from(records.map(([key, value]) => record(key, value)).join(''), 'latin1'),
});
const patched = (member: TarMember, change: (header: Buffer) => void): Buffer => {
  const bytes = tarMember(member);
  const header = bytes.subarray(0, 512);
  change(header);
  sealTarHeader(header);
  return bytes;
};
const failure = (archive: Buffer, limits: Partial<ImageLimits> = {}): { code: string; message: string } => {
  try {
    read(archive, 1000, limits);
  } catch (error) {
    return error as { code: string; message: string };
  }
  return expect.fail('it was read');
};

describe('members', () => {
  const archive = tarArchive([
    { name: 'dir/', type: '5', mode: 0o1777, mtime: 5 },
    { name: 'dir/file', data: 'hello', mode: 0o4755, uid: 1000, gid: 2000, mtime: 1_700_000_000 },
    { name: 'dir/hard', type: '1', linkName: 'dir/file', size: 5 },
    { name: 'sym', type: '2', linkName: '../x' },
    { name: 'null', type: '3', major: 1, minor: 3 },
    { name: 'disk', type: '4', major: 259, minor: 0o7654321 },
    { name: 'pipe', type: '6' },
    { name: 'old/', type: '\0' },
    { name: 'large', data: 'x'.repeat(1025) },
    { name: 'empty' },
  ]);
  test.each([archive.length, 512, 511, 513, 1, 1024])('pieces of %i bytes', (step) => {
    expect(
      read(archive, step).map(({ name, type, content, linkName, mode, uid, gid, mtimeNs, major, minor }) => [
        name,
        type,
        content.length,
        linkName,
        mode,
        uid,
        gid,
        mtimeNs,
        major,
        minor,
      ]),
    ).toEqual([
      ['dir/', 'directory', 0, '', 0o1777, 0, 0, 5_000_000_000n, 0, 0],
      ['dir/file', 'file', 5, '', 0o4755, 1000, 2000, 1_700_000_000_000_000_000n, 0, 0],
      ['dir/hard', 'hardlink', 0, 'dir/file', 0o644, 0, 0, 0n, 0, 0],
      ['sym', 'symlink', 0, '../x', 0o644, 0, 0, 0n, 0, 0],
      ['null', 'character', 0, '', 0o644, 0, 0, 0n, 1, 3],
      ['disk', 'block', 0, '', 0o644, 0, 0, 0n, 259, 0o7654321],
      ['pipe', 'fifo', 0, '', 0o644, 0, 0, 0n, 0, 0],
      ['old/', 'directory', 0, '', 0o644, 0, 0, 0n, 0, 0],
      ['large', 'file', 1025, '', 0o644, 0, 0, 0n, 0, 0],
      ['empty', 'file', 0, '', 0o644, 0, 0, 0n, 0, 0],
    ]);
  });
  test('without the zero blocks, and with garbage after them', () => {
    expect(read(tarMember({ name: 'a', data: 'b' }))).toHaveLength(1);
    expect(read(Buffer.concat([archive, Buffer.alloc(9000, 'x')]))).toHaveLength(10);
    expect(read(Buffer.alloc(0))).toEqual([]);
    expect(read(Buffer.alloc(10_240))).toEqual([]);
  });
  test('a prefix, only where the magic promises one', () => {
    const prefixed = (magic: string, tail = '') =>
      patched({ name: 'leaf' }, (header) => {
        header.write(magic, 257, 'latin1');
        header.write('some/dir', 345);
        header.write('99999', 345 + 131);
        header.write(tail, 508, 'latin1');
      });
    expect(read(prefixed('ustar\u000000'))[0]?.name).toBe('some/dir/leaf');
    expect(read(prefixed('ustar\u000000', 'tar\0'))[0]?.name).toBe('some/dir/leaf');
    expect(read(prefixed('ustar  \0'))[0]?.name).toBe('leaf');
  });
  test('base-256 and signed checksums', () => {
    const [entry] = read(
      patched({ name: 'a' }, (header) => {
        Buffer.from('80000000ffffff00', 'hex').copy(header, 108);
        Buffer.from('ffffffffffffffffffffff00', 'hex').copy(header, 136);
      }),
    );
    expect(entry).toMatchObject({ uid: 0xffffff00, mtimeNs: -256_000_000_000n });
    const signed = tarHeader({ name: '\u00e9t\u00e9' });
    let sum = 8 * 0x20;
    for (let i = 0; i < 512; i++) if (i < 148 || i > 155) sum += signed.readInt8(i);
    signed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    expect(read(signed)[0]?.name).toBe('\u00e9t\u00e9');
  });
});

describe('extended headers', () => {
  test('pax: path, link, ids, nanoseconds, attributes; and only for the next member', () => {
    const [one, two] = read(
      Buffer.concat(
        [
          pax([
            ['path', 'long/'.repeat(60)],
            ['linkpath', '\u00c3\u00a9'],
            ['uid', '3000000000'],
            ['gid', '7'],
            ['mtime', '1.000000001'],
            ['SCHILY.xattr.user.a=b', 'v\0w'],
            ['comment', 'x'],
          ]),
          { name: 'x', type: '2', linkName: 'y' },
          { name: 'b' },
        ].map(tarMember),
      ),
      100,
    );
    // A key ends at its first "=": attributes with one in their name cannot be told from their value.
    expect(one).toMatchObject({ name: 'long/'.repeat(60), linkName: '\u00c3\u00a9', uid: 3_000_000_000, gid: 7, mtimeNs: 1_000_000_001n });
    expect([...(one?.xattrs ?? [])].map(([key, value]) => [key, value.toString('latin1')])).toEqual([['user.a', 'b=v\0w']]);
    expect(two).toMatchObject({ name: 'b', uid: 0, xattrs: new Map() });
  });
  test('a size larger than its header field holds', () => {
    expect(
      read(Buffer.concat([tarMember(pax([['size', '3']])), patched({ name: 'a', data: 'abc' }, (header) => header.fill(0, 124, 136))]))[0]?.content,
    ).toBe('abc');
  });
  test('negative and short times', () => {
    const time = (text: string) => read(tarArchive([pax([['mtime', text]]), { name: 'a' }]))[0]?.mtimeNs;
    expect(time('-1.5')).toBe(-1_500_000_000n);
    expect(time('2.')).toBe(2_000_000_000n);
    expect(time('2.1234567899')).toBe(2_123_456_789n);
  });
  test('global records, and a local one that takes them back', () => {
    const members = read(
      tarArchive([
        pax(
          [
            ['uid', '9'],
            ['mtime', '4'],
          ],
          'g',
        ),
        { name: 'a', mtime: 1 },
        pax([['mtime', '']]),
        { name: 'b', mtime: 1 },
        { name: 'c' },
      ]),
    );
    expect(members.map(({ uid, mtimeNs }) => [uid, mtimeNs])).toEqual([
      [9, 4_000_000_000n],
      [9, 1_000_000_000n],
      [9, 4_000_000_000n],
    ]);
  });
  test('GNU long names', () => {
    const long = 'n'.repeat(300);
    const [entry] = read(
      tarArchive([
        { name: '././@LongLink', type: 'K', data: `${long}2\0` },
        { name: '././@LongLink', type: 'L', data: `${long}1\0` },
        { name: 'x', type: '2' },
      ]),
    );
    expect(entry).toMatchObject({ name: `${long}1`, linkName: `${long}2` });
  });
  test('a volume label is passed over', () =>
    expect(read(tarArchive([{ name: 'label', type: 'V' }, { name: 'a' }])).map(({ name }) => name)).toEqual(['a']));
});

describe('sparse files', () => {
  /** Says that the next member is in format 1.0. */
  const pax1 = (bytes: number): TarMember =>
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.realsize', String(bytes)],
    ]);
  const dots = (count: number): string => '.'.repeat(count);
  test('old GNU, with an extension block', () => {
    const pieces = Array.from({ length: 6 }, (_, i) => ({ offset: 10 * i + 5, bytes: 2 }));
    const put = (block: Buffer, at: number, value: number): void => void block.write(value.toString(8).padStart(11, '0'), at);
    const bytes = patched({ name: 's', type: 'S', size: 12 }, (header) => {
      pieces.slice(0, 4).forEach(({ offset, bytes: length }, i) => [put(header, 386 + 24 * i, offset), put(header, 398 + 24 * i, length)]);
      header[482] = 1;
      put(header, 483, 70);
    });
    const extension = Buffer.alloc(512);
    pieces.slice(4).forEach(({ offset, bytes: length }, i) => [put(extension, 24 * i, offset), put(extension, 12 + 24 * i, length)]);
    const archive = Buffer.concat([bytes, extension, Buffer.from('aabbccddeeff'), Buffer.alloc(500), tarMember({ name: 'next', data: 'z' })]);
    for (const step of [archive.length, 7]) {
      expect(read(archive, step).map(({ name, content }) => [name, content])).toEqual([
        ['s', `${dots(5)}aa${dots(8)}bb${dots(8)}cc${dots(8)}dd${dots(8)}ee${dots(8)}ff${dots(13)}`],
        ['next', 'z'],
      ]);
    }
  });
  test('pax 0.0 and 0.1', () => {
    const head = [
      ['GNU.sparse.size', '9'],
      ['GNU.sparse.numblocks', '2'],
    ] as const;
    const zero = pax([...head, ['GNU.sparse.offset', '1'], ['GNU.sparse.numbytes', '2'], ['GNU.sparse.offset', '6'], ['GNU.sparse.numbytes', '1']]);
    const one = pax([...head, ['GNU.sparse.map', '1,2,6,1'], ['GNU.sparse.name', 'real']]);
    expect(read(tarArchive([zero, { name: 'a', data: 'xyz' }]))[0]).toMatchObject({ name: 'a', content: '.xy...z..', bytes: 9 });
    expect(read(tarArchive([one, { name: 'a', data: 'xyz' }]))[0]).toMatchObject({ name: 'real', content: '.xy...z..' });
  });
  test('pax 1.0', () => {
    const header = pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 'real'],
      ['GNU.sparse.realsize', '9'],
    ]);
    const map = Buffer.alloc(512);
    map.write('2\n1\n2\n6\n1\n');
    for (const step of [10_000, 3])
      expect(read(tarArchive([header, { name: 'a', data: Buffer.concat([map, Buffer.from('xyz')]) }, { name: 'b' }]), step)[0]).toMatchObject({
        name: 'real',
        content: '.xy...z..',
      });
  });
  test('pax 1.0: lines that cross blocks', () => {
    const holes = Array.from({ length: 300 }, (_, i) => `${1000 * (i + 1)}\n1\n`).join('');
    const text = `300\n${holes}`;
    const map = Buffer.alloc(Math.ceil(text.length / 512) * 512);
    map.write(text);
    expect(map.length).toBeGreaterThan(1024);
    const [file] = read(tarArchive([pax1(300_001), { name: 'a', data: Buffer.concat([map, Buffer.alloc(300, 'x')]) }]));
    expect([...(file?.content ?? '').matchAll(/x/g)].map(({ index }) => index)).toEqual(Array.from({ length: 300 }, (_, i) => 1000 * (i + 1)));
  });
  test.each([
    ['a count that is none', 'x\n'],
    ['an empty line', '1\n\n'],
    ['a number in letters', '2\n1\nz\n'],
    ['a line without an end', '1'.repeat(512)],
    ['a line that grows over blocks', `1\n${'1'.repeat(1500)}`],
  ])('pax 1.0: %s', (_, text) => {
    const map = Buffer.alloc(2048);
    map.write(text);
    expect(failure(tarArchive([pax1(9), { name: 'a', data: map }]))).toMatchObject({
      code: 'ERR_LAYER_CORRUPT',
      message: expect.stringContaining('sparse map is damaged'),
    });
  });
  test('pax 1.0: a map as long as it may be takes no longer than its length', () => {
    const map = Buffer.alloc(defaultLimits.maxHeaderBytes, '0\n');
    map.write('999999\n');
    const begin = performance.now();
    expect(failure(tarArchive([pax1(9), { name: 'a', data: map }]))).toMatchObject({ code: 'ERR_LAYER_CORRUPT' });
    expect(performance.now() - begin).toBeLessThan(2_000);
  });
  test.each([
    ['1,2,2,1', 'not in order'],
    ['1,9', 'not in order'],
    ['1,2', 'speaks of 2 bytes, 3 are stored'],
    ['1,2,3', 'damaged'],
    ['a,b', 'damaged'],
    ['-1,3', 'damaged'],
  ])('map %s', (map, message) => {
    expect(
      failure(
        tarArchive([
          pax([
            ['GNU.sparse.size', '9'],
            ['GNU.sparse.map', map],
          ]),
          { name: 'a', data: 'xyz' },
        ]),
      ),
    ).toMatchObject({ code: 'ERR_LAYER_CORRUPT', message: expect.stringContaining(message) });
  });
});

describe('what is refused', () => {
  const good = tarMember({ name: 'a', data: 'b' });
  test.each<[string, Buffer, string]>([
    ['a wrong checksum', patchedByte(good, 0), 'checksum is wrong'],
    ['noise', Buffer.alloc(512, 'q'), 'not an octal number'],
    ['a header cut short', good.subarray(0, 300), 'cut short'],
    ['data cut short', tarHeader({ name: 'a', size: 600 }), 'cut short'],
    ['an extended header for nobody', tarMember(pax([['path', 'x']])), 'cut short'],
    ['an extended header before the end', tarArchive([pax([['path', 'x']])]), 'is missing'],
    ['a header after a zero block', Buffer.concat([Buffer.alloc(512), good]), 'something follows'],
    ['an unknown type', tarArchive([{ name: 'a', type: 'M' }]), 'unknown type "M"'],
    ['a negative size', patched({ name: 'a' }, (header) => header.fill(0xff, 124, 136)), 'negative'],
    [
      'a size beyond counting',
      patched({ name: 'a' }, (header) => Buffer.from('80ffffffffffffffffffffff', 'hex').copy(header, 124)),
      'beyond any measure',
    ],
    ['a size in letters', patched({ name: 'a' }, (header) => header.write('12z', 124)), 'not an octal number'],
    ['a directory with data', tarArchive([{ name: 'a/', data: 'x' }]), 'directory with data'],
    ['a NUL in a pax path', tarArchive([pax([['path', 'a\0b']]), { name: 'a' }]), 'NUL'],
    ['a pax length that lies', tarArchive([{ name: 'p', type: 'x', data: '99 path=x\n' }, { name: 'a' }]), 'damaged'],
    ['a pax record without a length', tarArchive([{ name: 'p', type: 'x', data: 'path=x\n' }, { name: 'a' }]), 'no length'],
    ['a pax record without a newline', tarArchive([{ name: 'p', type: 'x', data: '9 path=x;' }, { name: 'a' }]), 'damaged'],
    ['a pax number in letters', tarArchive([pax([['uid', '0x7']]), { name: 'a' }]), 'not a number'],
    ['a pax time in letters', tarArchive([pax([['mtime', 'now']]), { name: 'a' }]), 'not a time'],
    ['an owner that cannot be', tarArchive([pax([['uid', '4294967295']]), { name: 'a' }]), 'does not have'],
  ])('%s', (_, archive, message) => {
    expect(failure(archive)).toMatchObject({ code: 'ERR_LAYER_CORRUPT', message: expect.stringContaining(message) });
  });

  const big = (type: string, change: (header: Buffer) => void): Buffer => patched({ name: 'a', type }, change);
  test.each<[string, Buffer, Partial<ImageLimits>]>([
    ['5 GB claimed in octal', tarArchive([{ name: 'a', size: 5 * 1024 ** 3 }, { name: 'a' }]), { maxFileBytes: 1024 ** 3 }],
    ['10 GB claimed in binary', big('0', (header) => Buffer.from('800000000000000280000000', 'hex').copy(header, 124)), {}],
    ['10 GB of nothing, old GNU', big('S', (header) => Buffer.from('800000000000000280000000', 'hex').copy(header, 483)), {}],
    [
      '10 GB of nothing, pax',
      tarArchive([
        pax([
          ['GNU.sparse.major', '1'],
          ['GNU.sparse.minor', '0'],
          ['GNU.sparse.realsize', String(10 * 1024 ** 3)],
        ]),
        { name: 'a' },
      ]),
      {},
    ],
    [
      'many small claims',
      tarArchive(
        Array.from({ length: 3 }, (_, i) =>
          pax([
            ['GNU.sparse.size', '400'],
            ['GNU.sparse.map', '0,0'],
            ['GNU.sparse.name', `n${i}`],
          ]),
        ).flatMap((header) => [header, { name: 'a' }]),
      ),
      { maxLayerBytes: 1000 },
    ],
    ['too many entries', tarArchive([{ name: 'a' }, { name: 'b' }, { name: 'c' }]), { maxEntries: 2 }],
    ['too long a stream', Buffer.alloc(4096), { maxLayerBytes: 4000 }],
    ['a huge long name', tarArchive([{ name: 'l', type: 'L', data: 'x'.repeat(2000) }, { name: 'a' }]), { maxHeaderBytes: 1000 }],
  ])('%s', (_, archive, limits) => expect(failure(archive, limits)).toMatchObject({ code: 'ERR_LAYER_LIMIT' }));

  test('names in errors cannot write to a terminal', () => {
    expect(failure(tarArchive([{ name: '\u001b[2Jx', type: 'M' }])).message).toContain('x1b[2Jx');
    expect(failure(tarArchive([{ name: '\u001b[2Jx', type: 'M' }])).message).not.toContain('\u001b');
  });
});

function patchedByte(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

test('a reader of headers steps over data', () => {
  const archive = tarArchive([
    { name: 'a', data: 'x'.repeat(5000) },
    { name: 'b', data: 'yy' },
    { name: 'c', type: '5' },
  ]);
  const offsets: [string, string][] = [];
  let read_ = 0;
  const reader: TarReader = new TarReader(
    {
      entry: (entry) => {
        offsets.push([entry.name, archive.toString('latin1', reader.dataOffset, reader.dataOffset + entry.bytes).slice(0, 3)]);
        if (entry.type === 'file') reader.skipBody();
      },
      data: () => expect.fail('nobody wanted data'),
      end: () => undefined,
    },
    defaultLimits,
    'it',
  );
  for (let at = 0; at < archive.length;) {
    reader.push(archive.subarray(at, at + 100));
    read_ += 100;
    at += 100;
    const step = Math.min(reader.unwanted, archive.length - at);
    reader.skip(step);
    at += step;
  }
  reader.finish();
  expect(offsets).toEqual([
    ['a', 'xxx'],
    ['b', 'yy'],
    ['c', ''],
  ]);
  expect(read_).toBeLessThan(3000);
});
