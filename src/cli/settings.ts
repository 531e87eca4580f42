/** Global flags → where things are. */
import { resolve } from 'node:path';
import { RuntimeError } from '../model/errors.ts';
import { didYouMean } from '../model/ids.ts';
import { insecureWords, parseInsecureOptions } from '../model/insecure.ts';
import type { Settings } from '../model/settings.ts';
import { configuredDataDir } from '../trust.ts';
import type { FlagValues, globalFlags } from './command.ts';

/** @throws ERR_CLI_USAGE for an empty directory, which would silently be the current one; ERR_CONFIG_INVALID when the configuration of paths is wrong */
export function settingsFrom(flags: FlagValues<typeof globalFlags>): Settings {
  const empty = (['dir', 'system-config', 'local-config', 'user-config'] as const).filter((name) => flags[name] === '');
  if (empty.length > 0)
    throw new RuntimeError('ERR_CLI_USAGE', `${empty.map((name) => `--${name}`).join(', ')} must name a directory`, {
      hint: 'an unset variable? leave the flag out for the default',
    });
  const { options, unknown } = parseInsecureOptions(flags['insecure-options']);
  const [first] = unknown;
  if (first !== undefined) {
    const near = didYouMean(first, insecureWords);
    throw new RuntimeError('ERR_CLI_USAGE', `flag --insecure-options: ${unknown.map((word) => JSON.stringify(word)).join(', ')} means nothing`, {
      hint: `${near === undefined ? '' : `did you mean ${near}? `}it takes ${insecureWords.join(', ')}`,
    });
  }
  const config = {
    systemConfig: resolve(flags['system-config'] ?? '/usr/lib/rkt'),
    localConfig: resolve(flags['local-config'] ?? '/etc/rkt'),
    userConfig: flags['user-config'] === undefined ? undefined : resolve(flags['user-config']),
  };
  return {
    ...config,
    dataDir: resolve(flags.dir ?? configuredDataDir(config) ?? '/var/lib/rkt'),
    insecure: options,
    trustKeysFromHttps: flags['trust-keys-from-https'],
  };
}
