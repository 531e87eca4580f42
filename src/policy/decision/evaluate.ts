/**
 * The decision: one connection, in both directions, through the tiers (R48). Nothing is guessed: where Kubernetes leaves a case open,
 * the world's switches say what is taken.
 */
import { contains } from '../../model/cidr.ts';
import type { Endpoint, Flow } from '../model/flow.ts';
import { type Peer, type PodMatch, type Policy, type PortMatch, type Rule, type Tier } from '../model/policy.ts';
import type { World } from '../model/experiment.ts';
import type { Direction, Labels, Namespace, Pod } from '../model/values.ts';
import { domainMatches, meansPod, selects } from './match.ts';

export type Verdict = 'allow' | 'deny';

/** Why a direction ends as it does. */
export type Reason =
  | 'rule'
  /** isolated, and no rule of any policy matched (R6) */
  | 'no-rule-matched'
  /** no policy had a say (R5) */
  | 'default'
  /** the policed end is no pod (R7, R36) */
  | 'not-a-pod'
  /** from the pod's own node (R34), or to it (R35) */
  | 'own-node'
  /** R53 with switch `per-pod` */
  | 'hidden-baseline';

export interface Decided {
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly tier?: Tier;
  /** `rule`: the policy it is of; `no-rule-matched`: the first policy that isolates */
  readonly policy?: Policy;
  readonly rule?: Rule;
  /** the peer and port of the rule that matched; absent: the rule has none to match */
  readonly peer?: Peer;
  readonly port?: PortMatch;
  /** policies of equal priority disagree, and any order is right (R49): the verdict is by name */
  readonly ambiguous?: readonly Policy[];
}

export interface Decision {
  readonly verdict: Verdict;
  readonly egress: Decided;
  readonly ingress: Decided;
  /** from a pod to itself: allowed whatever the rules say (R33), unless the switch says `rules` */
  readonly loopback: boolean;
  /** allowed for that reason alone: no policy had a say */
  readonly spared: boolean;
}

/** Told of everything that is looked at, in order. */
export interface Observer {
  policy(direction: Direction, tier: Tier, policy: Policy, selected: boolean): void;
  rule(policy: Policy, direction: Direction, rule: Rule, match: RuleMatch | undefined): void;
}
export interface RuleMatch {
  readonly peer?: Peer;
  readonly port?: PortMatch;
}

/** A world made ready: what selectors mean is looked up once. */
export class Evaluator {
  private readonly namespaces: ReadonlyMap<string, Namespace>;
  private readonly meant = new Map<PodMatch, Map<Pod, boolean>>();
  private readonly byTier: Readonly<Record<Tier, readonly Policy[]>>;

  constructor(readonly world: World) {
    this.namespaces = new Map(world.namespaces.map((namespace) => [namespace.name, namespace]));
    const of = (tier: Tier): Policy[] => world.policies.filter((policy) => policy.tier === tier);
    // R49: equal priorities go by kind and name, as kube-network-policies sorts them.
    const ordered = (tier: Tier): Policy[] =>
      of(tier).sort((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.kind < b.kind ? -1 : 1));
    this.byTier = { admin: ordered('admin'), networkpolicy: of('networkpolicy'), baseline: ordered('baseline') };
  }

  decide(flow: Flow, observer?: Observer): Decision {
    const egress = this.direction('egress', flow, observer);
    const ingress = this.direction('ingress', flow, observer);
    const byRules = egress.verdict === 'allow' && ingress.verdict === 'allow' ? 'allow' : 'deny';
    const loopback = flow.from.kind === 'pod' && flow.to.kind === 'pod' && flow.from.pod === flow.to.pod;
    const spared = loopback && this.world.switches.loopback === 'allow';
    return { verdict: spared ? 'allow' : byRules, egress, ingress, loopback, spared };
  }

  /** Policies of a tier that have a say about a network of a pod. */
  private applicable(tier: Tier, network: string): readonly Policy[] {
    const isCluster = network === (this.world.networks[0]?.id ?? network);
    return this.byTier[tier].filter((policy) => (policy.networks === undefined ? isCluster : policy.networks.includes(network)));
  }

  private labelsOf(namespace: string): Labels {
    return this.namespaces.get(namespace)?.labels ?? { 'kubernetes.io/metadata.name': namespace };
  }

