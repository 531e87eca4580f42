/** The decision walk: tier → policy → rule → peer and port, each with its place, and why what did not match did not. */
import { contains } from '../../model/cidr.ts';
import type { Endpoint, Flow } from '../model/flow.ts';
import { policyKey, ruleKey, tiers, type Action, type Peer, type Policy, type PortMatch, type Rule, type Tier } from '../model/policy.ts';
import type { Direction, Source } from '../model/values.ts';
import { endpointName } from './cells.ts';
import { labelsText, peerText, placeText, podsText, portText } from './describe.ts';
import type { Decided, Decision, Evaluator, Observer, Reason, Verdict } from './evaluate.ts';
import { namespaceLabels, selects } from './match.ts';

export interface WalkedItem extends Source {
  readonly text: string;
  readonly matched: boolean;
  /** why not */
  readonly why?: string;
}
export interface WalkedRule extends Source {
  readonly key: string;
  readonly action: Action;
  readonly name?: string;
  readonly matched: boolean;
  readonly peers: readonly WalkedItem[];
  readonly ports: readonly WalkedItem[];
  /** the rule as a whole, when no item says it */
  readonly why?: string;
}
export interface WalkedPolicy extends Source {
  readonly key: string;
  readonly tier: Tier;
  readonly priority?: number;
  readonly subject: string;
  readonly selected: boolean;
  /** selected, but for the other direction only */
  readonly isolates: boolean;
  readonly rules: readonly WalkedRule[];
}
export interface WalkedDirection {
  readonly direction: Direction;
  /** whose policies are asked */
  readonly subject: string;
  readonly verdict: Verdict;
  readonly reason: Reason;
  readonly because: string;
  readonly decidedBy?: Source & { readonly key: string };
  readonly ambiguous?: readonly string[];
  readonly policies: readonly WalkedPolicy[];
}
export interface Explanation {
  readonly from: string;
  readonly to: string;
  readonly fromAddress: string;
  readonly toAddress: string;
  readonly protocol: string;
  readonly port: number;
  readonly verdict: Verdict;
  readonly loopback: boolean;
  readonly because: string;
  readonly directions: readonly WalkedDirection[];
}

/** Walks one connection through every policy that is asked. */
export function explain(evaluator: Evaluator, flow: Flow): Explanation {
  const policies: Record<Direction, { policy: Policy; tier: Tier; selected: boolean; rules: WalkedRule[] }[]> = { ingress: [], egress: [] };
  const observer: Observer = {
    policy: (direction, tier, policy, selected) => policies[direction].push({ policy, tier, selected, rules: [] }),
    rule: (policy, direction, rule, match) =>
      policies[direction].at(-1)?.rules.push(walkRule(evaluator, policy, direction, rule, flow, match !== undefined)),
  };
  const decision = evaluator.decide(flow, observer);
  const directions = (['egress', 'ingress'] as const).map((direction): WalkedDirection => {
    const decided = decision[direction];
    const subject = endpointName(direction === 'egress' ? flow.from : flow.to);
    return {
      direction,
      subject,
      verdict: decided.verdict,
      reason: decided.reason,
      because: becauseOf(direction, subject, decided),
      ...(decided.policy === undefined
        ? {}
        : { decidedBy: { key: ruleKey(decided.policy, direction, decided.rule), ...(decided.rule ?? decided.policy).source } }),
      ...(decided.ambiguous === undefined ? {} : { ambiguous: decided.ambiguous.map(policyKey) }),
      policies: policies[direction].map(({ policy, tier, selected, rules }) => ({
        key: policyKey(policy),
        tier,
        ...(tier === 'networkpolicy' ? {} : { priority: policy.priority }),
        subject: podsText(policy.subject),
        selected,
        isolates: policy.directions.includes(direction),
        rules,
        ...policy.source,
      })),
    };
  });
  return {
    from: endpointName(flow.from),
    to: endpointName(flow.to),
    fromAddress: flow.from.ip.text,
    toAddress: flow.to.ip.text,
    protocol: flow.protocol,
    port: flow.port,
    verdict: decision.verdict,
    loopback: decision.loopback,
    because: summary(decision, directions),
    directions,
  };
}

function summary(decision: Decision, directions: readonly WalkedDirection[]): string {
  if (decision.spared) return 'a pod always reaches itself: the traffic never leaves it, so no policy sees it';
  const denying = directions.filter(({ verdict }) => verdict === 'deny');
  if (denying.length > 0) return denying.map(({ because }) => because).join('; ');
  return directions.map(({ because }) => because).join('; ');
}

