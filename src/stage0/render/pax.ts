/** Extended headers: `LENGTH KEY=VALUE\n` records. Pure. @see POSIX.1-2017 pax "pax Extended Header"; GNU tar "Sparse Formats" */
import { corrupt } from './tar-header.ts';

/** Records by key; keys and values are bytes (keys as binary strings). */
export type PaxRecords = Pick<ReadonlyMap<string, Buffer>, 'get'>;

/** What holds for one member: its own records, and where it has none those of the archive. Nothing is copied: an archive may have very many. */
export const paxScope = (global: ReadonlyMap<string, Buffer>, local: ReadonlyMap<string, Buffer>): PaxRecords =>
  global.size === 0 ? local : { get: (key) => local.get(key) ?? global.get(key) };

const xattrPrefix = 'SCHILY.xattr.';
const libarchivePrefix = 'LIBARCHIVE.xattr.';

/**
 * Reads the body of an extended header. The repeated offset/numbytes pairs of GNU's sparse format 0.0 are joined
 * into the map of 0.1. A record with an empty value is kept: it takes back what an earlier header said.
 * @throws ERR_LAYER_CORRUPT naming `where`
 */
export function parsePax(body: Buffer, where: string): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  const sparse: string[] = [];
  for (let at = 0; at < body.length;) {
    const space = body.indexOf(0x20, at);
    const digits = space < 0 ? '' : body.toString('latin1', at, space);
    if (!/^[0-9]{1,9}$/.test(digits)) {
      // Some writers pad the body with NULs and count them in.
      if (body.subarray(at).every((byte) => byte === 0)) break;
      throw corrupt(`${where}: an extended header record has no length`);
    }
    const end = at + Number(digits);
    const equals = body.indexOf(0x3d, space);
    if (end > body.length || equals < 0 || equals >= end || body[end - 1] !== 0x0a) throw corrupt(`${where}: an extended header record is damaged`);
    const key = body.toString('latin1', space + 1, equals);
    const value = body.subarray(equals + 1, end - 1);
    if (key === '' || key.includes('\0')) throw corrupt(`${where}: an extended header record has no proper key`);
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
      if ((key === 'GNU.sparse.offset') !== (sparse.length % 2 === 0)) throw corrupt(`${where}: the sparse map is damaged`);
      sparse.push(value.toString('latin1'));
    } else {
      records.set(key, value);
    }
    at = end;
  }
  if (sparse.length > 0) records.set('GNU.sparse.map', Buffer.from(sparse.join(',')));
  return records;
}

/** A text value; undefined when absent or empty. @throws ERR_LAYER_CORRUPT when it holds a NUL */
export function paxText(records: PaxRecords, key: string, where: string): string | undefined {
  const value = records.get(key);
  if (value === undefined || value.length === 0) return undefined;
  if (value.includes(0)) throw corrupt(`${where}: ${key} holds a NUL byte`);
  return value.toString('latin1');
}

/** A whole number, not negative; undefined when absent or empty. @throws ERR_LAYER_CORRUPT */
export function paxNumber(records: PaxRecords, key: string, where: string): number | undefined {
  const text = paxText(records, key, where);
  if (text === undefined) return undefined;
  if (!/^[0-9]{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) throw corrupt(`${where}: ${key} is not a number`);
  return Number(text);
}

/** A time in seconds with any number of decimals → nanoseconds. @throws ERR_LAYER_CORRUPT */
export function paxTimeNs(records: PaxRecords, key: string, where: string): bigint | undefined {
  const text = paxText(records, key, where);
  if (text === undefined) return undefined;
  const match = /^(-?)([0-9]{1,18})(?:\.([0-9]*))?$/.exec(text);
  if (match === null) throw corrupt(`${where}: ${key} is not a time`);
  const ns = BigInt(match[2] ?? '') * 1_000_000_000n + BigInt((match[3] ?? '').padEnd(9, '0').slice(0, 9));
  return match[1] === '-' ? -ns : ns;
}

const noXattrs: ReadonlyMap<string, Buffer> = new Map();

/**
 * Extended attributes of one member: what star, GNU tar and Go write, and what libarchive writes (name percent-encoded,
 * value in base64), of which the former counts when both are there. Values are copied. No writer gives an attribute to
 * all members, and one who did could have thousands set on each.
 */
export function paxXattrs(records: ReadonlyMap<string, Buffer>): ReadonlyMap<string, Buffer> {
  let xattrs: Map<string, Buffer> | undefined;
  let others: Map<string, Buffer> | undefined;
  for (const [key, value] of records) {
    if (key.startsWith(xattrPrefix) && key.length > xattrPrefix.length)
      (xattrs ??= new Map<string, Buffer>()).set(key.slice(xattrPrefix.length), Buffer.from(value));
    else if (key.startsWith(libarchivePrefix) && key.length > libarchivePrefix.length) (others ??= new Map<string, Buffer>()).set(key, value);
  }
  for (const [key, value] of others ?? []) {
    const name = key.slice(libarchivePrefix.length).replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    xattrs ??= new Map<string, Buffer>();
    if (!records.has(xattrPrefix + name)) xattrs.set(name, Buffer.from(value.toString('latin1'), 'base64'));
  }
  return xattrs ?? noXattrs;
}