  private means(match: PodMatch, pod: Pod): boolean {
    let pods = this.meant.get(match);
    if (pods === undefined) this.meant.set(match, (pods = new Map<Pod, boolean>()));
    let found = pods.get(pod);
    if (found === undefined) pods.set(pod, (found = meansPod(match, pod, this.labelsOf(pod.namespace))));
    return found;
  }

  /** R36, R54: whether selectors of a tier see the pod. */
  private isSelectable(pod: Pod, tier: Tier): boolean {
    return !pod.hostNetwork || (tier === 'networkpolicy' && this.world.switches.hostNetwork === 'pod');
  }

  private selectsSubject(policy: Policy, pod: Pod): boolean {
    return this.isSelectable(pod, policy.tier) && this.means(policy.subject, pod);
  }

  private direction(direction: Direction, flow: Flow, observer: Observer | undefined): Decided {
    const [subject, other] = direction === 'egress' ? [flow.from, flow.to] : [flow.to, flow.from];
    const { switches } = this.world;
    if (subject.kind !== 'pod' || (subject.pod.hostNetwork && switches.hostNetwork === 'node')) return { verdict: 'allow', reason: 'not-a-pod' };
    const isNode = isOwnNode(other) || (other.kind === 'pod' && other.pod.hostNetwork && switches.hostNetwork === 'node');
    if (direction === 'ingress' && isNode) return { verdict: 'allow', reason: 'own-node' };

    const isSparedByV1 = direction === 'egress' && isNode && switches.podToNode === 'allow';
    const baseline = (): Decided => settle(this.ordered('baseline', direction, flow, subject, observer), () => noPolicy);
    const noPolicy: Decided = { verdict: 'allow', reason: isSparedByV1 ? 'own-node' : 'default' };
    const networkPolicies = (): Decided => (isSparedByV1 ? undefined : this.union(direction, flow, subject, observer)) ?? baseline();
    return settle(this.ordered('admin', direction, flow, subject, observer), networkPolicies);
  }

  /** Admin and Baseline: priorities, then rules as written; the first match decides (R49-R51). Undefined: no rule matched. */
  private ordered(
    tier: 'admin' | 'baseline',
    direction: Direction,
    flow: Flow,
    subject: Endpoint & { kind: 'pod' },
    observer: Observer | undefined,
  ): Contest | undefined {
    let first: Found | undefined;
    const rivals: Found[] = [];
    for (const policy of this.applicable(tier, subject.network)) {
      if (first !== undefined && first.policy.priority !== policy.priority) break;
      const isSelected = this.selectsSubject(policy, subject.pod);
      // What comes after the decision is only asked whether it would have said something else.
      const listener = first === undefined ? observer : undefined;
      listener?.policy(direction, tier, policy, isSelected);
      const found = isSelected ? this.firstMatch(policy, direction, flow, listener) : undefined;
      if (found === undefined) continue;
      if (first === undefined) first = found;
      else rivals.push(found);
    }
    return first === undefined ? undefined : { ...first, rivals };
  }

  /** NetworkPolicy: the union of what the policies allow that isolate the pod (R4-R6). Undefined: not isolated. */
  private union(direction: Direction, flow: Flow, subject: Endpoint & { kind: 'pod' }, observer: Observer | undefined): Decided | undefined {
    let first: Policy | undefined;
    let hides = false;
    for (const policy of this.applicable('networkpolicy', subject.network)) {
      const isSelected = this.selectsSubject(policy, subject.pod);
      const isolates = isSelected && policy.directions.includes(direction);
      observer?.policy(direction, 'networkpolicy', policy, isSelected);
      hides ||= isSelected;
      if (!isolates) continue;
      first ??= policy;
      const found = this.firstMatch(policy, direction, flow, observer);
      if (found !== undefined) return { verdict: 'allow', reason: 'rule', tier: 'networkpolicy', policy, rule: found.rule, ...found.match };
    }
    if (first !== undefined) return { verdict: 'deny', reason: 'no-rule-matched', tier: 'networkpolicy', policy: first };
    return hides && this.world.switches.baseline === 'per-pod' ? { verdict: 'allow', reason: 'hidden-baseline', tier: 'networkpolicy' } : undefined;
  }

  private firstMatch(policy: Policy, direction: Direction, flow: Flow, observer: Observer | undefined): Found | undefined {
    for (const rule of policy[direction]) {
      const match = this.ruleMatch(policy, rule, direction, flow);
      observer?.rule(policy, direction, rule, match);
      if (match !== undefined) return { policy, rule, match };
    }
    return undefined;
  }

