/**
 * The network of an experiment as a plan for the prober: one private namespace with the pods' bridges (or routed links), one
 * namespace a pod, one for everybody outside. Follows a world that changes. Pure.
 *
 * Nobody is looked for by ARP or neighbour discovery: every entry is made, and stays. A full mesh of 33 pods would use up the
 * machine's table (policy.md 2d), and the first packet to a new pod would be lost.
 */
import { addAddress, addRoute, createBridge, createVeth, ensureRoute, setBridgePort, setNoLinkLocal, setUp } from '../host/netlink/rtnetlink.ts';
import { bridgeEntry, permanentNeighbour } from '../host/netlink/neighbours.ts';
import type { Request } from '../host/netlink/socket.ts';
import { addTokenBucket } from '../host/netlink/traffic-control.ts';
import { type Cidr, type Family, type Ip, hostCidr, ipFromValue, networkOf } from '../model/cidr.ts';
import type { Link, Network, World } from '../policy/model/experiment.ts';
import type { Flow } from '../policy/model/flow.ts';
import { type Pod, podKey } from '../policy/model/values.ts';
import { type ProbeLine, type ProberPlan, spaceFd } from './plan.ts';

/**
 * How a network's pods are joined. `bridge` needs br_netfilter, or the rules do not see what is bridged. `isolated`: ports of a bridge that do
 * not hear each other; the bridge answers for all (as with proxy_arp_pvlan) and the host routes. `routed`: a link each, as ptp makes.
 */
export const joinings = ['bridge', 'isolated', 'routed'] as const;
export type Joining = (typeof joinings)[number];

/** 169.254.1.1 and fe80::1, and one more for each network: next hops of what is not on a link. No interface has them, and all know their MAC. */
const nextHop = (family: Family, network: number): Ip => ipFromValue(family, BigInt(network) + (family === 4 ? 0xa9fe0101n : (0xfe80n << 112n) | 1n));
const everywhere = (family: Family): Cidr => ({ ip: ipFromValue(family, 0n), prefixLen: 0 });

const router = 0;
const outside = 1;
const firstPod = 2;
const loopback = 1;
/** Indexes of links, chosen here so that nobody has to ask for them. */
const ownLink = (network: number): number => 2 + network;
const bridgeLink = (network: number): number => 10 + network;
const hostLink = (space: number, network: number): number => 1000 + space * maxNetworks + network;
export const maxNetworks = 32;

const hostLinkName = (space: number, network: number): string => `pod${space}eth${network}`;

const hex = (value: number): string => value.toString(16).padStart(2, '0');
/** `side`: 0 in the pod, 1 in the router, 2 a bridge. */
const mac = (side: number, space: number, network: number): string => `02:72:${hex(side)}:${hex(network)}:${hex(space >> 8)}:${hex(space & 0xff)}`;

interface Placed {
  readonly pod: Pod;
  readonly space: number;
  /** by network number */
  readonly interfaces: readonly { readonly network: number; readonly ips: readonly Ip[] }[];
}

const familiesOf = (ips: readonly Ip[]): Family[] => ([4, 6] as const).filter((family) => ips.some((ip) => ip.family === family));

export class Fixture {
  readonly #plan: ProberPlan;
  readonly #joining: Joining;
  readonly #hasBridgeFilter: boolean;
  readonly #rates: readonly Link[];
  readonly #networks: readonly Network[];
  /** addresses reached through the router: its own, and those outside */
  readonly #beyond: readonly Ip[];
  readonly #pods = new Map<string, Placed>();
  readonly #endpoints = new Map<string, number>();
  readonly #listening = new Set<string>();
  #nextSpace = firstPod;
  #nextEndpoint = 0;

