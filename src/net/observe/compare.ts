/** What an attachment's ADD result promises against what there is. Pure. @see cni.md P10 */
import { cidrText, networkOf, parseCidr, parseIp, type Cidr, type Family } from '../../model/cidr.ts';
import { pluginTexts } from '../../model/cni/inject.ts';
import { isObject, knownKey } from '../../model/cni/known-key.ts';
import type { CniIp, CniResult } from '../../model/cni/types.ts';
import type { PlannedNetwork } from '../../model/plan.ts';
import { elementText } from '../../model/ruleset/text.ts';
import type { AttachmentState, LinkState } from './types.ts';

/** One thing that is not as ADD left it. */
export interface Difference {
  readonly kind: 'missing' | 'changed';
  readonly what: string;
  readonly was?: string;
  readonly is?: string;
  /** what does not work because of it, lower-case, no period */
  readonly effect: string;
  readonly cure: string;
}

/** `missing: address 10.1.0.2/24 on eth0`, `changed: net.ipv4.ip_forward was 1 is 0` */
export const differenceText = ({ kind, what, was, is }: Difference): string =>
  `${kind}: ${what}${was === undefined ? '' : ` was ${was}`}${is === undefined ? '' : ` is ${is}`}`;

/** An attachment as its pod's journal has it. */
export interface Attached {
  readonly network: PlannedNetwork;
  readonly containerId: string;
  readonly netns: string;
  /** what the pod and its apps are called */
  readonly names?: readonly string[];
  readonly result: CniResult;
}

/** As `tableDamage` says it. */
const tableGone = 'table inet rkt does not exist';
const repair = 'rkt net repair puts it back, and the pod goes on';
/** What only a new ADD makes. */
const rejoin = ({ network, containerId }: Attached): string =>
  `rkt net disconnect ${containerId.slice(0, 8)} ${network.name}; rkt net connect ${containerId.slice(0, 8)} ${network.name} (its ports: run the pod again)`;
const isRouter = ({ network }: Attached): boolean => network.expects.gateway;
const isOwn = ({ network, result }: Attached, { interface: index }: CniIp): boolean =>
  index === undefined || result.interfaces?.[index]?.name === network.ifName;
const ownIps = (attached: Attached): { address: Cidr; gateway: string | undefined }[] =>
  (attached.result.ips ?? [])
    .filter((ip) => isOwn(attached, ip))
    .flatMap((ip) => {
      const address = parseCidr(ip.address);
      return address === undefined ? [] : [{ address, gateway: ip.gateway === undefined ? undefined : (parseIp(ip.gateway)?.text ?? ip.gateway) }];
    });
const familiesOf = (attached: Attached): Family[] => [...new Set(ownIps(attached).map(({ address }) => address.ip.family))];

/** In the order in which a packet meets them: the pod's end, the host's end, the rules, the settings, the books. */
export function compareAttachment(attached: Attached, state: AttachmentState): Difference[] {
  return [
    ...inPod(attached, state),
    ...onHost(attached, state),
    ...rules(attached, state),
    ...settings(attached, state),
    ...leases(attached, state),
    ...(state.cache === undefined
      ? [
          {
            kind: 'missing',
            what: `libcni cache entry of ${attached.network.name}/${attached.containerId}/${attached.network.ifName}`,
            effect: 'other runtimes that collect garbage on this network do not know the attachment',
            cure: 'none needed for this pod: rkt removes it by its journal',
          } as const,
        ]
      : []),
  ];
}

/* ---- the pod's end ---- */

function inPod(attached: Attached, { pod }: AttachmentState): Difference[] {
  const { netns, network, result } = attached;
  if (pod === undefined)
    return [
      {
        kind: 'missing',
        what: `network namespace ${netns}`,
        effect: 'the pod has no network any more',
        cure: 'rkt rm removes what is left of the pod',
      },
    ];
  const promised = (result.interfaces ?? []).filter(({ sandbox }) => (sandbox ?? '') !== '');
  return promised.flatMap(({ name, mac }): Difference[] => {
    const link = pod.links.find((item) => item.name === name);
    if (link === undefined)
      return [{ kind: 'missing', what: `interface ${name} in the pod`, effect: `network "${network.name}" is cut off`, cure: rejoin(attached) }];
    return [
      ...(link.up
        ? []
        : [
            {
              kind: 'changed',
              what: `interface ${name} in the pod`,
              was: 'up',
              is: 'down',
              effect: 'no packet passes it',
              cure: `${repair}; or ip -n ${nsName(netns)} link set ${name} up`,
            } as const,
          ]),
      ...changedMac(attached, `MAC address of ${name} in the pod`, mac, link),
      ...addresses(attached, link),
      ...(name === network.ifName ? routes(attached, link) : []),
    ];
  });
}

