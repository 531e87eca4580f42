/** host-local's store, read without its lock: a look, not a decision. @see cni.md 3.16 */
import { join } from 'node:path';
import { namesIn, readText } from '../../host/files.ts';
import { isObject, knownKey } from '../../model/cni/known-key.ts';
import { pluginTexts } from '../../model/cni/inject.ts';
import { parseIp } from '../../model/cidr.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { LeaseState } from './types.ts';

const defaultDataDir = '/var/lib/cni/networks';

/** Directories in which the plugins of a list keep leases of the network. */
function leaseDirectories({ name, confList }: PlannedNetwork): string[] {
  const directories = pluginTexts(confList).flatMap((text) => {
    const plugin = JSON.parse(text) as unknown;
    const ipam = isObject(plugin) ? knownKey(plugin, 'ipam') : undefined;
    if (!isObject(ipam) || knownKey(ipam, 'type') !== 'host-local') return [];
    const dataDir = knownKey(ipam, 'dataDir');
    return [join(typeof dataDir === 'string' && dataDir !== '' ? dataDir : defaultDataDir, name)];
  });
  return [...new Set(directories)];
}

/** Every lease of the network, in the order of the addresses' text. */
export const leasesOf = (network: PlannedNetwork): LeaseState[] => leaseDirectories(network).flatMap(read);

function read(directory: string): LeaseState[] {
  return namesIn(directory).flatMap((name) => {
    const ip = parseIp(name);
    const path = join(directory, name);
    const text = ip === undefined ? undefined : readText(path)?.trim();
    if (ip === undefined || text === undefined || text === '') return [];
    const [containerId = '', ifName] = text.split('\r\n');
    return [{ address: ip.text, containerId, ifName, path }];
  });
}
