/**
 * Configuration lists as they would run now, one by one: for commands that are about a network and not about a pod.
 * Conflicts of subnets are not asked about: what is looked at may be what causes them.
 */
import { join } from 'node:path';
import { RuntimeError } from '../model/errors.ts';
import { isObject } from '../model/cni/known-key.ts';
import { pluginTexts } from '../model/cni/inject.ts';
import type { CapabilityArgs } from '../model/cni/types.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import { confDirectories, loadConf } from './conf/load.ts';
import { parseList, parseSingle } from './conf/parse.ts';
import type { ConfDirectory, LoadedConf, NetworkConf } from './conf/types.ts';
import { readFacts } from './facts/facts.ts';
import { pluginSearchPath } from './facts/plugins.ts';
import { executablesToProbe, planNetworks, type PlanInput } from './plan/plan.ts';
import { joinableNetworks, selectNetworks } from './plan/select.ts';
import type { PlanServices } from './plan-pod.ts';

declare const __DIST__: string;

/** Where lists and plugins are looked for. */
export interface ListSource {
  readonly directories: readonly ConfDirectory[];
  /** CNI_PATH */
  readonly pluginPath: readonly string[];
  /** executables only, also of types that rkt has built in */
  readonly forceExec: boolean;
  /** its lists may be used by other runtimes as well */
  readonly shared: boolean;
}

/** What pods of rkt use. Our own executables stand last: they serve where the machine has none. */
export const ownSource = (settings: Settings): ListSource => ({
  directories: confDirectories(settings, `${__DIST__}/net.d`),
  pluginPath: [...pluginSearchPath(settings.localConfig), join(__DIST__, 'cni')],
  forceExec: false,
  shared: false,
});

/** The definition that counts. @throws ERR_NET_NOT_FOUND, ERR_NETCONF_INVALID, ERR_NETCONF_DUPLICATE */
export function findConf(name: string, source: ListSource): { readonly conf: NetworkConf; readonly notices: readonly string[] } {
  const loaded = loadConf(source.directories);
  const { networks, warnings } = selectNetworks(requestFor(name), loaded);
  const conf = networks[0];
  if (conf === undefined) throw new RuntimeError('ERR_NET_NOT_FOUND', `no network "${name}"`);
  return { conf, notices: warnings.filter((text) => text.includes(`"${name}"`) || text.includes(conf.source.path)) };
}

/** Names of all networks that can be used, in joining order. */
export const listNames = (source: ListSource): string[] => joinableNetworks(loadConf(source.directories)).networks.map(({ name }) => name);

const requestFor = (name: string) =>
  ({ mode: 'contained', all: false, networks: [{ name, args: [], capabilityArgs: {} }], warnings: [] }) as const satisfies PlanInput['request'];

/** A list with its plugins found and its version chosen. @throws as {@link findConf}; ERR_PLUGIN_NOT_FOUND; ERR_PLUGIN_* of VERSION */
export function resolveList(conf: NetworkConf, source: ListSource, services: PlanServices): PlannedNetwork {
  const configs: LoadedConf = { networks: [conf], faulty: [], notices: [] };
  const facts = { ...readFacts([conf], source.pluginPath), routes: [] };
  const input: PlanInput = {
    request: requestFor(conf.name),
    configs,
    ports: [],
    facts,
    builtinTypes: services.builtinTypes,
    forceExec: source.forceExec,
  };
  // Without a choice nothing is asked: a DEL goes as far as it gets, whoever refuses the version.
  const needed = executablesToProbe(input).filter((probe) => probe.needed);
  const versions = Object.fromEntries(needed.map(({ path }) => [path, services.versionsOf(path)]));
  const [network] = planNetworks({ ...input, facts: { ...facts, versions } }).networks;
  if (network === undefined) throw new RuntimeError('ERR_NET_NOT_FOUND', `no network "${conf.name}"`);
  return network;
}

/** {@link findConf} and {@link resolveList}. */
export const findList = (name: string, source: ListSource, services: PlanServices): PlannedNetwork =>
  resolveList(findConf(name, source).conf, source, services);

/** What an attachment adds to its list. */
export interface AttachmentArguments {
  readonly ifName: string;
  readonly args: readonly (readonly [string, string])[];
  readonly capabilityArgs: CapabilityArgs;
}

/** The list for one attachment: each plugin receives what it declares of what is supplied (R30). */
export function withArguments(network: PlannedNetwork, { ifName, args, capabilityArgs }: AttachmentArguments): PlannedNetwork {
  const declared = pluginTexts(network.confList).map((text) => {
    const plugin = JSON.parse(text) as { capabilities?: unknown };
    return isObject(plugin.capabilities) ? plugin.capabilities : {};
  });
  return {
    ...network,
    ifName,
    args,
    capabilityArgs,
    plugins: network.plugins.map(({ type, via, ipam }, i) => {
      const supplied = Object.entries(capabilityArgs).filter(([capability]) => declared[i]?.[capability] === true);
      return {
        type,
        via,
        ...(ipam === undefined ? {} : { ipam }),
        ...(supplied.length === 0 ? {} : { runtimeConfig: Object.fromEntries(supplied) }),
      };
    }),
  };
}

/** The list in a cache file or record: text that was valid once. Undefined when it is not any more. */
export function confFromText(text: string, name: string, path: string): NetworkConf | undefined {
  const file = { path, text };
  const parsed = parseList(file, 'admin', () => []);
  if ('ok' in parsed && parsed.ok.name === name) return parsed.ok;
  const single = parseSingle(file, 'admin');
  return 'ok' in single && single.ok.name === name ? single.ok : undefined;
}
