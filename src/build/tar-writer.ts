/** A tar writer for archives made from memory: the embedded image, and the images of tests. Plain ustar; long names are refused. */

/** One member. `mtime` in seconds. */
export interface TarMember {
  readonly name: string;
  /** ustar type flag: 0 file, 1 hard link, 2 symbolic link, 3 and 4 devices, 5 directory, 6 fifo, or an extension */
  readonly type?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly linkName?: string;
  readonly data?: Uint8Array | string;
  /** overrides the length of `data`: for archives that lie */
  readonly size?: number;
  readonly major?: number;
  readonly minor?: number;
}

const blockBytes = 512;
const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;

/** The 512 bytes before a member's data. */
export function tarHeader(member: TarMember): Buffer {
  const header = Buffer.alloc(blockBytes);
  const { type = '0', data = '' } = member;
  const put = (text: string, offset: number, width: number): void => {
    if (Buffer.byteLength(text, 'latin1') > width) throw new Error(`${JSON.stringify(text)} does not fit ${width} bytes of a tar header`);
    header.write(text, offset, 'latin1');
  };
  put(member.name, 0, 100);
  put(octal(member.mode ?? (type === '5' ? 0o755 : 0o644), 8), 100, 8);
  put(octal(member.uid ?? 0, 8), 108, 8);
  put(octal(member.gid ?? 0, 8), 116, 8);
  put(octal(member.size ?? Buffer.byteLength(data), 12), 124, 12);
  put(octal(member.mtime ?? 0, 12), 136, 12);
  put(type, 156, 1);
  put(member.linkName ?? '', 157, 100);
  put('ustar\u000000', 257, 8);
  put(octal(member.major ?? 0, 8), 329, 8);
  put(octal(member.minor ?? 0, 8), 337, 8);
  return sealTarHeader(header);
}

/** Writes the checksum of a header that was changed. */
export function sealTarHeader(header: Buffer): Buffer {
  header.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** One member with its data, padded. */
export function tarMember(member: TarMember): Buffer {
  const data = Buffer.from(member.data ?? '');
  return Buffer.concat([tarHeader(member), data, Buffer.alloc((blockBytes - (data.length % blockBytes)) % blockBytes)]);
}

/** A whole archive. */
export const tarArchive = (members: readonly TarMember[]): Buffer => Buffer.concat([...members.map(tarMember), Buffer.alloc(2 * blockBytes)]);