  /** Networks, nodes and who is outside stay what they are in `world`. `hasBridgeFilter`: the kernel has br_netfilter. */
  constructor(plan: ProberPlan, joining: Joining, world: World, filterBridged: boolean, hasBridgeFilter = true, links: readonly Link[] = []) {
    this.#plan = plan;
    this.#rates = links.filter(({ rateBitsPerSecond }) => rateBitsPerSecond !== undefined);
    this.#hasBridgeFilter = hasBridgeFilter;
    this.#joining = joining;
    this.#networks = world.networks;
    const own = world.nodes.filter(({ local }) => local).flatMap(({ ips }) => ips);
    const others = [...world.outside, ...world.nodes.filter(({ local }) => !local)].flatMap(({ ips }) => ips);
    this.#beyond = [...own, ...others];
    this.#addRouter(own, filterBridged);
    if (others.length > 0) this.#addOutside(others);
  }

  #addRouter(own: readonly Ip[], filterBridged: boolean): void {
    this.#plan.sysctl(router, 'net/ipv4/ip_forward', '1');
    this.#plan.sysctl(router, 'net/ipv6/conf/all/forwarding', '1');
    const bridges = this.#joining === 'routed' ? [] : this.#networks;
    // Nobody is told of a shorter way than through the rules.
    if (this.#joining === 'isolated') for (const links of ['all', 'default']) this.#plan.sysctl(router, `net/ipv4/conf/${links}/send_redirects`, '0');
    if (bridges.length > 0 && (this.#joining === 'bridge' || this.#hasBridgeFilter))
      for (const tables of ['iptables', 'ip6tables'])
        this.#plan.sysctl(router, `net/bridge/bridge-nf-call-${tables}`, filterBridged && this.#joining === 'bridge' ? '1' : '0');
    this.#plan.route(router, router, [
      setUp(loopback, 'lo'),
      ...bridges.flatMap((_, k) => [createBridge(`br${k}`, { index: bridgeLink(k), mac: mac(2, 0, k) }), setNoLinkLocal(bridgeLink(k))]),
      ...own.map((ip) => addAddress(loopback, hostCidr(ip))),
    ]);
    for (const ip of own) this.#addEndpoint(ip, router);
  }

