/** `rkt net inspect`: a network as it is configured, where its plugins are, and what exists because of it. */
import { contains, parseCidr, parseIp } from '../model/cidr.ts';
import { isRuntimeError, messageOf } from '../model/errors.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import type { Settings } from '../model/settings.ts';
import { checkObstacle } from '../net/cni/list.ts';
import type { NetworkConf } from '../net/conf/types.ts';
import { findConf, type ListSource, ownSource, resolveList } from '../net/lists.ts';
import { readHoldings } from '../net/observe/holdings.ts';
import { toolSource } from '../net/tool.ts';
import type { PlanServices } from '../net/plan-pod.ts';
import { expectationsOf } from '../net/plan/expects.ts';
import { planServices } from './cni.ts';
import { ownersOf } from './owners.ts';
import { builtinPlugins } from './plugins.ts';

export interface InspectedPlugin {
  readonly type: string;
  /** 'builtin', a path; undefined: not found */
  readonly via: string | undefined;
  /** CNI versions it speaks; empty: it does not say */
  readonly versions: readonly string[];
  /** capability arguments it declares */
  readonly capabilities: readonly string[];
  readonly ipam?: { readonly type: string; readonly via: string | undefined; readonly versions: readonly string[] };
}
export interface InspectedNetwork {
  readonly name: string;
  readonly source: PlannedNetwork['source'];
  /** versions the list names and rkt speaks, oldest first */
  readonly versions: readonly string[];
  /** the one that is used; undefined: none can be */
  readonly cniVersion: string | undefined;
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  readonly plugins: readonly InspectedPlugin[];
  readonly subnets: readonly { readonly subnet: string; readonly leases: number }[];
  readonly gateways: readonly string[];
  readonly bridge:
    | {
        readonly name: string;
        readonly exists: boolean;
        readonly up: boolean;
        readonly addresses: readonly string[];
        readonly ports: readonly string[];
      }
    | undefined;
  /** attachments in use */
  readonly attachments: readonly { readonly containerId: string; readonly ifName: string; readonly holder: string }[];
  /** what there is, and whose it is; holder '' = nobody's (rkt net gc) */
  readonly objects: readonly { readonly kind: string; readonly what: string; readonly holder: string }[];
  /** why pods cannot join */
  readonly problem: string | undefined;
  readonly notices: readonly string[];
}

/** @throws ERR_NET_NOT_FOUND, ERR_NETCONF_INVALID, ERR_NETCONF_DUPLICATE, ERR_JOURNAL_CORRUPT */
export function inspectNetwork(settings: Settings, name: string): InspectedNetwork {
  const source = toolSource(process.env, ownSource(settings), name);
  const services = planServices(settings);
  const { conf, notices } = findConf(name, source);
  const { network, problem } = attemptToResolve(conf, source, services);
  const owners = ownersOf(settings.dataDir, name);
  const shape = network ?? withoutPlugins(conf);
  const { holdings, bridge } = readHoldings(shape, owners.cached);
  const holderOf = (key: string | undefined): string => owners.valid.find((owner) => owner.key === key)?.text ?? '';
  return {
    name,
    source: conf.source,
    versions: conf.versions,
    cniVersion: network?.cniVersion,
    disableCheck: conf.disableCheck || (network !== undefined && checkObstacle(network) === 'disabled'),
    disableGC: conf.disableGC,
    plugins: conf.plugins.map((plugin, i) => {
      const via = network?.plugins[i]?.via;
      const ipamVia = network?.plugins[i]?.ipam?.via;
      return {
        type: plugin.type,
        via,
        versions: versionsOf(plugin.type, via, services),
        capabilities: Object.entries(plugin.capabilities ?? {}).flatMap(([key, declared]) => (declared ? [key] : [])),
        ...(plugin.ipam === undefined
          ? {}
          : { ipam: { type: plugin.ipam.type, via: ipamVia, versions: versionsOf(plugin.ipam.type, ipamVia, services) } }),
      };
    }),
    subnets: shape.expects.subnets.map((subnet) => ({ subnet, leases: holdings.filter(({ address }) => isIn(subnet, address)).length })),
    gateways: shape.expects.gateways ?? [],
    bridge:
      shape.expects.bridge === undefined
        ? undefined
        : {
            name: shape.expects.bridge,
            exists: bridge !== undefined,
            up: bridge?.up === true,
            addresses: bridge?.addresses ?? [],
            ports: (bridge?.ports ?? []).map((port) => port.name),
          },
    attachments: owners.valid.map(({ id, text }) => ({ containerId: id.containerID, ifName: id.ifname, holder: text })),
    objects: holdings.map(({ kind, what, key, containerId }) => ({
      kind,
      what,
      holder: key === undefined ? `container ${containerId}, an interface of which nothing is known` : holderOf(key),
    })),
    problem,
    notices,
  };
}

/** A list as it would run, or why it cannot. */
export function attemptToResolve(
  conf: NetworkConf,
  source: ListSource,
  services: PlanServices,
): { network: PlannedNetwork | undefined; problem: string | undefined } {
  try {
    return { network: resolveList(conf, source, services), problem: undefined };
  } catch (error) {
    if (!isRuntimeError(error)) throw error;
    return { network: undefined, problem: [error.message, ...error.details].join('; ') };
  }
}

function isIn(subnet: string, address: string | undefined): boolean {
  const [cidr, ip] = [parseCidr(subnet), parseIp(address ?? '')];
  return cidr !== undefined && ip !== undefined && contains(cidr, ip);
}

/** The shape of a network whose plugins cannot all be found: enough to look for what it left. */
export const withoutPlugins = (conf: NetworkConf): PlannedNetwork => ({
  name: conf.name,
  ifName: 'eth0',
  cniVersion: conf.versions.at(-1) ?? '0.1.0',
  source: conf.source,
  confList: conf.text,
  plugins: [],
  args: [],
  capabilityArgs: {},
  pluginPath: [],
  expects: expectationsOf(conf.plugins),
});

function versionsOf(type: string, via: string | undefined, services: PlanServices): readonly string[] {
  if (via === undefined) return [];
  if (via === 'builtin') return builtinPlugins.get(type)?.versions ?? [];
  try {
    return services.versionsOf(via);
  } catch (error) {
    return [messageOf(error)];
  }
}
