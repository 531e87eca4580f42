/** The network planner: what was asked + what is configured + what the machine is like → what will be done. Pure: same input, same plan. */
import { RuntimeError } from '../../model/errors.ts';
import { didYouMean } from '../../model/ids.ts';
import type { CapabilityArgs, PluginConf, PortMapping } from '../../model/cni/types.ts';
import type { NetPlan, PlannedNetwork, PlannedPlugin } from '../../model/plan.ts';
import type { NetRequest, RequestedNetwork } from '../args.ts';
import { byteOrder } from '../conf/order.ts';
import type { LoadedConf, NetworkConf } from '../conf/types.ts';
import type { NetFacts } from '../facts/types.ts';
import { refuseConflicts } from './conflicts.ts';
import { expectationsOf } from './expects.ts';
import { settlePorts } from './ports.ts';
import { chooseVersion, probesOf, resolvePlugins, type Probe, type ResolveInput, type ResolvedPlugin } from './resolve.ts';
import { selectNetworks } from './select.ts';

export interface PlanInput extends ResolveInput {
  readonly request: NetRequest;
  readonly configs: LoadedConf;
  /** published ports, resolved */
  readonly ports: readonly PortMapping[];
}

/**
 * Executables whose CNI versions the plan depends on, sorted. The caller asks each (VERSION) and puts the answers into
 * `facts.versions`; without them the highest version a list names is taken. Throws what {@link planNetworks} would.
 */
export function executablesToProbe(input: PlanInput): Probe[] {
  if (input.request.mode !== 'contained') return [];
  const { networks } = selectNetworks(input.request, input.configs);
  const resolved = resolvePlugins(networks, input);
  const probes = new Map<string, Probe>();
  for (const probe of networks.flatMap((network) => probesOf(network, resolved.get(network) ?? []))) {
    const known = probes.get(probe.path);
    probes.set(probe.path, { path: probe.path, needed: probe.needed || known?.needed === true });
  }
  return [...probes.values()].sort((a, b) => byteOrder(a.path, b.path));
}

/**
 * Plans a pod's network.
 * @throws RuntimeError ERR_NET_NOT_FOUND, ERR_NETCONF_INVALID, ERR_NETCONF_DUPLICATE, ERR_PLUGIN_NOT_FOUND, ERR_NET_ARGS
 *   (arguments no plugin of the network takes), ERR_NET_PORTS, ERR_NET_SUBNET_CONFLICT; checked in this order
 */
export function planNetworks(input: PlanInput): NetPlan {
  const { request, ports } = input;
  if (request.mode !== 'contained') return withoutNetworks(input);

  const { networks, warnings } = selectNetworks(request, input.configs);
  const resolved = resolvePlugins(networks, input);
  const asked = new Map(request.networks.map((network) => [network.name, network]));
  refuseUntakenArgs(networks, asked);
  const published = networks.find((network) => takes(network, 'portMappings'));
  if (ports.length > 0 && published === undefined) refusePorts(networks);

  const plan = (conf: NetworkConf, index: number, mapped: readonly PortMapping[]): PlannedNetwork =>
    planOne(conf, { index, plugins: resolved.get(conf) ?? [], asked: asked.get(conf.name), ports: mapped, input });
  const bare = networks.map((conf, index) => plan(conf, index, []));
  const publisher = bare.find((_, index) => networks[index] === published);
  const { ports: mapped, warnings: portWarnings } =
    publisher === undefined || ports.length === 0 || input.facts.ports === undefined
      ? { ports, warnings: [] }
      : settlePorts(ports, publisher, bare, input.facts.ports);
  const planned = networks.flatMap((conf, index) => (conf === published && mapped.length > 0 ? plan(conf, index, mapped) : (bare[index] ?? [])));
  refuseConflicts(planned, input.facts.routes, input.facts.pluginPath[0] ?? '');
  return {
    mode: 'contained',
    networks: planned,
    warnings: [...new Set([...request.warnings, ...warnings, ...portWarnings, ...sharedSubnets(planned)])].sort(byteOrder),
  };
}

function withoutNetworks({ request, ports, facts }: PlanInput): NetPlan {
  if (request.mode === 'ns') return inNamespace(request, ports, facts);
  if (ports.length > 0 && request.mode === 'none') {
    throw new RuntimeError('ERR_NET_PORTS', 'a port cannot be published to a pod without a network', { hint: 'leave out --net=none or --port' });
  }
  // rkt only maps ports of contained pods (rkt 2.9): with the host's network an app's ports are the host's.
  const unused = ports.length > 0 ? ['--port has no effect with --net=host: ports of the apps are ports of the host'] : [];
  return { mode: request.mode, networks: [], warnings: [...request.warnings, ...unused].sort(byteOrder) };
}

