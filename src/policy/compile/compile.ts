/**
 * Policies to one nftables table. Pure.
 *
 * Two base chains on `forward`: egress of who sends, then ingress of who receives (R7), so that `accept` ends one direction
 * only; one on `input`, for connections to the pods' own node (R35); none on `output` (R34). Each leads by the subject's address, in a verdict map, to a chain shared by all pods that the same policies select:
 * what a packet costs does not depend on how many pods there are. A NetworkPolicy's rules are a chain that all such classes jump to.
 * @see policy.md 1 (the rules by number), 2f
 */
import { type Family, ipBytes } from '../../model/cidr.ts';
import { type Expression, ctState, destination, isFamily, jump, obey, source, verdict, word, words } from '../../model/ruleset/expressions.ts';
import type { Chain, HookName } from '../../model/ruleset/skeleton.ts';
import type { TableElement, TableSet, TableValue } from '../../model/ruleset/table.ts';
import { bounded } from '../../model/ruleset.ts';
import type { Network, World } from '../model/experiment.ts';
import { type Policy, type Rule, type Tier, ruleKey, tiers } from '../model/policy.ts';
import { type Direction, podKey } from '../model/values.ts';
import { Groups } from './groups.ts';
import { type Line, type Scene, families, linesOf, setOf } from './match.ts';
import { type Place, Selection } from './select.ts';

/** Bits of the number that a rule records with a flow (0x20000000 is for rules that only look on); the rest is its place in {@link CompiledPolicies.rules}, from 1. */
export const recorded = { denies: 0x80000000, ingress: 0x40000000, number: 0x1fffffff } as const;
export const tableName = 'rkt-policy';
/** Sets of flows and what decided them: source . destination . protocol . source port . port . number. */
export const evidenceSets = ['evidence4', 'evidence6'] as const;

export interface CompileOptions {
  /** present: rules record each new flow that they decide; room for this many flows */
  readonly evidenceFlows?: number;
  /** rules count the connections that they decide, in counters by {@link counterOf} */
  readonly counted?: boolean;
}
/** The counter of what a key (`ruleKey`) names, as nftables may call it: `NetworkPolicy/shop/web/ingress.0`. */
export const counterOf = (key: string): string => bounded(key.replaceAll(' ', '/').replace(/\[(\d+)\]$/, '.$1'));
export interface CompiledPolicies {
  readonly table: TableValue;
  /** `ruleKey` of what each recorded number means: number 1 is the first */
  readonly rules: readonly string[];
}

const directions = ['egress', 'ingress'] as const satisfies readonly Direction[];
/** What a base chain asks, in order: a tier, or `spared`, the Baseline tier where NetworkPolicies have no say and so hide nothing (R35, R53). */
type Asked = Tier | 'spared';
const mapName = (direction: Direction, asked: Asked, family: Family): string => `${direction}-${asked}${family}`;

/** Neighbour discovery is not policed: without it there is no IPv6 (R30). */
const neighbourDiscovery: readonly Expression[] = [
  { op: 'meta', key: 'l4proto', reg: 0 },
  { op: 'cmp', test: 'eq', reg: 0, data: Uint8Array.of(58) },
  { op: 'payload', base: 'transport', offset: 0, length: 1, reg: 0 },
  { op: 'cmp', test: 'gte', reg: 0, data: Uint8Array.of(133) },
  { op: 'cmp', test: 'lte', reg: 0, data: Uint8Array.of(137) },
  verdict('accept'),
];

/** Of equal priorities (R49) name and kind decide, as in kube-network-policies. */
const byPrecedence = (a: Policy, b: Policy): number =>
  a.priority - b.priority || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.kind < b.kind ? -1 : 1);

class Compiler {
  readonly #world: World;
  readonly #selection: Selection;
  readonly #groups = new Groups();
  readonly #chains: Chain[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #elements = new Map<string, TableElement[]>();
  readonly #evidence: boolean;
  readonly #counted: boolean;

  constructor(world: World, evidence: boolean, counted: boolean) {
    this.#world = world;
    this.#selection = new Selection(world);
    this.#evidence = evidence;
    this.#counted = counted;
  }

