/** A plan for people (80 columns), and for programs (JSON). Pure. */
import { printable } from '../../model/errors.ts';
import type { PortMapping } from '../../model/cni/types.ts';
import type { NetPlan, PlannedNetwork, PodNames } from '../../model/plan.ts';
import { byteOrder } from '../conf/order.ts';

const width = 80;
const labelWidth = 11;

/** The text of a plan: what will be there, who makes it, and what takes it away again. Ends with a newline. */
export function renderPlan(plan: NetPlan): string {
  const lines = plan.mode === 'contained' ? contained(plan.networks) : withoutNetworks(plan.mode, plan.netns ?? '');
  const warnings = plan.warnings.flatMap((warning) => wrap('warning: ', printable(warning)));
  return `${[...lines, ...nameLines(plan.names), ...(warnings.length === 0 ? [] : ['', ...warnings])].join('\n')}\n`;
}

/** The plan as JSON with sorted keys: equal plans are equal bytes. */
export function planJson(plan: NetPlan): string {
  const sorted = (_key: string, value: unknown): unknown =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => byteOrder(a, b)))
      : value;
  return `${JSON.stringify(plan, sorted, 2)}\n`;
}

function withoutNetworks(mode: 'host' | 'none' | 'ns', netns: string): string[] {
  if (mode === 'ns')
    return wrap(
      '',
      `The pod joins the network namespace ${printable(netns)}, which somebody else made. Nothing is made in it and it is never removed.`,
    );
  if (mode === 'host')
    return wrap('', 'The pod uses the network of the host: its interfaces, addresses and ports. Nothing is made and nothing has to be removed.');
  return [
    ...wrap('', 'The pod gets a network namespace with nothing in it but lo (127.0.0.1, ::1). It reaches nobody and nobody reaches it.'),
    '',
    ...wrap('', 'Removed by "rkt gc" once the pod has exited: the namespace.'),
  ];
}

/** Names and resolvers that were asked for. */
function nameLines(names: PodNames | undefined): string[] {
  if (names === undefined) return [];
  const { hostname, dns, hosts } = names;
  const rows: [string, string][] = [
    ...(hostname === undefined ? [] : [['host name', hostname] satisfies [string, string]]),
    ...(dns === undefined ? [] : [['resolver', resolverLine(dns)] satisfies [string, string]]),
    ...(hosts === undefined
      ? []
      : hosts === 'host'
        ? [['hosts', "the host's /etc/hosts, read-only"] satisfies [string, string]]
        : hosts.map(({ ip, names: known }, i): [string, string] => [i === 0 ? 'hosts' : '', `${ip} is ${known.join(', ')}`])),
  ];
  return ['', 'Names:', ...rows.flatMap(([label, text]) => wrap(`  ${label.padEnd(labelWidth)}`, printable(text)))];
}

