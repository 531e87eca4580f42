/** Extended attributes of a path, links not followed. @see listxattr(2), getxattr(2) */
import { Errno, raw, type Name } from './linux.ts';

/** The kernel's limits for a list of names and for one value (XATTR_LIST_MAX, XATTR_SIZE_MAX). */
const maxBytes = 65_536;
const ENODATA = 61;
const EOPNOTSUPP = 95;

/** One attribute; undefined when it is not set or the file system has none. */
export function readXattr(path: Name, name: string): Buffer | undefined {
  const value = Buffer.alloc(maxBytes);
  const length = raw('lgetxattr', path, name, value, value.length);
  if (length >= 0) return value.subarray(0, length);
  if (-length === ENODATA || -length === EOPNOTSUPP) return undefined;
  throw new Errno('lgetxattr', -length, name);
}

/** All attributes, in the order of their names. */
export function readXattrs(path: Name): [name: string, value: Buffer][] {
  const list = Buffer.alloc(maxBytes);
  const length = raw('llistxattr', path, list, list.length);
  if (length < 0 && -length !== EOPNOTSUPP) throw new Errno('llistxattr', -length);
  const names = length <= 0 ? [] : list.toString('latin1', 0, length - 1).split('\0');
  return names.sort().flatMap((name) => {
    const value = readXattr(path, name);
    return value === undefined ? [] : [[name, value] as [string, Buffer]];
  });
}