  /** Whether a rule, by itself, has something to say about a flow. */
  matches(policy: Policy, rule: Rule, direction: Direction, flow: Flow): boolean {
    const subject = direction === 'egress' ? flow.from : flow.to;
    return subject.kind === 'pod' && this.selectsSubject(policy, subject.pod) && this.ruleMatch(policy, rule, direction, flow) !== undefined;
  }

  /** R12: a peer and a port, both. They are tried as pairs, since what a port's name means depends on the peer (R26). */
  private ruleMatch(policy: Policy, rule: Rule, direction: Direction, flow: Flow): RuleMatch | undefined {
    const other = direction === 'egress' ? flow.to : flow.from;
    const peers = rule.peers?.filter((peer) => this.isPeer(policy.tier, peer, other));
    for (const peer of peers ?? [undefined]) {
      const ports = rule.ports?.filter((port) => this.isPort(port, peer, direction, flow));
      const [port] = ports ?? [];
      if (ports !== undefined && port === undefined) continue;
      return { ...(peer === undefined ? {} : { peer }), ...(port === undefined ? {} : { port }) };
    }
    return undefined;
  }

  /** Whether a port entry means the flow, seen together with the peer that matched (R26). */
  isPort(port: PortMatch, peer: Peer | undefined, direction: Direction, flow: Flow): boolean {
    const resolvesNames = direction === 'ingress' || peer === undefined || peer.kind === 'pods' || this.world.switches.namedPortOfBlock === 'pod';
    return matchesPort(port, flow, resolvesNames);
  }

  isPeer(tier: Tier, peer: Peer, other: Endpoint): boolean {
    switch (peer.kind) {
      case 'pods':
        return other.kind === 'pod' && this.isSelectable(other.pod, tier) && this.means(peer.pods, other.pod);
      case 'block':
        return contains(peer.cidr, other.ip) && !peer.except.some((hole) => contains(hole, other.ip));
      case 'nodes':
        // R58: by address, so that whatever listens on a node's address is the node.
        return this.world.nodes.some((node) => selects(peer.selector, node.labels) && node.ips.some(({ text }) => text === other.ip.text));
      case 'domain':
        return other.kind === 'outside' && other.outside.domains.some((domain) => domainMatches(peer.pattern, domain));
    }
  }
}

interface Found {
  readonly policy: Policy;
  readonly rule: Rule;
  readonly match: RuleMatch;
}
/** What decides in a tier, and what of equal priority would have. */
interface Contest extends Found {
  readonly rivals: readonly Found[];
}

/** Accept and Deny are final, Pass goes on with `next`; ambiguous when a rival's action ends otherwise (R49, R51). */
function settle(contest: Contest | undefined, next: () => Decided): Decided {
  if (contest === undefined) return next();
  const { policy, rule, match, rivals } = contest;
  let passed: Decided | undefined;
  const pass = (): Decided => (passed ??= next());
  const outcome = (action: Rule['action']): Verdict => (action === 'Accept' ? 'allow' : action === 'Deny' ? 'deny' : pass().verdict);
  const verdict = outcome(rule.action);
  const decided: Decided = rule.action === 'Pass' ? pass() : { verdict, reason: 'rule', tier: policy.tier, policy, rule, ...match };
  const others = rivals.filter((rival) => outcome(rival.rule.action) !== verdict).map((rival) => rival.policy);
  return others.length === 0 ? decided : { ...decided, ambiguous: [policy, ...others, ...(decided.ambiguous ?? [])] };
}

const isOwnNode = (endpoint: Endpoint): boolean => endpoint.kind === 'node' && endpoint.node.local;

/** R22-R25, R27. Names are the destination pod's: the first container port of that name and protocol. */
function matchesPort(match: PortMatch, { to, protocol, port }: Flow, resolvesNames: boolean): boolean {
  switch (match.kind) {
    case 'protocol':
      return match.protocol === protocol;
    case 'range':
      return match.protocol === protocol && port >= match.first && port <= match.last;
    case 'named':
      if (!resolvesNames || to.kind !== 'pod' || (match.protocol ?? protocol) !== protocol) return false;
      return to.pod.ports.find((one) => one.name === match.name && one.protocol === protocol)?.port === port;
  }
}
