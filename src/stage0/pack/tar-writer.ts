/**
 * A tar archive, written as it comes: ustar, with pax headers for what that cannot hold. The same members give the same bytes.
 * Names are binary strings, and stay what they are. @see POSIX.1-2017 pax; SCHILY.xattr as GNU tar, umoci and Docker write it
 */
import { writeSync } from 'node:fs';

export type PackedType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

export interface PackedEntry {
  readonly name: string;
  readonly type: PackedType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly bytes?: number;
  readonly linkName?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly xattrs?: readonly (readonly [name: string, value: Buffer])[];
}

const blockBytes = 512;
const bufferBytes = 256 * 1024;
const flags: Readonly<Record<PackedType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};
const maxOctal7 = 0o7777777;
const maxOctal11 = 0o77777777777;

/** Takes what is written, in order; a piece is only valid during the call. */
export type Sink = (bytes: Buffer) => void;

/** A sink that writes to an open file. */
export const fileSink =
  (fd: number): Sink =>
  (bytes) => {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
  };

export class TarWriter {
  readonly #buffer = Buffer.allocUnsafe(bufferBytes);
  #filled = 0;
  /** bytes so far */
  position = 0;
  /** bytes of the current member's data still to come */
  #left = 0;

  constructor(readonly sink: Sink) {}

  /** Begins a member; {@link data} must bring exactly `bytes` of it. */
  entry(entry: PackedEntry): void {
    if (this.#left > 0) throw new Error(`${this.#left} bytes are missing before ${entry.name}`);
    const pax = paxRecords(entry);
    if (pax.length > 0) {
      this.#put(header({ name: 'PaxHeaders/x', type: 'file', mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, bytes: pax.length }, 'x'));
      this.#put(pax);
      this.#pad(pax.length);
    }
    this.#put(header(entry, flags[entry.type]));
    this.#left = entry.type === 'file' ? (entry.bytes ?? 0) : 0;
  }

  data(bytes: Buffer): void {
    this.#put(bytes);
    this.#left -= bytes.length;
    if (this.#left < 0) throw new Error('a member has more data than was announced');
    if (this.#left === 0) this.#pad(this.position);
  }

  /** The two blocks at the end. */
  finish(): void {
    this.#put(Buffer.alloc(2 * blockBytes));
    this.#flush();
  }

  #pad(bytes: number): void {
    const over = bytes % blockBytes;
    if (over > 0) this.#put(Buffer.alloc(blockBytes - over));
  }

  #put(bytes: Buffer): void {
    this.position += bytes.length;
    if (this.#filled + bytes.length > bufferBytes) this.#flush();
    if (bytes.length >= bufferBytes) {
      this.sink(bytes);
      return;
    }
    bytes.copy(this.#buffer, this.#filled);
    this.#filled += bytes.length;
  }
  #flush(): void {
    if (this.#filled > 0) this.sink(this.#buffer.subarray(0, this.#filled));
    this.#filled = 0;
  }
}

/** `name/` for directories, as every tool writes them. */
const nameOf = ({ name, type }: PackedEntry): string => (type === 'directory' && !name.endsWith('/') ? `${name}/` : name);
const second = 1_000_000_000n;

function header(entry: PackedEntry, flag: string): Buffer {
  const block = Buffer.alloc(blockBytes);
  const text = (value: string, offset: number, width: number): void => void block.write(value.slice(0, width), offset, 'latin1');
  const octal = (value: number, offset: number, width: number, most: number): void =>
    text(`${(value > most || value < 0 ? 0 : value).toString(8).padStart(width - 1, '0')}\0`, offset, width);
  text(nameOf(entry), 0, 100);
  octal(entry.mode, 100, 8, maxOctal7);
  octal(entry.uid, 108, 8, maxOctal7);
  octal(entry.gid, 116, 8, maxOctal7);
  octal(entry.type === 'file' ? (entry.bytes ?? 0) : 0, 124, 12, maxOctal11);
  octal(Number(entry.mtimeNs / second), 136, 12, maxOctal11);
  text(flag, 156, 1);
  text(entry.linkName ?? '', 157, 100);
  text('ustar\u000000', 257, 8);
  octal(entry.major ?? 0, 329, 8, maxOctal7);
  octal(entry.minor ?? 0, 337, 8, maxOctal7);
  block.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of block) sum += byte;
  text(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8);
  return block;
}

/** What the header cannot say, as pax records; empty when it can say everything. */
function paxRecords(entry: PackedEntry): Buffer {
  const records: Buffer[] = [];
  const add = (key: string, value: Buffer): void => {
    const rest = Buffer.concat([Buffer.from(` ${key}=`, 'latin1'), value, Buffer.from('\n')]);
    // The length counts its own digits.
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
    records.push(Buffer.from(String(length)), rest);
  };
  const binary = (text: string): Buffer => Buffer.from(text, 'latin1');
  const name = nameOf(entry);
  if (name.length > 100) add('path', binary(name));
  if ((entry.linkName ?? '').length > 100) add('linkpath', binary(entry.linkName ?? ''));
  if ((entry.bytes ?? 0) > maxOctal11) add('size', binary(String(entry.bytes)));
  if (entry.uid > maxOctal7) add('uid', binary(String(entry.uid)));
  if (entry.gid > maxOctal7) add('gid', binary(String(entry.gid)));
  if (entry.mtimeNs < 0n || entry.mtimeNs % second !== 0n || entry.mtimeNs / second > BigInt(maxOctal11))
    add('mtime', binary(paxTime(entry.mtimeNs)));
  for (const [key, value] of entry.xattrs ?? []) add(`SCHILY.xattr.${key}`, value);
  return Buffer.concat(records);
}

/** Seconds with a fraction. */
function paxTime(ns: bigint): string {
  const size = ns < 0n ? -ns : ns;
  const fraction = String(size % second)
    .padStart(9, '0')
    .replace(/0+$/, '');
  return `${ns < 0n ? '-' : ''}${size / second}${fraction === '' ? '' : `.${fraction}`}`;
}
