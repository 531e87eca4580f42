/** Attachments that are no pod's: the verbs of cnitool. What is attached is known by libcni's cache alone. */
import { writeSync } from 'node:fs';
import { currentNetns, netnsExists, netnsIdentity } from '../host/netns.ts';
import { RuntimeError, messageOf } from '../model/errors.ts';
import { formatResult } from '../model/cni/result.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import { type CachedAttachment, cachedAttachments, cachedNetwork, toolPrefix } from '../net/cni/cache.ts';
import { addList, checkList, checkObstacle, delList, gcList } from '../net/cni/list.ts';
import type { Attachment, CniCall, CniServices } from '../net/cni/services.ts';
import { confFromText, findList, type ListSource, ownSource, resolveList, withArguments } from '../net/lists.ts';
import { toolArguments, toolAttachment, toolSource } from '../net/tool.ts';
import { lockNetwork, recordNetwork, tryLockNetwork } from '../state/network/record.ts';
import { cacheDir, cniServices, planServices } from './cni.ts';

/** The namespace is the caller's and stays; what plugins say on stderr is for whoever is looking. */
function services(): CniServices {
  const calls: CniCall[] = [];
  return {
    ...cniServices(undefined),
    env: { ...cniServices(undefined).env, ...(isOverridden() ? { [override]: '1' } : {}) },
    netnsStays: true,
    record: (call) => {
      calls.push(call);
      if (call.stderr !== '') writeSync(2, call.stderr);
    },
    recorded: () => calls,
  };
}

/** skel's way out for who means to attach the host itself (R8). */
const override = 'CNI_NETNS_OVERRIDE';
const isOverridden = (): boolean => ['1', 'true'].includes((process.env[override] ?? '').toLowerCase());

/** One attachment as the environment, the operands and the cache have it. */
interface ToolTarget {
  readonly attachment: Attachment;
  readonly ifName: string;
  readonly cached: CachedAttachment | undefined;
  readonly source: ListSource;
}

function targetOf(settings: Settings, name: string, netns: string): ToolTarget {
  const attachment = toolAttachment(netns);
  const { ifName } = toolArguments(process.env);
  const cached = cachedAttachments(cacheDir, name).find((item) => item.containerId === attachment.containerId && item.ifName === ifName);
  return { attachment, ifName, cached, source: toolSource(process.env, ownSource(settings), name) };
}

/** The list of the ADD, when the cache has it: what is configured may have changed since (R6). */
function listOf(settings: Settings, name: string, cached: CachedAttachment | undefined, source: ListSource): PlannedNetwork {
  const conf = cached?.config === undefined ? undefined : confFromText(cached.config, name, cached.path);
  if (cached === undefined || conf === undefined) return withArguments(findList(name, source, planServices(settings)), toolArguments(process.env));
  return withArguments(resolveList(conf, source, planServices(settings)), cached);
}

/**
 * ADD. What a failed one made is undone (R4).
 * @returns the result as its version writes it
 * @throws ERR_NET_ARGS when the interface is attached already (R17), or the namespace is the host's (R8); what finding the list and {@link addList} throw
 */
export function toolAdd(settings: Settings, name: string, netns: string): Record<string, unknown> {
  const { attachment, ifName, source } = targetOf(settings, name, netns);
  const network = withArguments(findList(name, source, planServices(settings)), toolArguments(process.env));
  if (netnsExists(attachment.netns) && netnsIdentity(attachment.netns) === currentNetns() && !isOverridden())
    throw new RuntimeError('ERR_NET_ARGS', `${attachment.netns} is the network namespace of the host`, {
      hint: `plugins would change the host's own network; ${override}=1 if that is meant`,
      exitCode: 1,
    });
  const other = cachedNetwork(cacheDir, attachment.containerId, ifName);
  if (other !== undefined)
    throw new RuntimeError('ERR_NET_ARGS', `${ifName} of ${attachment.netns} is attached to network "${other}" already`, {
      hint: `rkt net del ${other} ${attachment.netns}`,
      exitCode: 1,
    });
  using held = lockNetwork(settings.dataDir, name);
  void held;
  if (!source.shared) recordNetwork(settings.dataDir, network);
  const cni = services();
  try {
    return formatResult(addList(network, attachment, cni), network.cniVersion);
  } catch (error) {
    throw undone(error, () => delList(network, attachment, cni, undefined));
  }
}

/** The failure, with what undoing it could not do. */
function undone(error: unknown, undo: () => void): unknown {
  try {
    undo();
    return error;
  } catch (kept) {
    return error instanceof RuntimeError
      ? new RuntimeError(error.code, error.message, { cause: error, details: [...error.details, `could not be undone: ${messageOf(kept)}`] })
      : error;
  }
}

/** CHECK. @returns why the list is not checked, if so @throws ERR_NET_ARGS when nothing is attached (R23) or the version has no CHECK (L26); the plugin's failure */
export function toolCheck(settings: Settings, name: string, netns: string): 'disabled' | undefined {
  const { attachment, ifName, cached, source } = targetOf(settings, name, netns);
  const network = listOf(settings, name, cached, source);
  const obstacle = checkObstacle(network);
  if (obstacle === 'version')
    throw new RuntimeError('ERR_NET_ARGS', `configuration version "${network.cniVersion}" does not support the CHECK command`, { exitCode: 1 });
  if (obstacle === 'disabled') return obstacle;
  if (cached === undefined)
    throw new RuntimeError('ERR_NET_ARGS', `${ifName} of ${attachment.netns} is not attached to network "${name}"`, {
      hint: `rkt net add ${name} ${attachment.netns}`,
      exitCode: 1,
    });
  using held = lockNetwork(settings.dataDir, name);
  void held;
  checkList(network, attachment, services(), undefined);
  return undefined;
}

/** DEL. Idempotent. */
export function toolDel(settings: Settings, name: string, netns: string): void {
  const { attachment, cached, source } = targetOf(settings, name, netns);
  using held = lockNetwork(settings.dataDir, name);
  void held;
  delList(listOf(settings, name, cached, source), attachment, services(), undefined);
}

/**
 * cnitool's gc: nothing that cnitool or {@link toolAdd} attached is valid any more. Unlike cnitool's, it spares what others
 * have on the network (D7). @returns why nothing is done, if so (C5) @throws ERR_UNDO_INCOMPLETE naming all that failed; ERR_EFFECT_FAILED while somebody attaches
 */
export function toolGc(settings: Settings, name: string): 'disabled' | undefined {
  const source = toolSource(process.env, ownSource(settings), name);
  const current = findList(name, source, planServices(settings));
  if (current.disableGC === true) return 'disabled';
  using held = tryLockNetwork(settings.dataDir, name);
  if (held === undefined) throw new RuntimeError('ERR_EFFECT_FAILED', `somebody attaches to network "${name}" at this moment`, { hint: 'try again' });
  const cni = services();
  const failures: string[] = [];
  const all = cachedAttachments(cacheDir, name);
  const own = all.filter(({ containerId }) => containerId.startsWith(toolPrefix));
  for (const cached of own) {
    try {
      delList(listOf(settings, name, cached, source), { containerId: cached.containerId, netns: cached.netns }, cni, undefined);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  try {
    const valid = all.filter((cached) => !own.includes(cached)).map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName }));
    gcList(current, valid, cni);
  } catch (error) {
    failures.push(messageOf(error));
  }
  if (failures.length > 0) throw new RuntimeError('ERR_UNDO_INCOMPLETE', failures.join('; '), { details: failures, exitCode: 1 });
  return undefined;
}
