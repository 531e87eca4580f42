/** Configuration and flags → how a fetch works and where it may ask. Loaded when something is fetched. */
import type { Settings } from '../model/settings.ts';
import { loadConfiguration } from '../state/config/load.ts';
import { acceptedBy } from '../state/config/policy.ts';
import type { ImageStore } from '../state/images/store.ts';
import type { FetchOptions } from '../stage0/fetch/fetch.ts';
import { aciPolicy } from './aci.ts';
import type { Fetching } from './images.ts';
import { registryAccess } from './registry-access.ts';

/** `signal`: ends downloads. @throws ERR_CONFIG_INVALID */
export function fetchOptions(
  settings: Settings,
  store: ImageStore,
  { progress, pullPolicy, warn, pinned }: Fetching,
  signal: AbortSignal,
): FetchOptions {
  const configuration = loadConfiguration(settings);
  const aci = aciPolicy(settings, configuration, (note) => progress({ note }), signal);
  return {
    store,
    progress,
    signal,
    policy: pullPolicy,
    limits: configuration.limits,
    accept: acceptedBy(settings),
    ...aci,
    pinned,
    ...(pullPolicy === 'never' ? { aciRemote: undefined } : { remote: () => registryAccess(settings, configuration, warn) }),
  };
}
