/** Global flags → where things are. */
import { resolve } from 'node:path';
import type { Settings } from '../model/settings.ts';
import type { FlagValues, globalFlags } from './command.ts';

export const settingsFrom = (flags: FlagValues<typeof globalFlags>): Settings => ({
  dataDir: resolve(flags.dir ?? '/var/lib/rkt'),
  systemConfig: resolve(flags['system-config'] ?? '/usr/lib/rkt'),
  localConfig: resolve(flags['local-config'] ?? '/etc/rkt'),
});
