/** Where trusted keys are: `CONFIG/trustedkeys/{root.d,prefix.d/PREFIX}/FINGERPRINT`. @see rkt.md 2.16 */
import { join } from 'node:path';
import type { Settings } from '../../model/settings.ts';

export type KeySettings = Pick<Settings, 'systemConfig' | 'localConfig'>;

/** The directory of keys for every name (`prefix` undefined) or for names below `prefix`. */
export const keyDirectory = (config: string, prefix: string | undefined): string =>
  prefix === undefined ? join(config, 'trustedkeys', 'root.d') : join(config, 'trustedkeys', 'prefix.d', prefix);

/** Directories whose keys count for `name`, in the order they are read; what is read later, masks included, wins. */
export function directoriesFor({ systemConfig, localConfig }: KeySettings, name: string): string[] {
  const parts = name.split('/');
  const prefixes = parts.map((_, i) => parts.slice(0, i + 1).join('/'));
  return [
    keyDirectory(systemConfig, undefined),
    keyDirectory(localConfig, undefined),
    ...prefixes.map((prefix) => keyDirectory(systemConfig, prefix)),
    ...prefixes.map((prefix) => keyDirectory(localConfig, prefix)),
  ];
}
