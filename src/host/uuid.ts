/** Random identity, from the kernel (importing node:crypto costs 4 ms). */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import type { PodId } from '../model/ids.ts';

export const newPodId = (): PodId => readFileSync('/proc/sys/kernel/random/uuid', 'utf8').trim() as PodId;
/** The 10 hexadecimal digits of an RFC 4193 global ID. The end of a version 4 UUID is all random. */
export const newGlobalId = (): string => newPodId().slice(-10);

/** A random whole number from 0 to `limit` - 1; `limit` at most 65536. */
export function randomBelow(limit: number): number {
  const bytes = Buffer.alloc(4);
  const fd = openSync('/dev/urandom', 'r');
  try {
    readSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
  return bytes.readUInt32LE() % limit;
}
