/** File names are bytes. They are carried as binary strings (one character a byte, "latin1"), so that none is lost to UTF-8. */
import type { Name } from './linux.ts';

/** The binary string of a path that is text. */
export const binaryName = (path: string): string => Buffer.from(path).toString('latin1');

/** A binary string as the kernel gets it: text where that means the same bytes. */
export function rawName(name: string): Name {
  // oxlint-disable-next-line no-control-regex -- "only ASCII" is the question
  return /^[\x01-\x7f]*$/.test(name) ? name : Buffer.from(`${name}\0`, 'latin1');
}

/** A path as Node's own calls take it: bytes without the NUL at their end. */
export const nodePath = (path: Name): string | Buffer => (typeof path === 'string' ? path : Buffer.from(path.subarray(0, -1)));
