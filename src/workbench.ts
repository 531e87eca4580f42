/** `rkt net …`: what people do to networks besides running pods in them. Composition only, as in pipeline.ts. */
import { builtinTypes } from './compose/plugin-types.ts';
import { retireServices } from './compose/sweep.ts';
import { refuseUsedNetworks, retireNetwork } from './gc/networks.ts';
import type { Settings } from './model/settings.ts';
import { createNetworkFile, previewNetwork, removableNetworks } from './net/create/files.ts';
import type { DefinedNetwork } from './net/create/define.ts';
import type { NetworkRequest } from './net/create/request.ts';

/** Makes a configuration file, and nothing else: the first pod makes the bridge. `write` false: nothing is touched. */
export const createNetwork = (settings: Settings, request: NetworkRequest, write: boolean): DefinedNetwork =>
  (write ? createNetworkFile : previewNetwork)(settings, request, builtinTypes);

/** Removes networks with all their pods shared. Nothing is touched unless all of them can go. */
export function removeNetworks(settings: Settings, names: readonly string[], force: boolean, removed: (name: string) => void): void {
  const networks = removableNetworks(settings, names, force);
  refuseUsedNetworks(settings.dataDir, names, retireServices);
  for (const network of networks) {
    retireNetwork(settings.dataDir, network.conf.name, retireServices, () => network.removeFile());
    removed(network.conf.name);
  }
}