function inNamespace({ netns = '', warnings }: NetRequest, ports: readonly PortMapping[], { netnsExists, netnsIsOwn }: NetFacts): NetPlan {
  if (netnsExists === false)
    throw new RuntimeError('ERR_NET_ARGS', `there is no network namespace at ${netns}`, { hint: 'ip netns add NAME makes /run/netns/NAME' });
  if (ports.length > 0) {
    throw new RuntimeError('ERR_NET_PORTS', `a port cannot be published to a pod in ${netns}`, {
      hint: 'whoever made the namespace gave it its networks: publish there, or leave out --net=ns:',
    });
  }
  // No fault: who runs rkt inside of a namespace may well name it. Whoever expects the pod to be kept apart must hear of it.
  const own = netnsIsOwn === true ? [`${netns} is the network namespace that rkt runs in: the pod shares it, as with --net=host`] : [];
  return { mode: 'ns', netns, networks: [], warnings: [...warnings, ...own] };
}

const declares = (plugin: PluginConf, capability: string): boolean =>
  plugin.capabilities !== undefined && Object.hasOwn(plugin.capabilities, capability) && plugin.capabilities[capability] === true;
/** What any plugin of the list declares, sorted. */
const declaredBy = (network: NetworkConf): string[] =>
  [...new Set(network.plugins.flatMap((plugin) => Object.keys(plugin.capabilities ?? {}).filter((capability) => declares(plugin, capability))))].sort(
    byteOrder,
  );
const takes = (network: NetworkConf, capability: string): boolean => network.plugins.some((plugin) => declares(plugin, capability));

interface Part {
  readonly index: number;
  readonly plugins: readonly ResolvedPlugin[];
  readonly asked: RequestedNetwork | undefined;
  readonly ports: readonly PortMapping[];
  readonly input: PlanInput;
}

function planOne(conf: NetworkConf, { index, plugins, asked, ports, input }: Part): PlannedNetwork {
  const capabilityArgs: CapabilityArgs = { ...asked?.capabilityArgs, ...(ports.length === 0 ? {} : { portMappings: [...ports] }) };
  return {
    name: conf.name,
    ifName: `eth${index}`,
    cniVersion: chooseVersion(conf, plugins, input),
    source: conf.source,
    confList: conf.text,
    ...(conf.rawConf === undefined ? {} : { rawConf: conf.rawConf }),
    plugins: plugins.map((plugin, i): PlannedPlugin => {
      // R30, Z4: what the plugin declares and the runtime supplies; nothing at all when that is empty.
      const supplied = Object.entries(capabilityArgs).filter(([capability]) => declares(conf.plugins[i] ?? { type: '' }, capability));
      return { ...plugin, ...(supplied.length === 0 ? {} : { runtimeConfig: Object.fromEntries(supplied) }) };
    }),
    args: asked?.args ?? [],
    capabilityArgs,
    pluginPath: input.facts.pluginPath,
    ...(conf.disableGC ? { disableGC: true } : {}),
    expects: expectationsOf(conf.plugins),
  };
}

/** `ip=` to a network that ignores it would give the pod another address without a word. */
function refuseUntakenArgs(networks: readonly NetworkConf[], asked: ReadonlyMap<string, RequestedNetwork>): void {
  const faults = networks.flatMap((network) => {
    const declared = declaredBy(network);
    return Object.keys(asked.get(network.name)?.capabilityArgs ?? {})
      .filter((capability) => !takes(network, capability))
      .map((capability) => {
        const key = capability === 'ips' ? 'ip' : capability === 'mac' ? 'mac' : `cap.${capability}`;
        const near = declared.includes(capability) ? undefined : didYouMean(capability, declared);
        return [
          `network "${network.name}" takes no ${key}=: no plugin in ${network.source.path} declares the capability "${capability}"`,
          ...(near === undefined ? [`declared ${declared.length === 0 ? 'is none' : `are: ${declared.join(', ')}`}`] : [`did you mean "${near}"?`]),
        ].join('; ');
      });
  });
  if (faults.length === 0) return;
  throw new RuntimeError('ERR_NET_ARGS', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} arguments of --net are not taken`, {
    details: faults.length === 1 ? [] : faults,
    hint: 'declare the capability ("capabilities": {"ips": true}), or pass CNI_ARGS in capitals: --net=NAME:IP=ADDRESS',
  });
}

function refusePorts(networks: readonly NetworkConf[]): never {
  const names = networks.map(({ name, source }) => `"${name}" (${source.path})`).join(', ');
  throw new RuntimeError('ERR_NET_PORTS', `no network of the pod can publish ports: ${names}`, {
    hint: 'add {"type":"portmap","capabilities":{"portMappings":true}} to its list of plugins, or join a network that has it (--net=default)',
  });
}

/** Two networks on one bridge and subnet keep separate books of addresses (host-local's store is per network name, 3.16). */
function sharedSubnets(networks: readonly PlannedNetwork[]): string[] {
  return networks.flatMap((network, i) =>
    networks
      .slice(0, i)
      .flatMap((other) =>
        network.expects.bridge !== undefined && network.expects.bridge === other.expects.bridge
          ? network.expects.subnets
              .filter((subnet) => other.expects.subnets.includes(subnet))
              .map(
                (subnet) =>
                  `networks "${other.name}" and "${network.name}" share bridge ${network.expects.bridge ?? ''} and subnet ${subnet}: give them ranges that do not overlap`,
              )
          : [],
      ),
  );
}
