/** STATUS of networks: whether an ADD could be served now. @see cni.md P12, R28, L29 */
import type { Settings } from '../model/settings.ts';
import { isRuntimeError } from '../model/errors.ts';
import { CniPluginError } from '../net/cni/errors.ts';
import { statusList } from '../net/cni/list.ts';
import { findList, listNames, ownSource } from '../net/lists.ts';
import { toolSource } from '../net/tool.ts';
import { cniServices, planServices } from './cni.ts';

/** What one plugin of a list answered. */
export interface PluginReadiness {
  readonly type: string;
  readonly via: string;
  /** 'not asked': its version of CNI has no STATUS */
  readonly state: 'ready' | 'not ready' | 'not asked';
  /** CNI code of a refusal: 50 nothing new can be served, 51 what is served is limited */
  readonly code?: number;
  readonly message?: string;
  readonly hint?: string;
}
export interface NetworkReadiness {
  readonly name: string;
  readonly cniVersion: string;
  readonly ready: boolean;
  readonly plugins: readonly PluginReadiness[];
  /** why the network cannot even be asked */
  readonly problem?: string;
}

/** @param names - none: every network that pods can join */
export function networkStatus(settings: Settings, names: readonly string[]): NetworkReadiness[] {
  const own = ownSource(settings);
  const all = process.env['NETCONFPATH'] === undefined ? own : toolSource(process.env, own, '');
  return (names.length === 0 ? listNames(all) : names).map((name) => readinessOf(settings, name));
}

function readinessOf(settings: Settings, name: string): NetworkReadiness {
  try {
    const network = findList(name, toolSource(process.env, ownSource(settings), name), planServices(settings));
    const plugins = statusList(network, cniServices(undefined)).map(({ type, via, asked, failure }): PluginReadiness => {
      if (failure === undefined) return { type, via, state: asked ? 'ready' : 'not asked' };
      const code = failure instanceof CniPluginError ? failure.cniCode : undefined;
      return {
        type,
        via,
        state: 'not ready',
        ...(code === undefined ? {} : { code }),
        message: failure.message,
        ...(failure.hint === undefined ? {} : { hint: failure.hint }),
      };
    });
    return { name, cniVersion: network.cniVersion, ready: plugins.every(({ state }) => state !== 'not ready'), plugins };
  } catch (error) {
    if (!isRuntimeError(error)) throw error;
    return { name, cniVersion: '', ready: false, plugins: [], problem: [error.message, ...error.details].join('; ') };
  }
}
