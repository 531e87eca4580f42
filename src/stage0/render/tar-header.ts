/**
 * One tar header → values. Names are *binary strings* (one character a byte): tar does not say what they are encoded
 * in, and a name that is not UTF-8 must come out as the same bytes.
 * @see POSIX.1-2017 pax "ustar Interchange Format" and "pax Header Block"; GNU tar manual "Basic Tar Format"; star(5) prefix
 */
import { RuntimeError, printable } from '../../model/errors.ts';

export const blockBytes = 512;

export type EntryType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/** A member of an archive. Names are binary strings. */
export interface TarEntry {
  readonly name: string;
  readonly type: EntryType;
  /** target of a link, as written */
  readonly linkName: string;
  /** of the file when it is unpacked, holes included */
  readonly bytes: number;
  /** permission bits with set-id and sticky */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** since the epoch */
  readonly mtimeNs: bigint;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

/** A header as it stands in its block; {@link TarReader} puts the extended headers before it on top. */
export interface RawHeader {
  readonly typeFlag: string;
  readonly name: string;
  readonly linkName: string;
  /** of the data that follows in the archive */
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly major: number;
  readonly minor: number;
}

/** Bytes of a name as a person would read them, safe for a terminal. */
export const shownName = (name: string): string => printable(Buffer.from(name.slice(0, 800), 'latin1').toString('utf8')).slice(0, 200);

export const corrupt = (what: string, cause?: unknown): RuntimeError =>
  new RuntimeError('ERR_LAYER_CORRUPT', what, cause === undefined ? {} : { cause });

/** True for the 512 zero bytes that end an archive (two of them). */
export function isZeroBlock(block: Buffer): boolean {
  for (const byte of block) if (byte !== 0) return false;
  return true;
}

/** Text up to the first NUL. No view is made of the field: there are a dozen in a header, and views are dear. */
function textField(block: Buffer, offset: number, width: number): string {
  let end = offset;
  while (end < offset + width && block[end] !== 0) end++;
  return end === offset ? '' : block.toString('latin1', offset, end);
}

/** A number: octal text, or base-256 when the first bit is set. Empty is 0. @throws ERR_LAYER_CORRUPT */
export function numberField(block: Buffer, offset: number, width: number, what: string): number {
  const first = block[offset] ?? 0;
  if ((first & 0x80) !== 0) {
    // Two's complement of `width` bytes, where the first bit only says "binary" and the second is the sign.
    let value = BigInt(first & 0x7f);
    for (let i = 1; i < width; i++) value = (value << 8n) | BigInt(block[offset + i] ?? 0);
    value = BigInt.asIntN(width * 8 - 1, value);
    if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < BigInt(Number.MIN_SAFE_INTEGER)) throw corrupt(`${what} is beyond any measure`);
    return Number(value);
  }
  const text = textField(block, offset, width).trim();
  if (text === '') return 0;
  if (!/^[0-7]+$/.test(text)) throw corrupt(`${what} ${JSON.stringify(printable(text))} is not an octal number`);
  return parseInt(text, 8);
}

/** Old writers summed signed bytes; both sums are good (as in every reader). */
function checksumMatches(block: Buffer): boolean {
  const expected = numberField(block, 148, 8, 'checksum');
  let unsigned = 8 * 0x20;
  let signed = 8 * 0x20;
  for (let i = 0; i < blockBytes; i++) {
    if (i === 148) i = 156;
    const byte = block[i] ?? 0;
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  return expected === unsigned || expected === signed;
}

/** Decodes a header block that is not all zero. @throws ERR_LAYER_CORRUPT naming `where` */
export function decodeHeader(block: Buffer, where: string): RawHeader {
  try {
    if (!checksumMatches(block)) throw corrupt('the checksum is wrong');
    const posix = block.toString('latin1', 257, 263) === 'ustar\0';
    // star keeps times behind a shorter prefix and says so in the last bytes.
    const prefix = posix ? textField(block, 345, block.toString('latin1', 508, 512) === 'tar\0' ? 131 : 155) : '';
    const name = textField(block, 0, 100);
    const typeFlag = String.fromCharCode(block[156] ?? 0);
    const size = numberField(block, 124, 12, 'size');
    if (size < 0) throw corrupt('the size is negative');
    const isDevice = typeFlag === '3' || typeFlag === '4';
    return {
      typeFlag,
      name: prefix === '' ? name : `${prefix}/${name}`,
      linkName: textField(block, 157, 100),
      size,
      mode: numberField(block, 100, 8, 'mode') & 0o7777,
      uid: numberField(block, 108, 8, 'user id'),
      gid: numberField(block, 116, 8, 'group id'),
      mtime: numberField(block, 136, 12, 'time'),
      // Other types leave anything here: old writers do not clear it.
      major: isDevice ? numberField(block, 329, 8, 'device number') : 0,
      minor: isDevice ? numberField(block, 337, 8, 'device number') : 0,
    };
  } catch (error) {
    throw corrupt(`${where}: ${error instanceof Error ? error.message : String(error)}`, error);
  }
}
