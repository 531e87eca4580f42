/** Configuration and flags → what a fetch from registries may use. */
import { join } from 'node:path';
import type { Configuration } from '../model/configuration.ts';
import type { Settings } from '../model/settings.ts';
import { credentialsFor } from '../state/config/credentials.ts';
import type { RegistryAccess } from '../stage0/registry/access.ts';

/** `warn` hears of credential files and helpers that could not be read. */
export function registryAccess(settings: Settings, configuration: Configuration, warn: (text: string) => void): RegistryAccess {
  return {
    registries: configuration.registries,
    credentials: (registry, repository) => credentialsFor(configuration, registry, repository, { problem: warn }),
    insecure: { http: settings.insecure.has('http'), tls: settings.insecure.has('tls') },
    certificateDirs: [settings.systemConfig, settings.localConfig, settings.userConfig].flatMap((dir) =>
      dir === undefined ? [] : [join(dir, 'certs.d')],
    ),
  };
}
