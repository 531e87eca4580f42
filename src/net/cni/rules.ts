/** Elements of table inet rkt that an attachment has by its configuration and ADD result, as our own plugins tell. */
import { parseRequest } from '../../model/cni/request.ts';
import { CniError, type CniResult } from '../../model/cni/types.ts';
import type { Element } from '../../model/ruleset.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import { environmentFor, stdinFor } from './request.ts';
import type { Attachment, CniServices } from './services.ts';

declare const __DIST__: string;

/** Ours, in process or as the executable that comes with rkt. Others make rules of their own that we know nothing of. */
const isOurs = (via: string): boolean => via === 'builtin' || via.startsWith(`${__DIST__}/cni/`);

export function expectedRules(network: PlannedNetwork, attachment: Attachment, result: CniResult, { plugins }: CniServices): Element[] {
  return network.plugins.flatMap(({ type, via }, index) => {
    const plugin = plugins.get(type);
    if (plugin?.rules === undefined || !isOurs(via)) return [];
    // Lists before 0.4.0 do not hand the result on by themselves.
    const request = parseRequest(environmentFor(network, 'CHECK', attachment), stdinFor(network, index, 'CHECK', undefined, [], attachment.names));
    try {
      return [...plugin.rules({ ...request, prevResult: result })];
    } catch (error) {
      if (error instanceof CniError) return []; // a configuration that ADD refused made no rules
      throw error;
    }
  });
}
