/** libcni's result cache: cnitool, podman and others read what we wrote, and we understand what they wrote. @see cni.md L1-L9 */
import { join } from 'node:path';
import { atomicFiles, makeDirectory, namesIn, readText, removeAtomic, writeAtomic } from '../../host/files.ts';
import { formatResult, parseResult } from '../../model/cni/result.ts';
import { isObject } from '../../model/cni/known-key.ts';
import type { CapabilityArgs, CniResult } from '../../model/cni/types.ts';
import { RuntimeError, diskHint, messageOf } from '../../model/errors.ts';
import { isContainerId, isIfName } from '../../model/ids.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { Attachment } from './services.ts';

interface CacheFile {
  readonly kind?: string;
  readonly containerId?: string;
  readonly ifName?: string;
  readonly networkName?: string;
  readonly netns?: string;
  /** base64 */
  readonly config?: string;
  readonly cniArgs?: readonly (readonly [string, string])[];
  readonly capabilityArgs?: CapabilityArgs;
  readonly result?: unknown;
}

/** How the container IDs begin that cnitool gives to namespaces, and rkt in its place. */
export const toolPrefix = 'cnitool-';

const resultsDir = (cacheDir: string): string => join(cacheDir, 'results');
const cachePath = (cacheDir: string, network: PlannedNetwork, { containerId }: Attachment): string =>
  join(resultsDir(cacheDir), `${network.name}-${containerId}-${network.ifName}`);

/** Written whole or not at all. A failure fails the ADD: an attachment nobody can find again must not exist (D10). */
export function writeCache(cacheDir: string, network: PlannedNetwork, attachment: Attachment, result: CniResult): void {
  const content = {
    kind: 'cniCacheV1',
    containerId: attachment.containerId,
    config: Buffer.from(network.confList).toString('base64'),
    ifName: network.ifName,
    networkName: network.name,
    netns: attachment.netns,
    ...(network.args.length === 0 ? {} : { cniArgs: network.args }),
    ...(Object.keys(network.capabilityArgs).length === 0 ? {} : { capabilityArgs: network.capabilityArgs }),
    result: formatResult(result, network.cniVersion),
  };
  try {
    makeDirectory(resultsDir(cacheDir), 0o700);
    writeAtomic(cachePath(cacheDir, network, attachment), JSON.stringify(content), { mode: 0o600, soleWriter: true });
  } catch (cause) {
    throw new RuntimeError('ERR_POD_IO', `cannot write the CNI result cache: ${messageOf(cause)}`, { cause, ...diskHint(cause) });
  }
}

/** The final ADD result; undefined when there is none that can be read (L6: DEL then goes without). Legacy files are the bare result (L3). */
export function readCache(cacheDir: string, network: PlannedNetwork, attachment: Attachment): CniResult | undefined {
  const text = readText(cachePath(cacheDir, network, attachment));
  if (text === undefined) return undefined;
  try {
    const file = JSON.parse(text) as CacheFile;
    return parseResult(file.kind === 'cniCacheV1' ? file.result : file, network.cniVersion);
  } catch {
    return undefined; // damaged by a power loss: DEL must do without a result anyway
  }
}

export const removeCache = (cacheDir: string, network: PlannedNetwork, attachment: Attachment): void =>
  removeAtomic(cachePath(cacheDir, network, attachment));

/** What {@link removeCache} removes. Their names have the container's id. */
export const cacheFiles = (cacheDir: string, network: PlannedNetwork, attachment: Attachment): string[] =>
  atomicFiles(cachePath(cacheDir, network, attachment));

/** An attachment that somebody's libcni has cached. */
export interface CachedAttachment {
  readonly path: string;
  readonly containerId: string;
  readonly ifName: string;
  /** '' when the file does not say */
  readonly netns: string;
  /** the configuration list at the time of ADD, byte-exact; undefined when the file does not say */
  readonly config?: string;
  readonly args: readonly (readonly [string, string])[];
  readonly capabilityArgs: CapabilityArgs;
}

/**
 * Everybody's attachments to the network of that name. File names are ambiguous (L8): contents decide. Files of the time
 * before kinds hold a bare result (L3): every way to read their name counts, because whoever asks wants to spare what is in use.
 */
export function cachedAttachments(cacheDir: string, network: string): CachedAttachment[] {
  const prefix = `${network}-`;
  const names = resultNames(cacheDir).filter((name) => name.startsWith(prefix));
  return names.flatMap((name): CachedAttachment[] => {
    const path = join(resultsDir(cacheDir), name);
    const file = parseCacheFile(readText(path));
    if (file === undefined) return [];
    if (file.kind === undefined) return bareResult(path, name.slice(prefix.length));
    if (file.kind !== 'cniCacheV1' || file.networkName !== network) return [];
    return [attachmentOf(path, file)];
  });
}

/** What cnitool, or rkt in its place, has attached, with the network's name, by file name. */
export const toolAttachments = (cacheDir: string): (CachedAttachment & { readonly network: string })[] =>
  resultNames(cacheDir)
    .filter((name) => name.includes(`-${toolPrefix}`))
    .flatMap((name) => {
      const path = join(resultsDir(cacheDir), name);
      const file = parseCacheFile(readText(path));
      if (file?.kind !== 'cniCacheV1' || file.containerId?.startsWith(toolPrefix) !== true || file.networkName === undefined) return [];
      return [{ ...attachmentOf(path, file), network: file.networkName }];
    });

const attachmentOf = (path: string, file: CacheFile): CachedAttachment => ({
  path,
  containerId: file.containerId ?? '',
  ifName: file.ifName ?? '',
  netns: file.netns ?? '',
  ...(file.config === undefined ? {} : { config: Buffer.from(file.config, 'base64').toString() }),
  args: file.cniArgs ?? [],
  capabilityArgs: file.capabilityArgs ?? {},
});

/** The name of the network that an interface of a container is attached to; undefined when it is attached to none that anybody cached. */
export function cachedNetwork(cacheDir: string, containerId: string, ifName: string): string | undefined {
  const ending = `-${containerId}-${ifName}`;
  const files = resultNames(cacheDir)
    .filter((name) => name.endsWith(ending))
    .map((name) => parseCacheFile(readText(join(resultsDir(cacheDir), name))));
  return files.find((file) => file?.containerId === containerId && file.ifName === ifName)?.networkName;
}

const resultNames = (cacheDir: string): string[] => namesIn(resultsDir(cacheDir));

/** `rest`: a container ID and an interface name with a dash between, either of which may hold more. */
const bareResult = (path: string, rest: string): CachedAttachment[] =>
  [...rest.matchAll(/-/g)]
    .map(({ index }) => ({ path, containerId: rest.slice(0, index), ifName: rest.slice(index + 1), netns: '', args: [], capabilityArgs: {} }))
    .filter(({ containerId, ifName }) => isContainerId(containerId) && isIfName(ifName));

function parseCacheFile(text: string | undefined): CacheFile | undefined {
  try {
    const value: unknown = text === undefined ? undefined : JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // not a cache file of ours or libcni's (L8 skips these)
  }
}
