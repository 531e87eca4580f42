/** Kernel settings of the network namespace this thread is in. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Under /proc/sys/net only: keys come from configurations. */
function pathOf(key: string): string {
  // Interface names may hold anything but a slash and white space (R13).
  if (!/^net(\/[^/\s\0]+)+$/.test(key) || key.split('/').some((part) => part === '..' || part === '.'))
    throw new Error(`not a network setting: ${key}`);
  return `/proc/sys/${key}`;
}

/** `key` as a path: `net/ipv4/ip_forward`. Throws Node's ENOENT when the kernel has no such setting. */
export const readSysctl = (key: string): string => readFileSync(pathOf(key), 'utf8').trim();
export const writeSysctl = (key: string, value: string): void => writeFileSync(pathOf(key), value);

/** Writes only when it differs. @returns the old value when it was changed */
export function ensureSysctl(key: string, value: string): string | undefined {
  const before = readSysctl(key);
  if (before === value) return undefined;
  writeSysctl(key, value);
  return before;
}
