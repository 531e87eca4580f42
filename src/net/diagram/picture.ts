/** Facts → what is drawn, and what is marked as broken. Pure. */
import { cidrText, contains, networkOf, parseCidr, parseIp } from '../../model/cidr.ts';
import type { PortMapping } from '../../model/cni/types.ts';
import { printable } from '../../model/errors.ts';
import type { AttachmentFacts, DiagramFacts, PodFacts } from './facts.ts';

export interface Line {
  readonly text: string;
  readonly tone: 'plain' | 'faint' | 'bad';
}
export interface Card {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly state: 'fine' | 'broken' | 'ended';
}
/** A network with the pods that are on it. */
export interface Branch {
  readonly card: Card;
  /** false: nothing leads there */
  readonly isConnected: boolean;
  /** the host forwards for its pods */
  readonly isRouted: boolean;
  readonly pods: readonly Card[];
}
export interface Picture {
  readonly host: Card;
  readonly branches: readonly Branch[];
  /** what is broken, in whole sentences, and the cures */
  readonly findings: readonly string[];
}

const plain = (text: string): Line => ({ text: printable(text), tone: 'plain' });
const faint = (text: string): Line => ({ text: printable(text), tone: 'faint' });
const bad = (text: string): Line => ({ text: printable(`✗ ${text}`), tone: 'bad' });
const stateOf = (lines: readonly Line[]): Card['state'] => (lines.some(({ tone }) => tone === 'bad') ? 'broken' : 'fine');
const short = (pod: PodFacts): string => pod.name ?? pod.id.slice(0, 8);
const nounOf = (pod: PodFacts): string => (pod.netns === undefined ? `pod ${short(pod)}` : `namespace ${pod.netns}`);
/** Problems a card has room for. */
const shownProblems = 3;

export function pictureOf(facts: DiagramFacts): Picture {
  const attached = facts.pods.flatMap((pod) => pod.attachments.map((attachment) => ({ pod, attachment })));
  const names = [...new Set(attached.map(({ attachment }) => attachment.network.name))].sort();
  const findings: string[] = [];
  const host = hostCard(facts, findings);
  const branches = names.map((name) => {
    const members = attached.filter(({ attachment }) => attachment.network.name === name);
    return networkBranch(name, members, facts, findings);
  });
  const loose = (
    [
      ['host', "the host's network"],
      ['none', 'no network'],
    ] as const
  ).flatMap(([mode, title]): Branch[] => {
    const pods = facts.pods.filter((pod) => pod.mode === mode);
    const card: Card = { title, lines: [faint(mode === 'host' ? 'ports of the apps are ports of the host' : 'lo only')], state: 'fine' };
    return pods.length === 0 ? [] : [{ card, isConnected: mode === 'host', isRouted: false, pods: pods.map((pod) => podCard(pod, [])) }];
  });
  const broken = facts.pods.filter((pod) => pod.isRunning && pod.attachments.some(({ missing }) => missing.length > 0));
  const pods = broken.filter(({ netns }) => netns === undefined);
  const cure = [
    ...(pods.length === 0 ? [] : [`cure: rkt net repair${pods.length === 1 ? ` ${pods[0]?.id.slice(0, 8) ?? ''}` : ''}`]),
    // Whoever attached it keeps no journal to repair it by.
    ...broken.flatMap(({ netns, attachments }) =>
      netns === undefined
        ? []
        : attachments
            .filter(({ missing }) => missing.length > 0)
            .map(({ network: { name } }) => `cure: rkt net del ${name} ${netns}, then rkt net add`),
    ),
  ];
  return { host, branches: [...branches, ...loose], findings: [...new Set([...findings, ...cure])].map(printable) };
}

/** Families in which pods need the host as their router. */
function routedFamilies(facts: DiagramFacts): { ipv4: boolean; ipv6: boolean } {
  const subnets = facts.pods.flatMap(({ isRunning, attachments }) =>
    isRunning ? attachments.flatMap(({ network }) => (network.expects.gateway ? network.expects.subnets : [])) : [],
  );
  return { ipv4: subnets.some((subnet) => !subnet.includes(':')), ipv6: subnets.some((subnet) => subnet.includes(':')) };
}

function hostCard(facts: DiagramFacts, findings: string[]): Card {
  const routed = routedFamilies(facts);
  const lines = facts.uplinks.map(({ name, addresses }) => plain(`${name} ${addresses.join(', ')}`));
  if (facts.uplinks.length === 0) lines.push(faint('no default route'));
  for (const [family, label] of [
    ['ipv4', 'IPv4'],
    ['ipv6', 'IPv6'],
  ] as const) {
    if (facts.forwarding[family]) lines.push(faint(`${label} forwarding on`));
    else if (routed[family]) {
      lines.push(bad(`${label} forwarding is off`));
      findings.push(`${label} forwarding is off on the host: nothing gets from pods to other networks or back, published ports included`);
    }
  }
  return { title: `host ${printable(facts.hostName)}`, lines, state: stateOf(lines) };
}

interface Member {
  readonly pod: PodFacts;
  readonly attachment: AttachmentFacts;
}

