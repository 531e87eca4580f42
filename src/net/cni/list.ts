/**
 * libcni's loop over one configuration list. Unlike libcni: DEL goes on past errors (R20, D3), what a failed ADD
 * made is the caller's journal to undo (R4, D4), nothing of today's net.d is read (R6).
 */
import { existsSync } from 'node:fs';
import { netnsExists } from '../../host/netns.ts';
import { RuntimeError, isCode, isRuntimeError, messageOf } from '../../model/errors.ts';
import { isContainerId, isIfName, isNetworkName } from '../../model/ids.ts';
import { cniCode, type AttachmentId, type CniResult } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import { readCache, removeCache, writeCache } from './cache.ts';
import { CniPluginError } from './errors.ts';
import { isObject, knownKey } from '../../model/cni/known-key.ts';
import { callPlugin, type Callee } from './invoke.ts';
import { environmentFor, speaks, stdinFor } from './request.ts';
import type { Attachment, CniServices } from './services.ts';
import { unfinishedAdd } from './unfinished.ts';

function calleeOf(network: PlannedNetwork, index: number, { netnsStays }: CniServices): Callee {
  const plugin = network.plugins[index];
  if (plugin === undefined) throw new Error(`network ${network.name} has no plugin ${index}`);
  return {
    network: network.name,
    type: plugin.type,
    via: plugin.via,
    // Whoever detaches a pod's network destroys its namespace next.
    netnsDies: netnsStays !== true,
    ...(plugin.ipam === undefined ? {} : { ipam: plugin.ipam }),
  };
}

/** D2: names become file names and arguments, for DEL as much as for ADD. */
function validate(network: PlannedNetwork, attachment: Attachment): void {
  if (!isNetworkName(network.name)) throw new RuntimeError('ERR_NETCONF_INVALID', `network name ${JSON.stringify(network.name)} is not valid`);
  if (!isContainerId(attachment.containerId))
    throw new RuntimeError('ERR_NET_ARGS', `container ID ${JSON.stringify(attachment.containerId)} is not valid`);
  if (!isIfName(network.ifName)) throw new RuntimeError('ERR_NET_ARGS', `interface name ${JSON.stringify(network.ifName)} is not valid`);
}

/**
 * ADD: every plugin in order, each given the result before it (R18). The result is cached for others to see (R19).
 * @throws the first plugin's failure; whatever exists by then is for {@link delList}
 */
export function addList(network: PlannedNetwork, attachment: Attachment, services: CniServices): CniResult {
  validate(network, attachment);
  let result: CniResult | undefined;
  for (const index of network.plugins.keys()) {
    const input = { stdin: stdinFor(network, index, 'ADD', result, [], attachment.names), env: environmentFor(network, 'ADD', attachment) };
    result = callPlugin(calleeOf(network, index, services), 'ADD', input, services);
  }
  const final = result ?? { cniVersion: network.cniVersion };
  writeCache(services.cacheDir, network, attachment, final);
  return final;
}

/**
 * DEL: every plugin in reverse, past errors. Idempotent. After an ADD that did not get to its end it goes by what the calls
 * that were made tell ({@link unfinishedAdd}).
 * @param known - the final ADD result, when the caller has it; else the cache is asked (R21)
 * @throws ERR_UNDO_INCOMPLETE naming every plugin that failed; the cache stays for the next try
 */
export function delList(network: PlannedNetwork, attachment: Attachment, services: CniServices, known: CniResult | undefined): void {
  validate(network, attachment);
  const final = known ?? readCache(services.cacheDir, network, attachment);
  const unfinished = final === undefined ? unfinishedAdd(network, attachment, services.recorded()) : undefined;
  const prev = final ?? unfinished?.result;
  const there = { ...attachment, netns: attachment.netns !== '' && netnsExists(attachment.netns) ? attachment.netns : '' };
  const failures: string[] = [];
  let cause: unknown;
  for (const index of [...network.plugins.keys()].reverse()) {
    const input = { stdin: stdinFor(network, index, 'DEL', prev, [], attachment.names), env: environmentFor(network, 'DEL', there) };
    try {
      callPlugin(calleeOf(network, index, services), 'DEL', input, services);
    } catch (error) {
      // The container is unknown to the plugin: nothing to delete there (R39).
      if (error instanceof CniPluginError && error.cniCode === cniCode.unknownContainer) continue;
      const refusesVersion = error instanceof CniPluginError && error.cniCode === cniCode.version;
      if (refusesVersion && unfinished !== undefined && index >= unfinished.refusedFrom) continue;
      failures.push(messageOf(error));
      if (!isCode(cause, 'ERR_INTERRUPTED')) cause = error;
    }
  }
  // Told to stop, the others were asked all the same, once: afterwards their namespace is gone.
  if (isCode(cause, 'ERR_INTERRUPTED')) throw cause;
  if (failures.length > 0) throw new RuntimeError('ERR_UNDO_INCOMPLETE', failures.join('; '), { details: failures, cause });
  removeCache(services.cacheDir, network, attachment);
}