function becauseOf(direction: Direction, subject: string, { verdict, reason, policy, rule }: Decided): string {
  switch (reason) {
    case 'rule':
      return `${direction}: ${verdict === 'allow' ? 'allowed' : 'denied'} by ${policy === undefined ? '' : ruleKey(policy, direction, rule)}${
        rule === undefined ? '' : ` (${placeText(rule.source)})`
      }`;
    case 'no-rule-matched':
      return `${direction}: ${subject} is selected by ${policy === undefined ? 'a policy' : `${policyKey(policy)} (${placeText(policy.source)})`}, but no rule matched`;
    case 'default':
      return `${direction}: no policy isolates ${subject}`;
    case 'not-a-pod':
      return `${direction}: ${subject} is not policed, it is no pod with a network of its own`;
    case 'own-node':
      return direction === 'ingress'
        ? `ingress: a pod's own node always reaches it`
        : 'egress: NetworkPolicy does not cut a pod off from its own node';
    case 'hidden-baseline':
      return `${direction}: a NetworkPolicy selects ${subject}, which hides the Baseline tier (switch baseline: per-pod)`;
  }
}

function walkRule(evaluator: Evaluator, policy: Policy, direction: Direction, rule: Rule, flow: Flow, matched: boolean): WalkedRule {
  const other = direction === 'egress' ? flow.to : flow.from;
  const peers = (rule.peers ?? []).map((peer): WalkedItem => {
    const isPeer = evaluator.isPeer(policy.tier, peer, other);
    return { text: peerText(peer), matched: isPeer, ...(isPeer ? {} : { why: whyNoPeer(evaluator, peer, other) }), ...peer.source };
  });
  const matching = rule.peers?.filter((_, index) => peers[index]?.matched === true);
  const ports = (rule.ports ?? []).map((port): WalkedItem => {
    const isPort = (matching === undefined || matching.length === 0 ? [undefined] : matching).some((peer) =>
      evaluator.isPort(port, peer, direction, flow),
    );
    return { text: portText(port), matched: isPort, ...(isPort ? {} : { why: whyNoPort(port, flow) }), ...port.source };
  });
  const why =
    rule.failsClosed === undefined
      ? undefined
      : `"${rule.failsClosed}" is not known here, so the rule ${rule.action === 'Accept' ? 'accepts nothing' : 'denies everything'}`;
  return {
    key: ruleKey(policy, direction, rule),
    action: rule.action,
    ...(rule.name === undefined ? {} : { name: rule.name }),
    matched,
    peers,
    ports,
    ...(why === undefined ? {} : { why }),
    ...rule.source,
  };
}

function whyNoPeer({ world }: Evaluator, peer: Peer, other: Endpoint): string {
  const name = endpointName(other);
  switch (peer.kind) {
    case 'block':
      return `${name} has ${other.ip.text}, which is ${contains(peer.cidr, other.ip) ? 'excepted' : 'not in it'}`;
    case 'nodes':
      return other.kind === 'node' ? `${name} has ${labelsText(other.node.labels)}` : `${other.ip.text} is no node's address`;
    case 'domain':
      return other.kind === 'outside' && other.outside.domains.length > 0 ? `${name} is ${other.outside.domains.join(', ')}` : `${name} has no name`;
    case 'pods': {
      if (other.kind !== 'pod') return `${name} is no pod, and selectors mean pods only`;
      const { pod } = other;
      if (pod.hostNetwork) return `${name} shares the node's network, and selectors do not see it`;
      if (peer.pods.namespace !== undefined && peer.pods.namespace !== pod.namespace)
        return `${name} is not in namespace ${peer.pods.namespace}, and podSelector alone stays in the policy's own`;
      const labels = namespaceLabels(world.namespaces, pod.namespace);
      if (!selects(peer.pods.namespaceSelector, labels)) return `namespace ${pod.namespace} has ${labelsText(labels)}`;
      return `${name} has ${labelsText(pod.labels)}`;
    }
  }
}

function whyNoPort(match: PortMatch, { to, protocol, port }: Flow): string {
  if (match.kind !== 'named') return `it is ${protocol}/${port}`;
  if (to.kind !== 'pod') return `${endpointName(to)} is no pod, so it names no port`;
  const named = to.pod.ports.filter(({ name }) => name === match.name);
  if (named.length === 0) return `${endpointName(to)} has no port of that name`;
  return `on ${endpointName(to)} that is ${named.map((one) => `${one.protocol}/${one.port}`).join(', ')}`;
}