  #addOutside(ips: readonly Ip[]): void {
    const link = hostLink(outside, 0);
    this.#plan.space(outside);
    this.#plan.route(router, router, [
      createVeth('outside', { index: link, mac: mac(1, outside, 0) }, this.#peer(outside, 0)),
      setNoLinkLocal(link),
      setUp(link, 'outside'),
      ...this.#towards(link, outside, 0, ips),
    ]);
    this.#plan.route(outside, outside, [...this.#awake(0, ips), ...this.#byNextHop(outside, 0, familiesOf(ips).map(everywhere))]);
    this.#awaitLink(outside, 0);
    for (const ip of ips) this.#addEndpoint(ip, outside);
  }

  /** Both ends: what is sent before is lost. */
  #awaitLink(space: number, network: number): void {
    this.#plan.await(router, hostLink(space, network));
    this.#plan.await(space, ownLink(network));
  }

  /** A bridge carries packets later than its first port: until then what the router sends is lost, and TCP tries again after a second only. */
  #awaitBridges(added: readonly Placed[]): void {
    const networks = new Set(added.flatMap(({ interfaces }) => interfaces.map(({ network }) => network)));
    for (const network of networks) this.#plan.await(router, bridgeLink(network));
  }

  #addEndpoint(ip: Ip, space: number): void {
    this.#plan.endpoint(this.#nextEndpoint, space, ip);
    this.#endpoints.set(ip.text, this.#nextEndpoint++);
  }

  /** The far end of a link, straight in its namespace. */
  #peer = (space: number, network: number) => ({
    name: `eth${network}`,
    netnsFd: spaceFd + space,
    index: ownLink(network),
    mac: mac(0, space, network),
  });

  /** An interface with its addresses, up. */
  #awake = (network: number, ips: readonly Ip[]): Request[] => [
    setUp(loopback, 'lo'),
    setNoLinkLocal(ownLink(network)),
    ...ips.map((ip) => addAddress(ownLink(network), hostCidr(ip))),
    setUp(ownLink(network), `eth${network}`),
  ];

  /** Routes to `targets` through the router's end of the link. */
  #byNextHop = (space: number, network: number, targets: readonly Cidr[]): Request[] =>
    familiesOf(targets.map(({ ip }) => ip)).flatMap((family) => {
      const gateway = nextHop(family, network);
      return [
        addRoute(ownLink(network), { dst: hostCidr(gateway) }),
        permanentNeighbour(ownLink(network), gateway, mac(1, space, network)),
        ...targets.filter(({ ip }) => ip.family === family).map((dst) => addRoute(ownLink(network), { dst, gateway })),
      ];
    });

  /** The router's way to addresses. */
  #towards = (link: number, space: number, network: number, ips: readonly Ip[]): Request[] =>
    ips.flatMap((ip) => [ensureRoute(link, { dst: hostCidr(ip) }), permanentNeighbour(link, ip, mac(0, space, network))]);

  /** Pods that are gone go, new ones come. What a pod is called by its labels is nothing to the network. */
  follow({ pods }: World): void {
    const wanted = new Map(pods.filter(({ ended, hostNetwork }) => !ended && !hostNetwork).map((pod) => [podKey(pod), this.#interfacesOf(pod)]));
    const same = (a: unknown, b: unknown): boolean => JSON.stringify(a, textOfIp) === JSON.stringify(b, textOfIp);
    for (const [key, placed] of this.#pods) if (!same(wanted.get(key), placed.interfaces)) this.#remove(key, placed);
    this.#add(pods.filter((pod) => wanted.has(podKey(pod)) && !this.#pods.has(podKey(pod))));
  }

  #interfacesOf = (pod: Pod): Placed['interfaces'] =>
    pod.interfaces.flatMap(({ network, ips }) => {
      const number = this.#networks.findIndex(({ id }) => id === network);
      return number < 0 ? [] : [{ network: number, ips }];
    });

  #remove(key: string, { space, interfaces }: Placed): void {
    for (const { text } of interfaces.flatMap(({ ips }) => ips)) {
      this.#plan.removeEndpoint(this.#number(text));
      this.#endpoints.delete(text);
    }
    this.#plan.drop(space);
    this.#pods.delete(key);
  }

  #add(pods: readonly Pod[]): void {
    if (pods.length === 0) return;
    const before = [...this.#pods.values()];
    const added = pods.map((pod): Placed => ({ pod, space: this.#nextSpace++, interfaces: this.#interfacesOf(pod) }));
    for (const placed of added) {
      this.#pods.set(podKey(placed.pod), placed);
      this.#plan.space(placed.space);
      // IPv6 has no setting for who sends redirects. What links inherit is set before they are there.
      if (this.#joining === 'isolated') this.#plan.sysctl(placed.space, 'net/ipv6/conf/default/accept_redirects', '0');
    }
    this.#plan.route(
      router,
      router,
      added.flatMap((placed) => this.#hostEnds(placed)),
    );
    for (const { pod, space, interfaces } of added) {
      this.#plan.route(space, space, [
        ...interfaces.flatMap(({ network, ips }) => this.#awake(network, ips)),
        ...interfaces.flatMap(({ network }) => this.#shape(ownLink(network), pod, network)),
        ...interfaces.flatMap(({ network, ips }) => this.#ways(space, network, ips)),
      ]);
    }
    // All links first: they come up at the same time, and an IPv6 address waits for its own.
    for (const { space, interfaces } of added) for (const { network } of interfaces) this.#awaitLink(space, network);
    if (this.#joining === 'bridge') this.#awaitBridges(added);
    for (const { space, interfaces } of added) for (const ip of interfaces.flatMap(({ ips }) => ips)) this.#addEndpoint(ip, space);
    if (this.#joining === 'routed') return;
    for (const network of this.#networks.keys()) {
      this.#introduce(network, added, [...this.#neighbours(network, [...before, ...added]), ...this.#routerAsNeighbour(network)]);
      this.#introduce(network, before, this.#neighbours(network, added));
    }
  }

  /** The same requests in each of `placed` that is on the network. */
  #introduce(network: number, placed: readonly Placed[], requests: readonly Request[]): void {
    const spaces = placed.filter(({ interfaces }) => interfaces.some((one) => one.network === network)).map(({ space }) => space);
    for (let at = 0; at < spaces.length && requests.length > 0;) {
      const first = spaces[at] ?? 0;
      let last = first;
      while (spaces[++at] === last + 1) last++;
      this.#plan.route(first, last, requests);
    }
  }

  /** The rate that a pod's link was given, on one end of it; `links` of a pod mean its first network. */
  #shape(link: number, pod: Pod, network: number): Request[] {
    const given = this.#rates.find((one) => (network === 0 && one.pod === podKey(pod)) || one.network === this.#networks[network]?.id);
    if (given?.rateBitsPerSecond === undefined) return [];
    const rate = given.rateBitsPerSecond / 8;
    const burst = Math.max(5_000, Math.ceil(rate / 250));
    return [addTokenBucket(link, { rate, burst, limit: burst + Math.max(30_000, Math.ceil(rate / 20)) })];
  }

  #hostEnds({ pod, space, interfaces }: Placed): Request[] {
    return interfaces.flatMap(({ network, ips }) => {
      const link = hostLink(space, network);
      const name = hostLinkName(space, network);
      const make = (fields: { master: number } | { mac: string }): Request[] => [
        createVeth(name, { index: link, ...fields }, this.#peer(space, network)),
        setNoLinkLocal(link),
        setUp(link, name),
        ...this.#shape(link, pod, network),
      ];
      return this.#joining !== 'routed'
        ? [
            ...make({ master: bridgeLink(network) }),
            ...(this.#joining === 'isolated' ? [setBridgePort(link, { isolated: true })] : []),
            bridgeEntry(link, mac(0, space, network)),
            ...this.#towards(bridgeLink(network), space, network, ips),
          ]
        : [...make({ mac: mac(1, space, network) }), ...this.#towards(link, space, network, ips)];
    });
  }

  /** A pod's routes: the first network is where everything is that is not in another's subnet. */
  #ways(space: number, network: number, ips: readonly Ip[]): Request[] {
    const targets =
      network === 0
        ? familiesOf(ips).map(everywhere)
        : (this.#networks[network]?.subnets ?? []).filter(({ ip }) => familiesOf(ips).includes(ip.family)).map(networkOf);
    return this.#joining === 'routed' ? this.#byNextHop(space, network, targets) : targets.map((dst) => addRoute(ownLink(network), { dst }));
  }

  #neighbours = (network: number, placed: readonly Placed[]): Request[] =>
    placed.flatMap(({ space, interfaces }) =>
      interfaces
        .filter((one) => one.network === network)
        .flatMap(({ ips }) =>
          ips.map((ip) => permanentNeighbour(ownLink(network), ip, this.#joining === 'isolated' ? mac(2, 0, network) : mac(0, space, network))),
        ),
    );
  #routerAsNeighbour = (network: number): Request[] =>
    network === 0 ? this.#beyond.map((ip) => permanentNeighbour(ownLink(0), ip, mac(2, 0, 0))) : [];

  #number(address: string): number {
    const number = this.#endpoints.get(address);
    if (number === undefined) throw new Error(`nobody is at ${address}`);
    return number;
  }

  /** Names of a pod's links on the host, by network. */
  hostLinksOf(pod: Pod): Readonly<Record<string, string>> {
    const placed = this.#pods.get(podKey(pod));
    if (placed === undefined) return {};
    return Object.fromEntries(placed.interfaces.map(({ network }) => [this.#networks[network]?.id ?? '', hostLinkName(placed.space, network)]));
  }

  /** What the prober is to try; targets that do not listen yet will. */
  probes(flows: readonly Flow[]): ProbeLine[] {
    return flows.map(({ from, to, protocol, port }) => {
      const line = { from: this.#number(from.ip.text), to: this.#number(to.ip.text), protocol, port };
      const target = `${line.to} ${protocol} ${port}`;
      if (!this.#listening.has(target)) {
        this.#listening.add(target);
        this.#plan.listen(line.to, protocol, port);
      }
      return line;
    });
  }
}

const textOfIp = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
