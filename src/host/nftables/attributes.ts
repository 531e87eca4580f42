/** Netlink attributes as nf_tables and ctnetlink want them: numbers big-endian, nesting flagged. Reading by `netlink`. */
import { parseAttributes } from 'netlink/dist/structs.js';

const NESTED = 0x8000;

/**
 * One attribute with its padding. Written in place: a skeleton is a thousand attributes, and building them from the
 * lists of buffers that the package's formatAttribute returns costs the first pod 2 ms more (6.5 against 4.5, cold).
 */
export function attribute(type: number, ...data: Uint8Array[]): Buffer {
  let length = 4;
  for (const part of data) length += part.length;
  if (length > 0xffff) throw new RangeError(`attribute ${type} of ${length} bytes`);
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes[0] = length & 0xff;
  bytes[1] = length >> 8;
  bytes[2] = type & 0xff;
  bytes[3] = type >> 8;
  let at = 4;
  for (const part of data) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
export const nest = (type: number, ...children: Uint8Array[]): Buffer => attribute(type | NESTED, ...children);
export const text = (type: number, value: string): Buffer => attribute(type, Buffer.from(`${value}\0`));
export const u32 = (type: number, value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return attribute(type, bytes);
};
export const u16 = (type: number, value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return attribute(type, bytes);
};
export const u8 = (type: number, value: number): Buffer => attribute(type, Buffer.of(value));

/** The attributes of a stream by type; of repeated ones the last. */
export function fields(data: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  parseAttributes(data, (item) => found.set(item.type, item.data));
  return found;
}
/** The attributes of a list, in order. */
export function list(data: Buffer): Buffer[] {
  const found: Buffer[] = [];
  parseAttributes(data, (item) => found.push(item.data));
  return found;
}
/**
 * The attributes of a list that contain `needle`, in order. For long lists of which few are wanted: finding them costs a
 * byte search and a walk over the lengths, not an object per attribute.
 */
export function listContaining(data: Buffer, needle: Buffer): Buffer[] {
  const found: Buffer[] = [];
  let hit = data.indexOf(needle);
  for (let at = 0; hit >= 0 && at + 4 <= data.length;) {
    const length = data.readUInt16LE(at);
    if (length < 4) break;
    if (hit < at + length) {
      if (hit + needle.length <= at + length) found.push(data.subarray(at + 4, at + length));
      hit = data.indexOf(needle, at + length);
    }
    at += (length + 3) & ~3;
  }
  return found;
}
export const stringOf = (data: Buffer): string => data.toString('utf8', 0, data.at(-1) === 0 ? data.length - 1 : data.length);
