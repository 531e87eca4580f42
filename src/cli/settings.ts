/** Global flags → where things are. */
import { resolve } from 'node:path';
import { RuntimeError } from '../model/errors.ts';
import type { Settings } from '../model/settings.ts';
import type { FlagValues, globalFlags } from './command.ts';

/** @throws ERR_CLI_USAGE for an empty directory, which would silently be the current one */
export function settingsFrom(flags: FlagValues<typeof globalFlags>): Settings {
  const empty = (['dir', 'system-config', 'local-config'] as const).filter((name) => flags[name] === '');
  if (empty.length > 0)
    throw new RuntimeError('ERR_CLI_USAGE', `${empty.map((name) => `--${name}`).join(', ')} must name a directory`, {
      hint: 'an unset variable? leave the flag out for the default',
    });
  return {
    dataDir: resolve(flags.dir ?? '/var/lib/rkt'),
    systemConfig: resolve(flags['system-config'] ?? '/usr/lib/rkt'),
    localConfig: resolve(flags['local-config'] ?? '/etc/rkt'),
  };
}