/** As `ip -n` wants it: names below /run/netns go without their directory. */
const nsName = (netns: string): string => netns.replace(/^(\/var)?\/run\/netns\//, '');

const changedMac = (attached: Attached, what: string, was: string | undefined, { mac }: LinkState): Difference[] =>
  was === undefined || was.toLowerCase() === mac
    ? []
    : [
        {
          kind: 'changed',
          what,
          was: was.toLowerCase(),
          is: mac,
          effect: 'neighbours may send to the old address for a while',
          cure: rejoin(attached),
        },
      ];

function addresses(attached: Attached, link: LinkState): Difference[] {
  const { result, network, netns } = attached;
  const promised = (result.ips ?? [])
    .filter(({ interface: index }) => (index === undefined ? network.ifName : result.interfaces?.[index]?.name) === link.name)
    .flatMap(({ address }) => parseCidr(address) ?? []);
  const strangers = link.addresses.filter((text) => !promised.some((address) => cidrText(address) === text) && !text.startsWith('fe80:'));
  return promised.flatMap((address): Difference[] => {
    const text = cidrText(address);
    if (link.addresses.includes(text)) return [];
    const other = strangers.find((stranger) => parseCidr(stranger)?.ip.family === address.ip.family);
    const common = {
      effect: `nothing sent to ${address.ip.text} is answered: host, other pods and published ports lead there`,
      cure: `${repair}; or ip -n ${nsName(netns)} addr add ${text} dev ${link.name}${other === undefined ? '' : `; ip -n ${nsName(netns)} addr del ${other} dev ${link.name}`}`,
    };
    return [
      other === undefined
        ? { kind: 'missing', what: `address ${text} on ${link.name} in the pod`, ...common }
        : { kind: 'changed', what: `address of ${link.name} in the pod`, was: text, is: other, ...common },
    ];
  });
}

function routes(attached: Attached, link: LinkState): Difference[] {
  const ips = ownIps(attached);
  return (attached.result.routes ?? []).flatMap((route): Difference[] => {
    const dst = parseCidr(route.dst);
    if (dst === undefined) return [];
    const text = cidrText(networkOf(dst));
    const fallback = ips.find(({ address, gateway }) => address.ip.family === dst.ip.family && gateway !== undefined)?.gateway;
    const gateway = route.gw === undefined ? fallback : (parseIp(route.gw)?.text ?? route.gw);
    const there = link.routes.filter((item) => item.dst === text);
    if (there.some((item) => item.gateway === gateway)) return [];
    const cure = `${repair}; or ip -n ${nsName(attached.netns)} route replace ${text}${gateway === undefined ? '' : ` via ${gateway}`} dev ${link.name}`;
    const effect = dst.prefixLen === 0 ? 'the pod answers nobody outside its own subnet' : `the pod does not reach ${text}`;
    const way = (via: string | undefined): string => (via === undefined ? `dev ${link.name}` : `via ${via}`);
    const other = there[0];
    return [
      other === undefined
        ? { kind: 'missing', what: `route to ${text} ${way(gateway)} in the pod`, effect, cure }
        : { kind: 'changed', what: `route to ${text} in the pod`, was: way(gateway), is: way(other.gateway), effect, cure },
    ];
  });
}

/* ---- the host's end ---- */

function onHost(attached: Attached, state: AttachmentState): Difference[] {
  const { network, result } = attached;
  const { bridge } = network.expects;
  const inside = state.pod?.links.find(({ name }) => name === network.ifName);
  const named = (result.interfaces ?? []).filter(({ sandbox }) => (sandbox ?? '') === '');
  const ends = named.filter(({ name }) => name !== bridge);
  const found: Difference[] = [];
  if (bridge !== undefined) found.push(...bridgeState(attached, bridge, state));
  for (const { name, mac } of ends) {
    const link = state.hostLinks.find((item) => item.name === name);
    if (link === undefined) {
      found.push({ kind: 'missing', what: `host end ${name} of ${network.ifName}`, effect: 'the pod is cut off', cure: rejoin(attached) });
      continue;
    }
    if (!link.up)
      found.push({
        kind: 'changed',
        what: `host end ${name}`,
        was: 'up',
        is: 'down',
        effect: 'no packet passes it',
        cure: `${repair}; or ip link set ${name} up`,
      });
    found.push(...changedMac(attached, `MAC address of host end ${name}`, mac, link));
    if (link.kind !== 'veth') continue;
    if (inside !== undefined && (inside.peer !== link.index || link.peer !== inside.index))
      found.push({
        kind: 'changed',
        what: `other end of ${name}`,
        was: `${network.ifName} of the pod`,
        is: 'another interface',
        effect: 'the pod is cut off',
        cure: rejoin(attached),
      });
    if (bridge !== undefined && link.master !== bridge)
      found.push({
        kind: 'changed',
        what: `bridge of host end ${name}`,
        was: bridge,
        is: link.master ?? 'none',
        effect: 'the pod reaches neither the host nor other pods of its network',
        cure: `${repair}; or ip link set ${name} master ${bridge}`,
      });
    if (bridge === undefined && isRouter(attached)) found.push(...gatewayAddresses(attached, link));
  }
  // A list that makes the host no router still publishes ports through the host.
  if (isRouter(attached) || (network.capabilityArgs.portMappings ?? []).length > 0) found.push(...wayToPod(attached, bridge ?? ends[0]?.name, state));
  return found;
}

function bridgeState(attached: Attached, bridge: string, state: AttachmentState): Difference[] {
  const link = state.hostLinks.find(({ name }) => name === bridge);
  const effect = 'pods of the network reach neither each other nor the host';
  if (link === undefined) return [{ kind: 'missing', what: `bridge ${bridge}`, effect, cure: repair }];
  const down: Difference[] = link.up
    ? []
    : [{ kind: 'changed', what: `bridge ${bridge}`, was: 'up', is: 'down', effect, cure: `${repair}; or ip link set ${bridge} up` }];
  return [...down, ...(isRouter(attached) ? gatewayAddresses(attached, link) : [])];
}

/** The host answers for the gateways: on the bridge with the subnet, on a link of its own without. */
function gatewayAddresses(attached: Attached, link: LinkState): Difference[] {
  const have = link.addresses.flatMap((text) => parseCidr(text) ?? []);
  return ownIps(attached).flatMap(({ address, gateway }): Difference[] => {
    const ip = gateway === undefined ? undefined : parseIp(gateway);
    if (ip === undefined || have.some((item) => item.ip.text === ip.text)) return [];
    const prefixLen = link.kind === 'bridge' ? address.prefixLen : ip.family === 4 ? 32 : 128;
    const other = have.find((item) => item.ip.family === ip.family && !item.ip.text.startsWith('fe80:'));
    const common = {
      effect: 'the pod finds no gateway: it reaches nothing outside its subnet',
      cure: `${repair}; or ip addr add ${ip.text}/${prefixLen} dev ${link.name}`,
    };
    return [
      other === undefined
        ? { kind: 'missing', what: `gateway address ${ip.text} on ${link.name}`, ...common }
        : { kind: 'changed', what: `gateway address on ${link.name}`, was: ip.text, is: cidrText(other), ...common },
    ];
  });
}

function wayToPod(attached: Attached, device: string | undefined, { towards }: AttachmentState): Difference[] {
  if (device === undefined) return [];
  return ownIps(attached).flatMap(({ address: { ip, prefixLen } }): Difference[] => {
    const now = towards[ip.text];
    if (now === device) return [];
    return [
      {
        kind: 'changed',
        what: `the host's way to ${ip.text}`,
        was: `through ${device}`,
        is: now === undefined ? 'none (no route)' : `through ${now}`,
        effect: 'the host sends what is for the pod, published ports included, somewhere else',
        cure: `${repair}; ip route get ${ip.text} shows the route in the way; the pod's own is: ip route replace ${attached.network.expects.bridge === undefined ? ip.text : cidrText(networkOf({ ip, prefixLen }))} dev ${device}`,
      },
    ];
  });
}

/* ---- rules, settings, books ---- */

function rules({ network }: Attached, { tableDamage, missingElements }: AttachmentState): Difference[] {
  // All the elements are gone with it: one cause, said once.
  if (tableDamage.includes(tableGone))
    return [
      {
        kind: 'missing',
        what: `nftables: ${tableGone}, and with it the rules of every pod`,
        effect: 'published ports lead nowhere, what pods send outside is not answered, the firewall plugin does nothing: for every pod',
        cure: `${repair} (every pod, none is stopped); then find who flushed it: nft flush ruleset, a firewall service that was restarted`,
      },
    ];
  const damage: Difference[] =
    tableDamage.length === 0
      ? []
      : [
          {
            kind: 'missing',
            what: `nftables: ${tableDamage.join('; ')}`,
            effect: 'published ports, masquerading and the firewall of every pod that uses the table do not work as they should',
            cure: 'rkt net repair puts rules and elements back; for a set or map that is missing: stop the pods that use it, rkt gc --grace-period=0, nft delete table inet rkt, run them again',
          },
        ];
  const isPort = (set: string): boolean => set.startsWith('ports') || set.startsWith('hostports');
  const effectOf = (set: string): string => {
    if (isPort(set)) return 'the published port is not led to the pod';
    if (set.startsWith('hairpin')) return 'the host itself and pods of the same subnet get no answer from the published port';
    if (set.startsWith('masq')) return 'answers to what the pod sends outside do not come back';
    return `forwarding to and from the pod is left to other rules on network "${network.name}"`;
  };
  return [
    ...damage,
    ...missingElements.map((element): Difference => ({
      kind: 'missing',
      what: `nftables element ${elementText(element)} of table inet rkt`,
      effect: effectOf(element.set),
      cure: repair,
    })),
  ];
}

function settings(attached: Attached, { forwarding, routeLocalnet }: AttachmentState): Difference[] {
  const found: Difference[] = [];
  if (isRouter(attached)) {
    for (const [family, key] of [
      [4, 'net.ipv4.ip_forward'],
      [6, 'net.ipv6.conf.all.forwarding'],
    ] as const) {
      const value = forwarding[family];
      if (!familiesOf(attached).includes(family) || value === undefined || value !== '0') continue;
      found.push({
        kind: 'changed',
        what: key,
        was: '1',
        is: value,
        effect: 'the host forwards nothing: published ports answer only on the host itself, the pod reaches only the host and its own subnet',
        cure: `rkt net repair, or sysctl -w ${key}=1; if it is 0 again after a while, look for who sets it below /etc/sysctl.d`,
      });
    }
  }
  const published = (attached.network.capabilityArgs.portMappings ?? []).some(
    ({ hostIP }) => hostIP === undefined || /^(0\.0\.0\.0|127\.)/.test(hostIP),
  );
  if (published && routeLocalnet?.value === '0' && familiesOf(attached).includes(4) && hidesSources(attached.network))
    found.push({
      kind: 'changed',
      what: `net.ipv4.conf.${routeLocalnet.device}.route_localnet`,
      was: '1',
      is: '0',
      effect: 'published ports do not answer on 127.0.0.1',
      cure: `rkt net repair, or sysctl -w net.ipv4.conf.${routeLocalnet.device}.route_localnet=1`,
    });
  return found;
}

/** portmap opens the loopback only with snat, its default. */
function hidesSources(network: PlannedNetwork): boolean {
  return pluginTexts(network.confList).some((text) => {
    const plugin = JSON.parse(text) as unknown;
    return isObject(plugin) && knownKey(plugin, 'type') === 'portmap' && knownKey(plugin, 'snat') !== false;
  });
}

function leases(attached: Attached, state: AttachmentState): Difference[] {
  const { network, containerId } = attached;
  if (!network.plugins.some(({ ipam }) => ipam?.type === 'host-local')) return [];
  return ownIps(attached).flatMap(({ address: { ip } }): Difference[] => {
    const lease = state.leases.find((item) => item.address === ip.text);
    if (lease === undefined)
      return [
        {
          kind: 'missing',
          what: `lease of ${ip.text} in host-local's store of network "${network.name}"`,
          effect: 'another pod can be given the same address',
          cure: repair,
        },
      ];
    if (lease.containerId === containerId && (lease.ifName ?? network.ifName) === network.ifName) return [];
    return [
      {
        kind: 'changed',
        what: `holder of the lease of ${ip.text}`,
        was: `${containerId}/${network.ifName}`,
        is: `${lease.containerId}/${lease.ifName ?? '?'}`,
        effect: 'two containers have the same address: who answers is chance',
        cure: rejoin(attached),
      },
    ];
  });
}
