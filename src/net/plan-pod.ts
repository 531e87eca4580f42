/** Gather, then decide: settings and options → NetPlan. Reads the disk and /proc, touches nothing. */
import type { PlannedNetwork, NetPlan } from '../model/plan.ts';
import type { NetOptions } from '../model/options.ts';
import type { Settings } from '../model/settings.ts';
import { parseNetArgs } from './args.ts';
import { confDirectories, loadConf } from './conf/load.ts';
import { readFacts } from './facts/facts.ts';
import { pluginSearchPath } from './facts/plugins.ts';
import { executablesToProbe, planNetworks, type PlanInput } from './plan/plan.ts';
import { joinableNetworks } from './plan/select.ts';
import { parsePortArgs, resolvePorts, type AppPorts } from './ports.ts';

declare const __DIST__: string;

/** What the planner cannot find out by reading files. */
export interface PlanServices {
  /** types that rkt has in process */
  readonly builtinTypes: readonly string[];
  /** asks an executable for its CNI versions (VERSION) */
  versionsOf(executable: string): readonly string[];
}

/** Every network configured, in all directories. */
export const configurations = (settings: Settings) => loadConf(confDirectories(settings, `${__DIST__}/net.d`));

/** Our own executables stand last: with --net-exec they serve where the machine has none. */
export const searchPath = (settings: Settings): string[] => [...pluginSearchPath(settings.localConfig), `${__DIST__}/cni`];

/** @throws what args, ports and plan refuse, before anything is touched */
export function planPodNetwork(settings: Settings, options: NetOptions, apps: readonly AppPorts[], services: PlanServices): NetPlan {
  const request = parseNetArgs(options.net);
  const ports = resolvePorts(parsePortArgs(options.ports), apps);
  const configs = configurations(settings);
  const facts = readFacts(configs.networks, searchPath(settings));
  const input: PlanInput = { request, configs, ports, facts, builtinTypes: services.builtinTypes, forceExec: options.netExec };
  const versions = Object.fromEntries(executablesToProbe(input).map((executable) => [executable, services.versionsOf(executable)]));
  return planNetworks({ ...input, facts: { ...facts, versions } });
}

/** A network as `rkt net list` shows it. */
export interface NetworkSummary {
  readonly name: string;
  readonly cniVersion: string;
  readonly types: readonly string[];
  readonly owner: PlannedNetwork['source']['owner'];
  readonly path: string;
}

export function listNetworks(settings: Settings): { networks: NetworkSummary[]; warnings: readonly string[] } {
  const { networks, warnings } = joinableNetworks(configurations(settings));
  return {
    networks: networks.map(({ name, versions, plugins, source }) => ({
      name,
      cniVersion: versions.at(-1) ?? '',
      types: plugins.map(({ type }) => type),
      ...source,
    })),
    warnings,
  };
}