function resolverLine(dns: NonNullable<PodNames['dns']>): string {
  if (dns === 'host') return "the host's /etc/resolv.conf, read-only";
  if (dns === 'none') return 'what the image has';
  const { nameservers, search, options, domain } = dns;
  return [
    nameservers.length === 0 ? 'no server' : nameservers.join(', '),
    ...(search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    ...(options.length === 0 ? [] : [`options ${options.join(' ')}`]),
    ...(domain === undefined ? [] : [`domain ${domain}`]),
  ].join('; ');
}

function contained(networks: readonly PlannedNetwork[]): string[] {
  if (networks.length === 0) return wrap('', 'There is no network to join: the pod gets nothing but lo.');
  const count = networks.length === 1 ? 'one network' : `${networks.length} networks, in this order`;
  const shared = sharedObjects(networks);
  const column = Math.max(...shared.map(([name]) => name.length));
  return [
    ...wrap('', `The pod gets a network namespace of its own and joins ${count}:`),
    ...networks.flatMap((network) => ['', ...networkLines(network)]),
    ...(shared.length === 0
      ? []
      : ['', 'Shared with other pods, made if absent:', ...shared.flatMap(([what, fate]) => wrap(`  ${what.padEnd(column)}  `, fate))]),
    '',
    'Removed by "rkt gc" or "rkt rm" once the pod has exited:',
    ...networks.toReversed().flatMap(removal),
    '  the namespace with every interface in it',
  ];
}

function networkLines(network: PlannedNetwork): string[] {
  const owner = { admin: 'configured by the admin', system: 'configured by the system', builtin: 'comes with rkt' }[network.source.owner];
  const rows: [string, string][] = [
    ['file', `${printable(network.source.path)} (${owner})`],
    ...(network.source.dropIns ?? []).map((path): [string, string] => ['', `with ${printable(path)}`]),
    ['protocol', `CNI ${network.cniVersion}`],
    ...pluginRows(network).map((text, i): [string, string] => [i === 0 ? 'plugins' : '', text]),
    ['address', addressText(network)],
    ...(network.expects.gateway ? [['outgoing', outgoingText(network)] satisfies [string, string]] : []),
    ...(network.capabilityArgs.portMappings ?? []).map((port, i): [string, string] => [i === 0 ? 'ports' : '', portText(port)]),
    ...argumentTexts(network).map((text, i): [string, string] => [i === 0 ? 'asked for' : '', text]),
  ];
  return [
    `${network.ifName} = network "${printable(network.name)}"`,
    ...rows.flatMap(([label, text]) => wrap(`  ${label.padEnd(labelWidth)}`, text)),
  ];
}

/** One line a plugin in calling order, delegates indented below their caller. */
function pluginRows({ plugins }: PlannedNetwork): string[] {
  const column = Math.max(...plugins.flatMap(({ type, ipam }) => [type.length, ...(ipam === undefined ? [] : [ipam.type.length + 2])]));
  const source = (via: string): string => (via === 'builtin' ? 'built in' : printable(via));
  return plugins.flatMap(({ type, via, ipam, runtimeConfig }) => {
    const receives = Object.keys(runtimeConfig ?? {}).sort(byteOrder);
    return [
      `${printable(type).padEnd(column)}  ${source(via)}${receives.length === 0 ? '' : `; receives ${printable(receives.join(', '))}`}`,
      ...(ipam === undefined ? [] : [`${`  ${printable(ipam.type)}`.padEnd(column)}  ${source(ipam.via)}; chooses the address`]),
    ];
  });
}

function addressText({ plugins, expects }: PlannedNetwork): string {
  const ipam = plugins.find((plugin) => plugin.ipam !== undefined)?.ipam;
  if (ipam === undefined) return 'none (no plugin asks for one)';
  if (expects.subnets.length === 0) return `whatever ${printable(ipam.type)} gives`;
  const gateways = expects.gateways?.join(' and ') ?? '';
  const router = !expects.gateway
    ? ''
    : expects.bridge === undefined
      ? `; the host is ${gateways}`
      : `; the host is ${gateways} on bridge ${printable(expects.bridge)}`;
  return `from ${expects.subnets.join(' and ')}${router}`;
}

const outgoingText = ({ expects }: PlannedNetwork): string =>
  expects.masquerade
    ? 'masqueraded: others see the address of the host'
    : 'not masqueraded: others see the address of the pod and must know a way to it';

/** Wildcard addresses mean the same as none in each family. */
function portText({ hostIP, hostPort, containerPort, protocol }: PortMapping): string {
  const address = hostIP === undefined ? 'any address' : hostIP.includes(':') ? `[${hostIP}]` : hostIP;
  return `${address}, ${protocol} ${hostPort} of the host -> ${containerPort} of the pod`;
}

function argumentTexts({ args, capabilityArgs }: PlannedNetwork): string[] {
  const { ips, mac, portMappings: _shown, ...others } = capabilityArgs;
  return [
    ...(ips === undefined ? [] : [`address ${ips.join(', ')}`]),
    ...(mac === undefined ? [] : [`MAC address ${mac}`]),
    ...Object.entries(others).map(([capability, value]) => printable(`${capability} ${JSON.stringify(value)}`)),
    ...args.map(([key, value]) => printable(`${key}=${value} (CNI_ARGS)`)),
  ];
}

/** What outlives this pod because others may use it, and its fate: bridges, rules, sysctls, the unknown. */
function sharedObjects(networks: readonly PlannedNetwork[]): [string, string][] {
  const isBuiltin = ({ plugins }: PlannedNetwork, ...types: string[]): boolean =>
    plugins.some(({ type, via }) => types.includes(type) && via === 'builtin');
  const bridges = networks.flatMap((network): [string, string][] => {
    const { bridge } = network.expects;
    if (bridge === undefined) return [];
    return [
      [
        `bridge ${printable(bridge)}`,
        isBuiltin(network, 'bridge') ? 'removed by gc if rkt made it and no pod is on it' : 'stays: its plugin never removes it',
      ],
    ];
  });
  const hasRules = networks.some(
    (network) => (network.expects.masquerade && isBuiltin(network, 'bridge', 'ptp')) || isBuiltin(network, 'portmap', 'firewall'),
  );
  const routed = networks.filter(({ expects }) => expects.gateway).flatMap(({ expects }) => expects.subnets);
  const executables = networks.some(({ plugins }) => plugins.some(({ via }) => via !== 'builtin'));
  return [
    ...new Map([
      ...bridges,
      ...(hasRules ? [['nftables table inet rkt', 'removed when nothing is left in it'] as const] : []),
      ...(routed.some((subnet) => !subnet.includes(':')) ? [['net.ipv4.ip_forward=1', 'stays on'] as const] : []),
      ...(routed.some((subnet) => subnet.includes(':')) ? [['net.ipv6.conf.all.forwarding=1', 'stays on'] as const] : []),
      ...(executables ? [['work of executables', 'may stay (iptables chains): rkt does not know it'] as const] : []),
    ]),
  ];
}

/** DEL runs backwards (R20). */
function removal({ ifName, plugins }: PlannedNetwork): string[] {
  const order = plugins
    .toReversed()
    .map(({ type }) => printable(type))
    .join(', ');
  const delegates = plugins.flatMap(({ ipam }) => (ipam === undefined ? [] : [printable(ipam.type)]));
  const lease = delegates.length === 0 ? '' : `; ${delegates.join(', ')} ${delegates.length === 1 ? 'takes' : 'take'} the address back`;
  return wrap(`  ${ifName}: `, `${plugins.length === 1 ? `${order} deletes what it made` : `${order} delete what they made, in this order`}${lease}`);
}

/** Breaks `text` at blanks; following lines are indented as deep as `prefix` is long. A word longer than a line stays whole, so that it can be copied. */
function wrap(prefix: string, text: string): string[] {
  if (prefix.length + text.length <= width) return [`${prefix}${text}`.trimEnd()];
  const lines: string[] = [];
  let line = '';
  // Runs of blanks are columns: they stay, unless the line breaks there.
  for (const [, gap = '', word = ''] of text.matchAll(/( *)([^ ]+)/g)) {
    if (line !== '' && prefix.length + line.length + gap.length + word.length > width) {
      lines.push(line);
      line = word;
    } else line += gap + word;
  }
  lines.push(line);
  return lines.map((content, i) => `${i === 0 ? prefix : ' '.repeat(prefix.length)}${content}`.trimEnd());
}