const tierNames: Readonly<Record<Tier, string>> = { admin: 'Admin tier', networkpolicy: 'NetworkPolicy tier', baseline: 'Baseline tier' };

const mark = (matched: boolean): string => (matched ? '✓' : '✗');

/** For a terminal. Families of addresses for which the same rules decide are told once. */
export function explanationsText(explanations: readonly Explanation[]): string {
  const alike = new Map<string, Explanation[]>();
  for (const explanation of explanations) {
    const { from, to, protocol, port, because } = explanation;
    const key = [from, to, protocol, port, because].join('\n');
    alike.set(key, [...(alike.get(key) ?? []), explanation]);
  }
  return [...alike.values()].map(explanationText).join('\n');
}

function explanationText(same: readonly Explanation[]): string {
  const [explanation] = same;
  if (explanation === undefined) return '';
  const { from, to, protocol, port, verdict, because, directions, loopback } = explanation;
  const addresses = same.map(({ fromAddress, toAddress }) => `${fromAddress} → ${toAddress}`).join(', ');
  const lines = [`${from} → ${to} ${protocol}/${port}  (${addresses})`, `${verdict === 'allow' ? 'ALLOWED' : 'DENIED'}: ${because}`];
  for (const direction of directions) {
    const isOnlyByRules = loopback && direction.verdict === 'deny' && verdict === 'allow';
    lines.push(
      '',
      `${direction.direction} of ${direction.subject}: ${direction.verdict === 'allow' ? 'allowed' : 'denied'}${isOnlyByRules ? ', if it left the pod' : ''}`,
    );
    if (direction.ambiguous !== undefined)
      lines.push(`  AMBIGUOUS: ${direction.ambiguous.join(' and ')} have one priority, and Kubernetes may take either first; here names decide`);
    for (const tier of tiers) lines.push(...tierLines(tier, direction));
    if (
      direction.reason === 'default' ||
      direction.reason === 'not-a-pod' ||
      direction.reason === 'own-node' ||
      direction.reason === 'hidden-baseline'
    )
      lines.push(`  ${direction.because}`);
  }
  return `${lines.join('\n')}\n`;
}

function tierLines(tier: Tier, { policies, direction }: WalkedDirection): string[] {
  const asked = policies.filter((policy) => policy.tier === tier);
  const selected = asked.filter((policy) => policy.selected);
  if (asked.length === 0) return [];
  const others = asked.length - selected.length;
  const head = `  ${tierNames[tier]}: ${selected.length === 0 ? `none of ${asked.length} policies selects it` : `${selected.length} selected`}${
    selected.length > 0 && others > 0 ? `, ${others} not` : ''
  }`;
  return [head, ...selected.flatMap((policy) => policyLines(policy, direction))];
}

function policyLines(policy: WalkedPolicy, direction: Direction): string[] {
  const priority = policy.priority === undefined ? '' : ` priority ${policy.priority}`;
  const head = `    ${policy.key}${priority} (${placeText(policy)}) selects ${policy.subject}`;
  if (!policy.isolates) return [`${head}; it does not cover ${direction}`];
  const isUnmatched = policy.rules.every(({ matched }) => !matched);
  return [head, ...policy.rules.flatMap(ruleLines), ...(isUnmatched ? [`      selected, but no rule matched`] : [])];
}

function ruleLines({ key, action, name, matched, peers, ports, why, ...source }: WalkedRule): string[] {
  const title = key.slice(key.lastIndexOf(' ') + 1);
  const head = `      ${mark(matched)} ${title} ${action}${name === undefined ? '' : ` "${name}"`} (${placeText(source)})${why === undefined ? '' : `: ${why}`}`;
  const isEverything = peers.length === 0 && ports.length === 0 && why === undefined;
  const item = (what: string, one: WalkedItem): string =>
    `          ${mark(one.matched)} ${what} ${one.text} (${placeText(one)})${one.why === undefined ? '' : `: ${one.why}`}`;
  return [
    `${head}${isEverything ? ': every peer, every port' : ''}`,
    ...peers.map((one) => item('peer', one)),
    ...ports.map((one) => item('port', one)),
  ];
}
