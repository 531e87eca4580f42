/** What of a list's DEL is to be done as soon as the pod has ended, as data. @see model/release.ts; R20, P16 */
import { findExecutable } from '../../host/run-program.ts';
import { parseRequest } from '../../model/cni/request.ts';
import type { CniResult } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import type { ReleaseOp } from '../../model/release.ts';
import { cacheFiles } from './cache.ts';
import { environmentFor, stdinFor, type PluginInput } from './request.ts';
import type { Attachment, CniServices } from './services.ts';

/**
 * Operations for an attachment that was ADDed with `result`: each of our plugins says what it needs, an executable is run with
 * DEL, in reverse; last the cache entry. Touches nothing. Throws {@link CniError} for a request that DEL would refuse, too.
 */
export function releaseList(network: PlannedNetwork, attachment: Attachment, services: CniServices, result: CniResult): ReleaseOp[] {
  const env = environmentFor(network, 'DEL', attachment);
  const plugins = [...network.plugins.entries()].reverse();
  return [
    ...plugins.flatMap(([index, { type, via, ipam }]) =>
      releasePlugin(type, via, { stdin: stdinFor(network, index, 'DEL', result, []), env }, services, ipam),
    ),
    { op: 'unlink', files: cacheFiles(services.cacheDir, network, attachment).map((path) => ({ path })) },
  ];
}

function releasePlugin(
  type: string,
  via: string,
  input: PluginInput,
  services: CniServices,
  ipam?: { readonly type: string; readonly via: string },
): readonly ReleaseOp[] {
  if (via !== 'builtin') return [{ op: 'run', path: via, env: input.env, stdin: input.stdin, timeoutMs: services.timeoutMs }];
  const plugin = services.plugins.get(type);
  if (plugin?.release === undefined) return [];
  const request = parseRequest(input.env, input.stdin);
  return plugin.release(request, (delegate) => {
    const found = ipam?.type === delegate ? ipam.via : services.plugins.has(delegate) ? 'builtin' : findExecutable(delegate, request.path);
    return found === undefined ? [] : releasePlugin(delegate, found, input, services);
  });
}
