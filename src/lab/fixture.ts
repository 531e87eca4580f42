/**
 * The network of an experiment as a plan for the prober: one private namespace with the pods' bridges (or routed links), one
 * namespace a pod, one for everybody outside. Follows a world that changes. Pure.
 *
 * Nobody is looked for by ARP or neighbour discovery: every entry is made, and stays. A full mesh of 33 pods would use up the
 * machine's table (policy.md 2d), and the first packet to a new pod would be lost.
 */
import { addAddress, addRoute, createBridge, createVeth, ensureRoute, setNoLinkLocal, setUp } from '../host/netlink/rtnetlink.ts';
import { bridgeEntry, permanentNeighbour } from '../host/netlink/neighbours.ts';
import type { Request } from '../host/netlink/socket.ts';
import { type Cidr, type Family, type Ip, hostCidr, ipFromValue, networkOf } from '../model/cidr.ts';
import type { Network, World } from '../policy/model/experiment.ts';
import type { Flow } from '../policy/model/flow.ts';
import { type Pod, podKey } from '../policy/model/values.ts';
import { type ProbeLine, type ProberPlan, spaceFd } from './plan.ts';

/** How a network's pods are joined. `bridge` needs br_netfilter, or the rules do not see what is bridged; `routed` needs nothing. */
export type Joining = 'bridge' | 'routed';

/** 169.254.1.1 and fe80::1: next hop of what is not on a link; no interface has it, and all know its MAC. */
const nextHop: Readonly<Record<Family, Ip>> = { 4: ipFromValue(4, 0xa9fe0101n), 6: ipFromValue(6, (0xfe80n << 112n) | 1n) };
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
  readonly #networks: readonly Network[];
  /** addresses reached through the router: its own, and those outside */
  readonly #beyond: readonly Ip[];
  readonly #pods = new Map<string, Placed>();
  readonly #endpoints = new Map<string, number>();
  readonly #listening = new Set<string>();
  #nextSpace = firstPod;
  #nextEndpoint = 0;

  /** Networks, nodes and who is outside stay what they are in `world`. */
  constructor(plan: ProberPlan, joining: Joining, world: World, filterBridged: boolean) {
    this.#plan = plan;
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
    const bridges = this.#joining === 'bridge' ? this.#networks : [];
    if (bridges.length > 0)
      for (const tables of ['iptables', 'ip6tables']) this.#plan.sysctl(router, `net/bridge/bridge-nf-call-${tables}`, filterBridged ? '1' : '0');
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
    this.#plan.route(outside, outside, [...this.#awake(0, ips), ...this.#byNextHop(ips, mac(1, outside, 0))]);
    for (const ip of ips) this.#addEndpoint(ip, outside);
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

  #byNextHop = (ips: readonly Ip[], routerMac: string): Request[] =>
    familiesOf(ips).flatMap((family) => [
      addRoute(ownLink(0), { dst: hostCidr(nextHop[family]) }),
      addRoute(ownLink(0), { dst: everywhere(family), gateway: nextHop[family] }),
      permanentNeighbour(ownLink(0), nextHop[family], routerMac),
    ]);

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
    const first = this.#nextSpace;
    const before = [...this.#pods.values()];
    const added = pods.map((pod): Placed => ({ pod, space: this.#nextSpace++, interfaces: this.#interfacesOf(pod) }));
    for (const placed of added) {
      this.#pods.set(podKey(placed.pod), placed);
      this.#plan.space(placed.space);
    }
    this.#plan.route(
      router,
      router,
      added.flatMap((placed) => this.#hostEnds(placed)),
    );
    for (const { space, interfaces } of added) {
      this.#plan.route(space, space, [
        ...interfaces.flatMap(({ network, ips }) => this.#awake(network, ips)),
        ...interfaces.flatMap(({ network, ips }) => this.#ways(space, network, ips)),
      ]);
      for (const ip of interfaces.flatMap(({ ips }) => ips)) this.#addEndpoint(ip, space);
    }
    if (this.#joining !== 'bridge') return;
    this.#plan.route(first, this.#nextSpace - 1, [...this.#neighbours([...before, ...added]), ...this.#routerAsNeighbour()]);
    if (before.length > 0) this.#plan.route(firstPod, first - 1, this.#neighbours(added));
  }

  #hostEnds({ space, interfaces }: Placed): Request[] {
    return interfaces.flatMap(({ network, ips }) => {
      const link = hostLink(space, network);
      const name = `pod${space}eth${network}`;
      const make = (fields: { master: number } | { mac: string }): Request[] => [
        createVeth(name, { index: link, ...fields }, this.#peer(space, network)),
        setNoLinkLocal(link),
        setUp(link, name),
      ];
      return this.#joining === 'bridge'
        ? [
            ...make({ master: bridgeLink(network) }),
            bridgeEntry(link, mac(0, space, network)),
            ...this.#towards(bridgeLink(network), space, network, ips),
          ]
        : [...make({ mac: mac(1, space, network) }), ...this.#towards(link, space, network, ips)];
    });
  }

  /** A pod's routes: the first network is where everything is that is not in another's subnet. */
  #ways(space: number, network: number, ips: readonly Ip[]): Request[] {
    if (this.#joining === 'routed' && network === 0) return this.#byNextHop(ips, mac(1, space, 0));
    const targets =
      network === 0
        ? familiesOf(ips).map(everywhere)
        : (this.#networks[network]?.subnets ?? []).filter(({ ip }) => familiesOf(ips).includes(ip.family)).map(networkOf);
    return targets.map((dst) => addRoute(ownLink(network), { dst }));
  }

  #neighbours = (placed: readonly Placed[]): Request[] =>
    placed.flatMap(({ space, interfaces }) =>
      interfaces.flatMap(({ network, ips }) => ips.map((ip) => permanentNeighbour(ownLink(network), ip, mac(0, space, network)))),
    );
  #routerAsNeighbour = (): Request[] => this.#beyond.map((ip) => permanentNeighbour(ownLink(0), ip, mac(2, 0, 0)));

  #number(address: string): number {
    const number = this.#endpoints.get(address);
    if (number === undefined) throw new Error(`nobody is at ${address}`);
    return number;
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