/**
 * GC: every plugin in order, past errors (R25), for a list of at least 1.1.0; older ones have no such verb.
 * Executables that are not there any more are left out. Our own plugins know it whatever the list's version, because what they share is theirs to clear.
 * @throws ERR_UNDO_INCOMPLETE naming every plugin that failed
 */
export function gcList(network: PlannedNetwork, valid: readonly AttachmentId[], services: CniServices): void {
  const failures: string[] = [];
  for (const [index, plugin] of network.plugins.entries()) {
    // One that is gone can be asked for nothing, and DEL was its duty: a network is not kept for it.
    if (plugin.via !== 'builtin' && (!speaks(network, 'GC') || !existsSync(plugin.via))) continue;
    const spoken: PlannedNetwork = plugin.via === 'builtin' ? { ...network, cniVersion: '1.1.0' } : network;
    const input = { stdin: stdinFor(spoken, index, 'GC', undefined, valid), env: environmentFor(spoken, 'GC', undefined) };
    try {
      callPlugin(calleeOf(network, index, services), 'GC', input, services);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (failures.length > 0) throw new RuntimeError('ERR_UNDO_INCOMPLETE', failures.join('; '), { details: failures });
}

/** A flag of the list itself, true or "true" in any case (L11). */
function isSet(confList: string, key: string): boolean {
  const list = JSON.parse(confList) as unknown;
  return isObject(list) && String(knownKey(list, key)).toLowerCase() === 'true';
}

/** Why CHECK is not for this list: `version`: it has no such verb (L26, V12); `disabled`: it says so (C4). Undefined: it is. */
export function checkObstacle(network: PlannedNetwork): 'version' | 'disabled' | undefined {
  if (!speaks(network, 'CHECK')) return 'version';
  return isSet(network.confList, 'disableCheck') ? 'disabled' : undefined;
}

/**
 * CHECK: every plugin in order with the final ADD result, up to the first that finds fault (R22, R24). Nothing for lists
 * with a {@link checkObstacle}.
 * @param known - the final ADD result, when the caller has it; else the cache is asked
 * @throws the first plugin's failure
 */
export function checkList(network: PlannedNetwork, attachment: Attachment, services: CniServices, known: CniResult | undefined): void {
  validate(network, attachment);
  if (checkObstacle(network) !== undefined) return;
  const prev = known ?? readCache(services.cacheDir, network, attachment);
  for (const index of network.plugins.keys()) {
    const input = { stdin: stdinFor(network, index, 'CHECK', prev, [], attachment.names), env: environmentFor(network, 'CHECK', attachment) };
    callPlugin(calleeOf(network, index, services), 'CHECK', input, services);
  }
}

/** What a plugin says of itself; `asked` false: the list is of a version without STATUS, and the plugin is none of ours. */
export interface PluginStatus {
  readonly type: string;
  readonly via: string;
  readonly asked: boolean;
  /** undefined: ready, or not asked */
  readonly failure?: RuntimeError;
}

/** STATUS of every plugin in order, past errors, for a list of at least 1.1.0 (L29). Our own know it whatever the list's version. */
export function statusList(network: PlannedNetwork, services: CniServices): PluginStatus[] {
  return network.plugins.map(({ type, via, ipam }, index) => {
    const isOurs = via === 'builtin' && (ipam === undefined || ipam.via === 'builtin');
    if (!isOurs && !speaks(network, 'STATUS')) return { type, via, asked: false };
    const spoken: PlannedNetwork = isOurs ? { ...network, cniVersion: '1.1.0' } : network;
    const input = { stdin: stdinFor(spoken, index, 'STATUS', undefined, []), env: environmentFor(spoken, 'STATUS', undefined) };
    try {
      callPlugin(calleeOf(network, index, services), 'STATUS', input, services);
      return { type, via, asked: true };
    } catch (error) {
      if (!isRuntimeError(error) || isCode(error, 'ERR_INTERRUPTED')) throw error;
      return { type, via, asked: true, failure: error };
    }
  });
}
