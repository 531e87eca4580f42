/** What libcni's loop and the planner need from the outside: our plugins, time, where calls are recorded. */
import { appendFileSync } from 'node:fs';
import { readText } from '../host/files.ts';
import { monotonicMs, sleepMs } from '../host/clock.ts';
import { pendingSignal } from '../host/linux.ts';
import { isErrno } from '../model/errors.ts';
import type { Settings } from '../model/settings.ts';
import { type CachedAttachment, cachedAttachments } from '../net/cni/cache.ts';
import type { PluginRequest } from '../model/cni/plugin.ts';
import { parseRequest } from '../model/cni/request.ts';
import { CniError } from '../model/cni/types.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import { versionsOf } from '../net/cni/find.ts';
import { environmentFor, stdinFor } from '../net/cni/request.ts';
import type { CniCall, CniServices } from '../net/cni/services.ts';
import type { PlanServices } from '../net/plan-pod.ts';
import { keepVersions, keptVersions } from '../state/network/versions.ts';
import { builtinPlugins } from './plugins.ts';
import { builtinTypes } from './plugin-types.ts';

/** @param touches - whether answers of plugins may be kept for the next command */
export const planServices = ({ dataDir }: Settings, touches = true): PlanServices => ({
  builtinTypes,
  faultsOf,
  versionsOf: (executable) =>
    versionsOf(executable, {
      get: (path, file) => keptVersions(dataDir, path, file),
      set: (path, file, versions) => {
        if (touches) keepVersions(dataDir, path, file, versions);
      },
    }),
});

/** Asks our own plugins, and those they delegate to, what ADD would refuse. */
function faultsOf(network: PlannedNetwork): string[] {
  const attachment = { containerId: 'planned', netns: '/run/netns/planned' };
  return network.plugins.flatMap(({ type, via, ipam }, index) => {
    const asked = [...(via === 'builtin' ? [type] : []), ...(ipam?.via === 'builtin' ? [ipam.type] : [])];
    let request: PluginRequest | undefined;
    const add = (): PluginRequest =>
      (request ??= parseRequest(environmentFor(network, 'ADD', attachment), stdinFor(network, index, 'ADD', undefined, [])));
    return [...new Set(asked)].flatMap((name): string[] => {
      try {
        builtinPlugins.get(name)?.validate?.(add());
        return [];
      } catch (error) {
        if (!(error instanceof CniError)) throw error;
        return [`plugin ${name}: ${error.message}${error.details === '' ? '' : `; ${error.details}`}`];
      }
    });
  });
}

/** libcni's own (L1), so that other tools see our attachments. */
export const cacheDir = '/var/lib/cni';
const timeoutMs = 30_000;

/** @param callsFile - where each call is recorded, one JSON line; undefined: nowhere */
export function cniServices(callsFile: string | undefined): CniServices {
  return {
    plugins: builtinPlugins,
    cacheDir,
    timeoutMs,
    env: Object.fromEntries(
      Object.entries(process.env).flatMap(([name, value]) => (value === undefined || name.startsWith('CNI_') ? [] : [[name, value]])),
    ),
    nowMs: monotonicMs,
    pause: sleepMs,
    interrupted: pendingSignal,
    record: (call) => {
      if (callsFile === undefined) return;
      try {
        appendFileSync(callsFile, `${JSON.stringify(call)}\n`);
      } catch (error) {
        // Evidence lost to a full disk is better than a DEL that does not happen.
        if (!isErrno(error, 'ENOSPC', 'EDQUOT', 'ENOENT')) throw error;
      }
    },
    recorded: () => (callsFile === undefined ? [] : readCalls(callsFile)),
  };
}

/** Attachments on a network of that name that any runtime here has cached: they keep what they share with ours. */
export const foreignAttachments = (network: string): CachedAttachment[] => cachedAttachments(cacheDir, network);

/** Lines of the calls file; one that a kill or a full disk cut short is left out. */
export function readCalls(path: string): CniCall[] {
  return (readText(path) ?? '').split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as CniCall];
    } catch {
      return []; // half a line
    }
  });
}
