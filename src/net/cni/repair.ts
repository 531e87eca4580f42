/** A list's attachment, put back in place plugin by plugin: ours from their ADD's result, others only asked by CHECK. */
import { parseRequest } from '../../model/cni/request.ts';
import type { CniResult } from '../../model/cni/types.ts';
import { messageOf } from '../../model/errors.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import { callPlugin } from './invoke.ts';
import { checkObstacle } from './list.ts';
import { environmentFor, stdinFor } from './request.ts';
import type { Attachment, CniServices } from './services.ts';

export interface RepairOutcome {
  /** what was missing; put back when that was asked for */
  readonly missing: readonly string[];
  /** what is missing and nobody here can put back */
  readonly failures: readonly string[];
}

/**
 * @param result - the list's final ADD result
 * @param apply - false: only looks. CHECK of foreign plugins is asked in both cases (not of a list with disableCheck, or before 0.4.0).
 */
export function repairList(network: PlannedNetwork, attachment: Attachment, result: CniResult, services: CniServices, apply: boolean): RepairOutcome {
  const missing: string[] = [];
  const failures: string[] = [];
  for (const [index, { type, via, ipam }] of network.plugins.entries()) {
    const plugin = via === 'builtin' ? services.plugins.get(type) : undefined;
    // Ours know their own verb whatever the list's version.
    const spoken: PlannedNetwork = plugin === undefined ? network : { ...network, cniVersion: '1.1.0' };
    const input = { stdin: stdinFor(spoken, index, 'CHECK', result, [], attachment.names), env: environmentFor(spoken, 'CHECK', attachment) };
    try {
      if (plugin?.repair !== undefined) {
        const context = { delegate: () => undefined, note: () => undefined };
        const request = parseRequest(input.env, input.stdin);
        missing.push(...plugin.repair(request, context, apply));
        // The plugin asks its IPAM for nothing here: whose turn it is.
        const addresses = ipam?.via === 'builtin' ? services.plugins.get(ipam.type) : undefined;
        if (addresses?.repair !== undefined) missing.push(...addresses.repair(request, context, apply));
        else addresses?.check(request, context);
      } else if (checkObstacle(network) === undefined) {
        callPlugin({ network: network.name, type, via, netnsDies: false, ...(ipam === undefined ? {} : { ipam }) }, 'CHECK', input, services);
      }
    } catch (error) {
      failures.push(plugin?.repair === undefined ? `${messageOf(error)}: rkt cannot put back what this plugin makes` : messageOf(error));
    }
  }
  // Several plugins depend on one chain or setting.
  return { missing: [...new Set(missing)], failures: [...new Set(failures)] };
}
