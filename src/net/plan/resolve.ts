/** Where each plugin comes from, and which CNI version all plugins of a list can speak. Pure. */
import { RuntimeError } from '../../model/errors.ts';
import { didYouMean } from '../../model/ids.ts';
import { cniVersions, type CniVersion } from '../../model/cni/types.ts';
import type { NetworkConf } from '../conf/types.ts';
import type { NetFacts } from '../facts/types.ts';

/** What resolution depends on besides the configuration. */
export interface ResolveInput {
  readonly facts: NetFacts;
  /** types that come with rkt */
  readonly builtinTypes: readonly string[];
  /** --net-exec: executables only */
  readonly forceExec: boolean;
}
export interface ResolvedPlugin {
  readonly type: string;
  readonly via: string;
  readonly ipam?: { readonly type: string; readonly via: string };
}
/** A type nobody provides. */
interface Missing {
  readonly network: NetworkConf;
  readonly type: string;
  readonly place: string;
  /** rkt has it, but the plugin that calls it is an executable and can only run executables */
  readonly onlyBuiltin: boolean;
}

/**
 * Resolves every plugin and its IPAM delegate. A built-in plugin is used unless the admin put an executable of that
 * name into their own net.d, or `forceExec`. The delegate of an executable is an executable, because that is what it will run (P16).
 * @throws RuntimeError ERR_PLUGIN_NOT_FOUND naming every missing type
 */
export function resolvePlugins(networks: readonly NetworkConf[], input: ResolveInput): Map<NetworkConf, ResolvedPlugin[]> {
  const missing: Missing[] = [];
  const resolved = new Map<NetworkConf, ResolvedPlugin[]>();
  for (const network of networks) {
    resolved.set(
      network,
      network.plugins.map((plugin, i): ResolvedPlugin => {
        const place = `plugins[${i}]`;
        const find = (type: string, at: string, execOnly: boolean): string => {
          const via = locate(type, execOnly, input);
          if (via === undefined) missing.push({ network, type, place: at, onlyBuiltin: input.builtinTypes.includes(type) });
          return via ?? '';
        };
        const via = find(plugin.type, `${place}.type`, input.forceExec);
        if (plugin.ipam === undefined) return { type: plugin.type, via };
        // Nothing is known about the delegate of a plugin that is itself missing.
        const ipamVia = via === '' ? '' : find(plugin.ipam.type, `${place}.ipam.type`, via !== 'builtin');
        return { type: plugin.type, via, ipam: { type: plugin.ipam.type, via: ipamVia } };
      }),
    );
  }
  if (missing.length > 0) refuse(missing, input);
  return resolved;
}

function locate(type: string, execOnly: boolean, { facts, builtinTypes }: ResolveInput): string | undefined {
  const executable = Object.hasOwn(facts.executables, type) ? facts.executables[type] : undefined;
  if (execOnly || !builtinTypes.includes(type)) return executable;
  return executable !== undefined && executable === `${facts.pluginPath[0] ?? ''}/${type}` ? executable : 'builtin';
}

function refuse(missing: readonly Missing[], { facts, builtinTypes }: ResolveInput): never {
  const lines = missing.map(({ network, type, place, onlyBuiltin }) => {
    const near = didYouMean(
      type,
      [...new Set([...builtinTypes, ...Object.keys(facts.executables)])].filter((known) => known !== type),
    );
    const why = onlyBuiltin ? ' (rkt has it built in, but an executable is needed here)' : near === undefined ? '' : `; did you mean "${near}"?`;
    return `plugin "${type}" of network "${network.name}" (${network.source.path}, ${place})${why}`;
  });
  const types = [...new Set(missing.map(({ type }) => `"${type}"`))];
  const first = missing[0];
  const where = first === undefined || missing.length > 1 ? '' : ` of network "${first.network.name}" (${first.network.source.path})`;
  throw new RuntimeError('ERR_PLUGIN_NOT_FOUND', `plugin ${types.join(', ')}${where} not found`, {
    details: [...new Set(lines), ...facts.pluginPath.map((directory) => `searched ${directory}`)],
    hint: 'install the plugin into one of these directories (Debian: apt install containernetworking-plugins)',
  });
}

const executablesOf = (plugins: readonly ResolvedPlugin[]): string[] =>
  [...new Set(plugins.flatMap(({ via, ipam }) => [via, ...(ipam === undefined ? [] : [ipam.via])]))].filter((via) => via !== 'builtin');

/** An executable that is asked for its CNI versions. */
export interface Probe {
  readonly path: string;
  /** its answer decides: the list leaves a choice (V2). Else it may keep silent, and only a plain no counts */
  readonly needed: boolean;
}

/** Executables of a list to ask. Of the time of 0.1.0 nobody: then there was no VERSION, and what a plugin does with it is not known (V9). */
export const probesOf = (network: NetworkConf, plugins: readonly ResolvedPlugin[]): Probe[] =>
  network.versions.at(-1) === '0.1.0' ? [] : executablesOf(plugins).map((path) => ({ path, needed: network.versions.length > 1 }));

/**
 * The highest version that the list names, rkt speaks and every plugin accepts (V1, V2, V11; D9). Executables that were not
 * asked are taken to accept any: the plugin itself refuses if it must (V4).
 * @throws RuntimeError ERR_NETCONF_INVALID when no version suits all
 */
export function chooseVersion(
  network: NetworkConf,
  plugins: readonly ResolvedPlugin[],
  { facts, builtinTypes, forceExec }: ResolveInput,
): CniVersion {
  const asked = probesOf(network, plugins).flatMap(({ path }) => {
    const speaks = Object.hasOwn(facts.versions, path) ? facts.versions[path] : undefined;
    return speaks === undefined ? [] : [{ path, speaks }];
  });
  const suitsAll = (version: CniVersion): boolean => asked.every(({ speaks }) => speaks.includes(version));
  const chosen = network.versions.findLast(suitsAll);
  if (chosen !== undefined) return chosen;
  const common = cniVersions.findLast(suitsAll);
  const hasOwn =
    forceExec && plugins.every(({ type, ipam }) => builtinTypes.includes(type) && (ipam === undefined || builtinTypes.includes(ipam.type)));
  throw new RuntimeError('ERR_NETCONF_INVALID', `no CNI version suits all plugins of network "${network.name}" (${network.source.path})`, {
    details: [
      `the list names ${network.versions.join(', ')}`,
      ...asked.map(({ path, speaks }) => `${path} speaks ${speaks.length === 0 ? 'none' : speaks.join(', ')}`),
    ],
    hint: [
      common === undefined ? 'add a version that all of them speak to "cniVersions"' : `add "${common}", which all of them speak, to "cniVersions"`,
      'install plugins that speak one of the list',
      ...(hasOwn ? ['leave out --net-exec: the plugins built into rkt speak every version'] : []),
    ].join('; or '),
  });
}