function networkBranch(name: string, members: readonly Member[], facts: DiagramFacts, findings: string[]): Branch {
  const network = members[0]?.attachment.network;
  const bridge = network?.expects.bridge;
  const kernel = facts.bridges.find((candidate) => candidate.name === bridge);
  const isUsed = members.some(({ pod }) => pod.isRunning);
  const type = network?.plugins[0]?.type ?? '';
  const lines: Line[] = [plain(bridge === undefined ? type : `bridge ${bridge}`)];
  if (bridge === undefined) lines.push(...(network?.expects.subnets ?? []).map(faint));
  else if (kernel !== undefined) {
    lines.push(...kernel.addresses.map(plain));
    if (network?.expects.gateway === true && kernel.addresses.length === 0 && isUsed) {
      lines.push(bad('has no address'));
      findings.push(`bridge ${bridge} of network "${name}" has no address: its pods have no gateway`);
    }
    if (!kernel.up && isUsed) {
      lines.push(bad('is down'));
      findings.push(`bridge ${bridge} of network "${name}" is down`);
    }
  } else if (isUsed) {
    lines.push(bad('does not exist'));
    findings.push(`bridge ${bridge} of network "${name}" does not exist: its pods are cut off`);
  }
  if (network?.expects.masquerade === true) lines.push(faint('masquerades'));
  const pods = members.map(({ pod, attachment }) => podCard(pod, attachmentLines(pod, attachment, kernel?.addresses, findings)));
  return {
    card: { title: `network ${printable(name)}`, lines, state: stateOf(lines) },
    isConnected: true,
    isRouted: network?.expects.gateway === true,
    pods,
  };
}

function podCard(pod: PodFacts, lines: readonly Line[]): Card {
  const own = [...(pod.apps.length === 0 ? [] : [plain(pod.apps.join(', '))]), ...lines];
  return {
    title: `${printable(nounOf(pod))}${pod.isRunning ? '' : pod.netns === undefined ? ' (exited)' : ' (gone)'}`,
    lines: pod.isRunning ? own : own.map(({ text }) => ({ text, tone: 'faint' })),
    state: pod.isRunning ? stateOf(own) : 'ended',
  };
}

function attachmentLines(pod: PodFacts, attachment: AttachmentFacts, bridgeAddresses: readonly string[] | undefined, findings: string[]): Line[] {
  const { network, result, addresses } = attachment;
  const promised = (result?.ips ?? [])
    .filter(({ interface: index }) => index === undefined || result?.interfaces?.[index]?.name === network.ifName)
    .map(({ address }) => address);
  const lines = (addresses ?? promised).map((address, i) => plain(`${i === 0 ? network.ifName : ' '.repeat(network.ifName.length)} ${address}`));
  if (lines.length === 0) lines.push(plain(network.ifName));
  lines.push(...(network.capabilityArgs.portMappings ?? []).map((mapping) => plain(portText(mapping))));
  const others = pod.attachments.filter((other) => other !== attachment).map((other) => `${other.network.ifName} on ${other.network.name}`);
  if (others.length > 0) lines.push(faint(`also ${others.join(', ')}`));
  if (!pod.isRunning) return lines;
  const problems = [
    ...strayAddresses(addresses ?? [], bridgeAddresses),
    ...attachment.missing.filter(isThePods).map((text) => `missing: ${text}`),
    ...attachment.failures,
  ];
  findings.push(...gathered(problems).map((problem) => `${nounOf(pod)}, ${network.ifName} on "${network.name}": ${problem}`));
  return [...lines, ...cardProblems(problems).map(bad)];
}

/** Forwarding is the host's and is marked there; a bridge's own things are marked on it. */
const isThePods = (missing: string): boolean =>
  !/^sysctl net\.ipv[46]\.(ip_forward|conf\.all\.forwarding) |^bridge |of bridge |^rules of chain .* \(/.test(missing);

/** A pod that is not in its bridge's subnet neither reaches the gateway nor is reached. */
function strayAddresses(addresses: readonly string[], bridgeAddresses: readonly string[] | undefined): string[] {
  const subnets = (bridgeAddresses ?? []).flatMap((text) => parseCidr(text) ?? []);
  return addresses.flatMap((text) => {
    const ip = parseIp(text.split('/')[0] ?? '');
    const ofFamily = subnets.filter((subnet) => subnet.ip.family === ip?.family);
    if (ip === undefined || ofFamily.length === 0 || ofFamily.some((subnet) => contains(subnet, ip))) return [];
    return [`${ip.text} is not in the bridge's subnet ${ofFamily.map((subnet) => cidrText(networkOf(subnet))).join(', ')}`];
  });
}

/** `missing: WHAT (set … of table inet rkt)`: rules mostly go all at once, and are then one problem. */
const ruleText = /^missing: (.*?)(?: \(set \w+ of table inet rkt\)| of table inet rkt)$/;
const isRule = (problem: string): boolean => ruleText.test(problem);

function gathered(problems: readonly string[]): string[] {
  const rules = [...new Set(problems.flatMap((problem) => ruleText.exec(problem)?.[1] ?? []))];
  return [...problems.filter((problem) => !isRule(problem)), ...(rules.length === 0 ? [] : [`missing from table inet rkt: ${rules.join(', ')}`])];
}

/** As many as a card has room for, without what only explains. */
function cardProblems(problems: readonly string[]): string[] {
  const rules = problems.filter(isRule);
  const others = problems.filter((problem) => !isRule(problem));
  // A stray address explains most of what follows it, so it stays first.
  const short = rules.length > 2 ? [...others.slice(0, 1), `${rules.length} rules are missing`, ...others.slice(1)] : problems;
  const brief = short.map((problem) => problem.replace(/ \((set|it was) .*\)$/, '').replace(/: .*: rkt cannot put back.*/, ''));
  return brief.length <= shownProblems ? brief : [...brief.slice(0, shownProblems - 1), `and ${brief.length - shownProblems + 1} more`];
}

function portText({ hostIP = '', hostPort, containerPort, protocol }: PortMapping): string {
  const host = hostIP === '' ? '' : `${hostIP.includes(':') ? `[${hostIP}]` : hostIP}:`;
  return `${host}${hostPort} → ${containerPort}/${protocol}`;
}