  compile(evidenceFlows: number): CompiledPolicies {
    for (const [index, network] of this.#world.networks.entries())
      for (const direction of directions) this.#direction(network, index === 0, direction);
    // Chains that others jump to come first; the base chains are last.
    const table: TableValue = {
      name: tableName,
      comment: 'rkt network policies',
      ...(this.#counted ? { counters: [...this.#numbers.keys()].map((key) => ({ name: counterOf(key), packets: 0n, bytes: 0n })) } : {}),
      sets: [...this.#groupSets(), ...this.#maps(), ...(this.#evidence ? evidence(evidenceFlows) : [])],
      chains: [
        ...this.#chains,
        ...this.#base('egress', 'egress', { hook: 'forward', priority: 0 }, tiers),
        ...this.#base('ingress', 'ingress', { hook: 'forward', priority: 1 }, tiers),
        ...this.#base('to-node', 'egress', { hook: 'input', priority: 0 }, this.#tiersToNode()),
      ],
    };
    return { table, rules: [...this.#numbers.keys()] };
  }

  #direction(network: Network, isCluster: boolean, direction: Direction): void {
    const scene: Scene = { world: this.#world, network, selection: this.#selection, groups: this.#groups, known: new Map() };
    // R65: a MultiNetworkPolicy is for the networks it names, all others for the cluster's own.
    const policies = this.#world.policies.filter(
      (policy) => policy.directions.includes(direction) && (policy.networks?.includes(network.id) ?? isCluster),
    );
    for (const tier of tiers) {
      const ofTier = policies.filter((policy) => policy.tier === tier);
      const ordered = tier === 'networkpolicy' ? ofTier : ofTier.toSorted(byPrecedence);
      const chainOf = tier === 'networkpolicy' ? this.#isolation(direction, scene) : this.#ordered(tier, direction, scene);
      const places = this.#selection.places(network.id);
      this.#classes(ordered, tier, direction, tier === 'baseline' ? this.#withBaseline(places, network, isCluster) : places, chainOf);
      if (tier === 'baseline' && direction === 'egress' && this.#tiersToNode().includes('spared'))
        this.#classes(ordered, 'spared', direction, places, chainOf);
    }
  }

  /** R53 with switch `per-pod`: a NetworkPolicy that selects a pod in any direction hides the Baseline tier from it. */
  #withBaseline(places: readonly Place[], network: Network, isCluster: boolean): readonly Place[] {
    if (this.#world.switches.baseline === 'per-direction') return places;
    const hiding = this.#world.policies.filter(({ tier, networks }) => tier === 'networkpolicy' && (networks?.includes(network.id) ?? isCluster));
    const selected = hiding.map(({ subject }) => this.#selection.pods(subject));
    return places.filter(({ pod }) => !selected.some((pods) => pods.has(podKey(pod))));
  }

  /** Leads every pod that a policy of `policies` selects to the chain of its class. */
  #classes(
    policies: readonly Policy[],
    asked: Asked,
    direction: Direction,
    places: readonly Place[],
    chainOf: (policies: readonly Policy[]) => string,
  ): void {
    const selecting = new Map<string, Policy[]>();
    const signatures = new Map<string, string>();
    for (const [index, policy] of policies.entries())
      for (const key of this.#selection.pods(policy.subject)) {
        const others = selecting.get(key);
        if (others === undefined) selecting.set(key, [policy]);
        else others.push(policy);
        signatures.set(key, `${signatures.get(key) ?? ''} ${index}`);
      }
    const chains = new Map<string, string>();
    for (const { pod, ips } of places) {
      const key = podKey(pod);
      const [of, signature] = [selecting.get(key), signatures.get(key)];
      if (of === undefined || signature === undefined) continue;
      const chain = chains.get(signature) ?? chainOf(of);
      chains.set(signature, chain);
      for (const ip of ips) this.#put(mapName(direction, asked, ip.family), { key: ipBytes(ip), chain });
    }
  }

  #put(set: string, element: TableElement): void {
    const elements = this.#elements.get(set);
    if (elements === undefined) this.#elements.set(set, [element]);
    else elements.push(element);
  }

  #chain(direction: Direction, kind: string, rules: readonly (readonly Expression[])[]): string {
    const name = `${direction}-${kind}-${this.#chains.length}`;
    this.#chains.push({ name, rules });
    return name;
  }

  /** NetworkPolicies: the union of what they allow, and nothing else (R6). Order is nothing. */
  #isolation(direction: Direction, scene: Scene): (policies: readonly Policy[]) => string {
    const chains = new Map<Policy, string>();
    const chainOf = (policy: Policy): string => {
      const known = chains.get(policy);
      if (known !== undefined) return known;
      const rules = policy[direction].flatMap((rule) =>
        linesOf(rule, direction, scene).flatMap((line) => this.#accept(line, policy, direction, rule)),
      );
      const name = this.#chain(direction, 'policy', rules);
      chains.set(policy, name);
      return name;
    };
    return (policies) => {
      const [first] = policies;
      const denies = first === undefined ? [] : this.#record({ expressions: [] }, first, direction, undefined, true);
      return this.#chain(direction, 'class', [
        ...policies.map((policy) => [jump(chainOf(policy))]),
        ...denies,
        [...(first === undefined ? [] : this.#count(first, direction, undefined)), verdict('drop')],
      ]);
    };
  }

  /** Policies of a tier with priorities: the first rule that matches is final, or passes the rest of the tier by (R48-R51). */
  #ordered(tier: Tier, direction: Direction, scene: Scene): (policies: readonly Policy[]) => string {
    return (policies) => {
      const rules = policies.flatMap((policy) =>
        policy[direction].flatMap((rule) => linesOf(rule, direction, scene).flatMap((line) => this.#act(line, policy, direction, rule))),
      );
      return this.#chain(direction, tier, rules);
    };
  }

  #act(line: Line, policy: Policy, direction: Direction, rule: Rule): Expression[][] {
    switch (rule.action) {
      case 'Accept':
        return this.#accept(line, policy, direction, rule);
      case 'Deny':
        // Apart from the record, which a packet too short for ports would end before it is dropped.
        return [
          ...this.#record(line, policy, direction, rule, true),
          [...line.expressions, ...this.#count(policy, direction, rule), verdict('drop')],
        ];
      case 'Pass':
        return [[...line.expressions, verdict('return')]];
    }
  }

  #accept(line: Line, policy: Policy, direction: Direction, rule: Rule): Expression[][] {
    return [...this.#record(line, policy, direction, rule, false), [...line.expressions, ...this.#count(policy, direction, rule), verdict('accept')]];
  }

  #count(policy: Policy, direction: Direction, rule: Rule | undefined): Expression[] {
    return this.#counted ? [{ op: 'count', counter: counterOf(ruleKey(policy, direction, rule)) }] : [];
  }

  /** Notes which rule decided this flow. */
  #record(line: Line, policy: Policy, direction: Direction, rule: Rule | undefined, denies: boolean): Expression[][] {
    const key = ruleKey(policy, direction, rule);
    if (!this.#numbers.has(key)) this.#numbers.set(key, this.#numbers.size + 1);
    if (!this.#evidence) return [];
    const number = ((this.#numbers.get(key) ?? 0) | (denies ? recorded.denies : 0) | (direction === 'ingress' ? recorded.ingress : 0)) >>> 0;
    return (line.family === undefined ? families : [line.family]).map((family) => {
      const length = words(family === 4 ? 4 : 16);
      return [
        ...(line.family === undefined ? isFamily(family) : []),
        ...line.expressions,
        source(family, 0),
        destination(family, length),
        { op: 'meta', key: 'l4proto', reg: 2 * length },
        { op: 'payload', base: 'transport', offset: 0, length: 2, reg: 2 * length + 1 },
        { op: 'payload', base: 'transport', offset: 2, length: 2, reg: 2 * length + 2 },
        { op: 'immediate', reg: 2 * length + 3, data: word(number) },
        { op: 'record', set: `evidence${family}`, reg: 0 },
      ];
    });
  }

  /** None where no pod is a subject: packets are not asked for nothing. */
  #base(name: string, direction: Direction, place: { readonly hook: HookName; readonly priority: number }, asked: readonly Asked[]): Chain[] {
    const subject = direction === 'egress' ? source : destination;
    const dispatch = asked.flatMap((tier) =>
      families
        .filter((family) => this.#elements.has(mapName(direction, tier, family)))
        .map((family) => [...isFamily(family), subject(family, 0), obey(mapName(direction, tier, family))]),
    );
    if (dispatch.length === 0) return [];
    return [
      {
        name,
        base: { type: 'filter', ...place },
        rules: [[...ctState('established', 'related'), verdict('accept')], neighbourDiscovery, ...dispatch],
      },
    ];
  }

  /** R35: whether a NetworkPolicy says anything of a connection to the pods' own node is the experiment's choice. */
  #tiersToNode(): readonly Asked[] {
    const { podToNode, baseline } = this.#world.switches;
    return podToNode === 'police' ? tiers : ['admin', baseline === 'per-pod' ? 'spared' : 'baseline'];
  }

  #maps(): TableSet[] {
    return [...this.#elements].map(([name, elements]) => ({
      name,
      key: [name.endsWith('4') ? 'ipv4_addr' : 'ipv6_addr'],
      verdicts: true,
      elements,
    }));
  }

  #groupSets(): TableSet[] {
    return families.flatMap((family) => {
      const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
      return [
        { name: `${setOf.addresses}${family}`, key: ['mark', address], elements: this.#groups.addressElements(family) } as const,
        {
          name: `${setOf.ports}${family}`,
          key: ['mark', address, 'inet_proto', 'inet_service'],
          elements: this.#groups.portElements(family),
        } as const,
      ].filter(({ elements }) => elements.length > 0);
    });
  }
}

const evidence = (flows: number): TableSet[] =>
  families.map((family, index) => {
    const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
    return {
      name: evidenceSets[index] ?? '',
      key: [address, address, 'inet_proto', 'inet_service', 'inet_service', 'mark'],
      // a flow is recorded by both ends
      dynamicSize: 2 * flows + 64,
      elements: [],
    };
  });

/** The table that enforces the policies of `world` on traffic that is forwarded. */
export function compilePolicies(world: World, { evidenceFlows, counted = false }: CompileOptions = {}): CompiledPolicies {
  return new Compiler(world, evidenceFlows !== undefined, counted).compile(evidenceFlows ?? 0);
}
