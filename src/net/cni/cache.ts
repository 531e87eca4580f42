/** libcni's result cache: cnitool, podman and others read what we wrote, and we understand what they wrote. @see cni.md L1-L9 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { atomicFiles, makeDirectory, readText, removeAtomic, writeAtomic } from '../../host/files.ts';
import { formatResult, parseResult } from '../../model/cni/result.ts';
import type { AttachmentId, CniResult } from '../../model/cni/types.ts';
import { RuntimeError, diskHint, isErrno, messageOf } from '../../model/errors.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { Attachment } from './services.ts';

interface CacheFile {
  readonly kind?: string;
  readonly containerId?: string;
  readonly ifName?: string;
  readonly networkName?: string;
  readonly result?: unknown;
}

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

/** Attachments to a network of that name that anybody's libcni has cached. File names are ambiguous (L8): contents decide. */
export function cachedAttachments(cacheDir: string, network: string): AttachmentId[] {
  let names: string[];
  try {
    names = readdirSync(resultsDir(cacheDir)).filter((name) => name.startsWith(`${network}-`));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
  return names.sort().flatMap((name) => {
    const file = parseCacheFile(readText(join(resultsDir(cacheDir), name)));
    return file?.kind === 'cniCacheV1' && file.networkName === network ? [{ containerID: file.containerId ?? '', ifname: file.ifName ?? '' }] : [];
  });
}

function parseCacheFile(text: string | undefined): CacheFile | undefined {
  try {
    return text === undefined ? undefined : (JSON.parse(text) as CacheFile);
  } catch {
    return undefined; // not a cache file of ours or libcni's (L8 skips these)
  }
}
