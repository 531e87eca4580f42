/** Kernel settings of the network namespace this thread is in. */
import { readFileSync, writeFileSync } from 'node:fs';
import { isErrno } from '../model/errors.ts';

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

/**
 * Lets any user of this namespace listen on any port, as Docker does in containers: images whose user is not root have servers on port 80,
 * and nobody else is in there. Left alone where /proc/sys cannot be written.
 */
export function allowLowPorts(): void {
  try {
    writeSysctl('net/ipv4/ip_unprivileged_port_start', '0');
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EROFS', 'EACCES', 'EPERM')) throw error;
  }
}
