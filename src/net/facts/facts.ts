/** Reads this machine for the planner. */
import { currentNetns, isNetworkNamespace, netnsIdentity } from '../../host/netns.ts';
import type { NetworkConf } from '../conf/types.ts';
import { findExecutables } from './plugins.ts';
import { readHostRoutes } from './routes.ts';
import type { NetFacts } from './types.ts';

/** Reads routes, looks for the executables of every plugin and IPAM type that `networks` name, and for the namespace at `netns`. */
export function readFacts(networks: readonly NetworkConf[], pluginPath: readonly string[], netns?: string): NetFacts {
  const types = networks.flatMap((network) =>
    network.plugins.flatMap((plugin) => [plugin.type, ...(plugin.ipam === undefined ? [] : [plugin.ipam.type])]),
  );
  return { ...readFactsFor(types, pluginPath), ...(netns === undefined ? {} : namespaceFacts(netns)) };
}

const namespaceFacts = (netns: string): Pick<NetFacts, 'netnsExists' | 'netnsIsOwn'> =>
  isNetworkNamespace(netns) ? { netnsExists: true, netnsIsOwn: netnsIdentity(netns) === currentNetns() } : { netnsExists: false };

/** The same for plugin types. */
export const readFactsFor = (types: readonly string[], pluginPath: readonly string[]): NetFacts => ({
  routes: readHostRoutes(),
  pluginPath,
  executables: findExecutables(types, pluginPath),
  versions: {},
});
