/** OpenPGP's ASCII armor, off and on: gpgv reads no armored keyrings. @see RFC 9580 6 */

/** Input that is not what it has to be; the message says why, and fits behind the name of the input. */
export class OpenPgpError extends Error {}

const begin = /^-----BEGIN PGP ([A-Z0-9 ,/]+)-----[ \t]*$/;

/**
 * The packets of every armored block called `label`; bytes that are not armored come back as they are.
 * @throws OpenPgpError for other blocks and damaged ones
 */
export function dearmor(bytes: Uint8Array, label: 'PUBLIC KEY BLOCK' | 'SIGNATURE'): Uint8Array {
  const [first] = bytes;
  if (first === undefined) throw new OpenPgpError('is empty');
  // Every packet begins with its high bit set, text never does.
  if (first >= 0x80) return bytes;
  const lines = Buffer.from(bytes).toString('latin1').split(/\r?\n/);
  const blocks: Buffer[] = [];
  for (let at = 0; at < lines.length; at++) {
    const found = begin.exec(lines[at] ?? '')?.[1];
    if (found === undefined) continue;
    if (found !== label)
      throw new OpenPgpError(`holds a PGP ${found}, not a ${label}${found.startsWith('PRIVATE') ? ': never hand out that one' : ''}`);
    const end = lines.findIndex((line, i) => i > at && line.trimEnd() === `-----END PGP ${label}-----`);
    if (end < 0) throw new OpenPgpError(`is cut short: the end of its ${label} is missing`);
    blocks.push(decodeBlock(lines.slice(at + 1, end)));
    at = end;
  }
  if (blocks.length === 0) throw new OpenPgpError(`holds no PGP ${label}`);
  return Buffer.concat(blocks);
}

function decodeBlock(lines: readonly string[]): Buffer {
  const blank = lines.findIndex((line) => line.trim() === '');
  // Headers end with an empty line, which some writers forget when there are none.
  const body = (blank >= 0 ? lines.slice(blank + 1) : lines).map((line) => line.trim()).filter((line) => line !== '');
  const sum = body.at(-1)?.startsWith('=') === true && body.at(-1)?.length === 5 ? body.pop()?.slice(1) : undefined;
  const text = body.join('');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) throw new OpenPgpError('is damaged: its armor is not base64');
  const data = Buffer.from(text, 'base64');
  if (sum !== undefined && Buffer.from(sum, 'base64').readUIntBE(0, 3) !== crc24(data))
    throw new OpenPgpError('is damaged: the checksum of its armor differs');
  return data;
}

/** Packets in armor, lines of 64. */
export function armor(packets: Uint8Array, label: 'PUBLIC KEY BLOCK'): string {
  const sum = Buffer.alloc(3);
  sum.writeUIntBE(crc24(packets), 0, 3);
  const lines =
    Buffer.from(packets)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN PGP ${label}-----`, '', ...lines, `=${sum.toString('base64')}`, `-----END PGP ${label}-----`, ''].join('\n');
}

function crc24(bytes: Uint8Array): number {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if ((crc & 0x1000000) !== 0) crc ^= 0x1864cfb;
    }
  }
  return crc & 0xffffff;
}
