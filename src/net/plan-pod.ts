/** Gather, then decide: settings and options → NetPlan. Reads the disk and /proc, touches nothing. */
import { existsSync } from 'node:fs';
import type { PlannedNetwork, NetPlan, PodNames } from '../model/plan.ts';
import type { NetOptions } from '../model/options.ts';
import type { Settings } from '../model/settings.ts';
import { RuntimeError, isRuntimeError } from '../model/errors.ts';
import { parseNetArgs } from './args.ts';
import { confDirectories, loadConf } from './conf/load.ts';
import { readFacts } from './facts/facts.ts';
import { readPortFacts } from './facts/ports.ts';
import { pluginSearchPath } from './facts/plugins.ts';
import { executablesToProbe, planNetworks, type PlanInput } from './plan/plan.ts';
import type { Probe } from './plan/resolve.ts';
import { joinableNetworks } from './plan/select.ts';
import { readNames } from './names.ts';
import { parsePortArgs, resolvePorts, type AppPorts } from './ports.ts';

declare const __DIST__: string;

/** What the planner cannot find out by reading files. */
export interface PlanServices {
  /** types that rkt has in process */
  readonly builtinTypes: readonly string[];
  /** asks an executable for its CNI versions (VERSION) */
  versionsOf(executable: string): readonly string[];
  /** what one of our own plugins (or its delegate) would refuse its configuration for */
  faultsOf(network: PlannedNetwork): readonly string[];
}

/** Every network configured, in all directories. */
export const configurations = (settings: Settings) => loadConf(confDirectories(settings, `${__DIST__}/net.d`));

/** Our own executables stand last: with --net-exec they serve where the machine has none. */
export const searchPath = (settings: Settings): string[] => [...pluginSearchPath(settings.localConfig), `${__DIST__}/cni`];

/** Reads the flags and forgets them again: nonsense is refused before an image is fetched. @throws ERR_NET_ARGS, ERR_NET_PORTS, ERR_NET_NAMES */
export function checkFlags(options: NetOptions): void {
  parseNetArgs(options.net);
  parsePortArgs(options.ports);
  readNames(options);
}

/** @throws what args, ports and plan refuse, before anything is touched */
export function planPodNetwork(settings: Settings, options: NetOptions, apps: readonly AppPorts[], services: PlanServices): NetPlan {
  const names = readNames(options);
  refuseMissing(names);
  const request = parseNetArgs(options.net);
  const ports = resolvePorts(parsePortArgs(options.ports), apps);
  const configs = configurations(settings);
  const facts = {
    ...readFacts(configs.networks, searchPath(settings), request.netns),
    ...(ports.length === 0 || request.mode !== 'contained' ? {} : { ports: readPortFacts(settings.dataDir, ports) }),
  };
  const input: PlanInput = { request, configs, ports, facts, builtinTypes: services.builtinTypes, forceExec: options.netExec };
  const versions = askVersions(executablesToProbe(input), services);
  const plan = planNetworks({ ...input, facts: { ...facts, versions } });
  refuseFaulty(plan.networks, services);
  return names === undefined ? plan : { ...plan, names };
}

/** @throws what VERSION of an executable throws whose answer is needed */
function askVersions(probes: readonly Probe[], services: PlanServices): Record<string, readonly string[]> {
  return Object.fromEntries(
    probes.flatMap(({ path, needed }): [string, readonly string[]][] => {
      try {
        return [[path, services.versionsOf(path)]];
      } catch (error) {
        if (needed || !isRuntimeError(error)) throw error;
        return []; // it may still do what the list asks for
      }
    }),
  );
}

/** A file of the host that is to be shown to the pod must be there. @throws ERR_NET_NAMES */
function refuseMissing(names: PodNames | undefined): void {
  const wanted = [
    ...(names?.dns === 'host' ? [['--dns', '/etc/resolv.conf']] : []),
    ...(names?.hosts === 'host' ? [['--hosts-entry', '/etc/hosts']] : []),
  ];
  const missing = wanted.filter(([, path = '']) => !existsSync(path));
  if (missing.length > 0)
    throw new RuntimeError('ERR_NET_NAMES', missing.map(([flag = '', path = '']) => `${flag}=host: the host has no ${path}`).join('; '));
}

/** What ADD would refuse is refused now, while nothing has to be undone. @throws ERR_NETCONF_INVALID, ERR_NET_ARGS naming every fault */
function refuseFaulty(networks: readonly PlannedNetwork[], services: PlanServices): void {
  const faulty = networks.map((network) => ({ network, faults: services.faultsOf(network) })).filter((one) => one.faults.length > 0);
  if (faulty.length === 0) return;
  const asked = faulty.flatMap(({ network, faults }) => {
    // The file is good, and what this pod asked of it is not.
    const isAsked = services.faultsOf({ ...network, args: [], capabilityArgs: {} }).length === 0;
    return isAsked ? faults.map((fault) => `network "${network.name}" cannot give what is asked of it: ${fault}`) : [];
  });
  if (asked.length > 0)
    throw new RuntimeError('ERR_NET_ARGS', asked.length === 1 ? (asked[0] ?? '') : `${asked.length} faults in what is asked of networks`, {
      details: asked.length === 1 ? [] : asked,
      hint: 'correct what follows the name of the network in --net; rkt net inspect NETWORK shows its subnets',
    });
  const faults = faulty.flatMap(({ network, faults: own }) => own.map((fault) => `network "${network.name}" (${network.source.path}): ${fault}`));
  throw new RuntimeError(
    'ERR_NETCONF_INVALID',
    faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults in the configuration of networks`,
    {
      details: faults.length === 1 ? [] : faults,
      hint: 'correct the file',
    },
  );
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
