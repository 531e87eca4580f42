/** How a fetch judges ACIs and where it may ask for them. Loaded when something is fetched. */
import type { Configuration } from '../model/configuration.ts';
import type { Settings } from '../model/settings.ts';
import type { AciPolicy } from '../stage0/aci/sources.ts';
import { serverAccess } from '../stage0/discovery/access.ts';
import { trustDiscoveredKeys } from '../stage0/discovery/trust-keys.ts';
import { verifyImageSignature } from '../state/keys/verify.ts';

export function aciPolicy(settings: Settings, config: Configuration, warn: (text: string) => void, signal: AbortSignal): AciPolicy {
  return {
    signatures: settings.insecure.has('image') ? 'ignore' : ({ path, signature, name }) => void verifyImageSignature(path, signature, name, settings),
    aciRemote: () => {
      const access = serverAccess(settings, config, { onWait: warn, signal });
      return {
        access,
        ...(settings.trustKeysFromHttps
          ? {
              async trustKeysFor(name: string): Promise<void> {
                for (const line of await trustDiscoveredKeys(settings, name, access)) warn(line);
              },
            }
          : {}),
      };
    },
  };
}
