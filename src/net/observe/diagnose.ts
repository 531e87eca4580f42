/** What is wrong now with an attachment, beyond what changed: things that never were right, and who does not listen. Pure. */
import { cidrText, contains, parseCidr, parseIp } from '../../model/cidr.ts';
import type { PortMapping } from '../../model/cni/types.ts';
import type { CniCall } from '../cni/services.ts';
import { type Attached, compareAttachment, differenceText } from './compare.ts';
import type { AttachmentState, Listener } from './types.ts';

export interface Finding {
  /** what is wrong, on what */
  readonly what: string;
  readonly effect: string;
  readonly cure: string;
}

/** Of a pod that runs. */
export function diagnose(attached: Attached, state: AttachmentState): Finding[] {
  const changes = compareAttachment(attached, state).map((difference): Finding => {
    return { what: differenceText(difference), effect: difference.effect, cure: difference.cure };
  });
  return [...changes, ...wrongFromTheStart(attached), ...othersWhoDrop(attached, state), ...ports(attached, state.pod?.listeners ?? [])];
}

/** Addresses that no network of this shape can use: IPAM was told something else than the plugin that made the interface. */
function wrongFromTheStart({ network, result }: Attached): Finding[] {
  const subnets = network.expects.subnets.flatMap((text) => parseCidr(text) ?? []);
  // Ranges given for this pod alone are in no configuration.
  const fromConfiguration = network.capabilityArgs['ipRanges'] === undefined;
  return (result.ips ?? []).flatMap(({ address: text, gateway }): Finding[] => {
    const address = parseCidr(text);
    if (address === undefined) return [];
    const own = subnets.filter(({ ip }) => ip.family === address.ip.family);
    const way = gateway === undefined ? undefined : parseIp(gateway);
    return [
      ...(fromConfiguration && own.length > 0 && !own.some((subnet) => contains(subnet, address.ip))
        ? [
            {
              what: `address ${text} of ${network.ifName} is in no subnet of network "${network.name}" (${own.map(cidrText).join(', ')})`,
              effect: 'host and pod do not find each other',
              cure: `correct the IPAM section of ${network.source.path}, then run the pod again`,
            },
          ]
        : []),
      ...(way !== undefined && !contains(address, way)
        ? [
            {
              what: `gateway ${way.text} of ${network.ifName} is not in the subnet of its address ${text}`,
              effect: 'the pod reaches nothing outside its subnet',
              cure: `correct the gateway in ${network.source.path}, then run the pod again`,
            },
          ]
        : []),
    ];
  });
}

/** Every chain at a hook has its say: what table inet rkt accepts, another one can still drop (Docker's FORWARD chain does). */
function othersWhoDrop({ network, result }: Attached, { dropping }: AttachmentState): Finding[] {
  if (!network.expects.gateway) return [];
  const addresses = (result.ips ?? []).flatMap(({ address }) => parseCidr(address) ?? []);
  return dropping
    .filter(({ family, knowsPod }) => !knowsPod && addresses.some(({ ip }) => family === 'inet' || (family === 'ip') === (ip.family === 4)))
    .map(({ chain }) => ({
      what: `chain ${chain} drops what none of its rules accepts, and no rule of its table speaks of the pod`,
      effect:
        'other hosts do not reach published ports and the pod reaches nobody but the host and its own network; ports still answer on the host itself',
      cure: `rkt net repair lets the pod through chain FORWARD of iptables; elsewhere let the chain accept pods: nft insert rule ${chain} ip daddr ${network.expects.subnets[0] ?? 'SUBNET'} accept, and the same with saddr (Docker: in chain DOCKER-USER)`,
    }));
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
const portText = ({ hostPort, protocol, hostIP }: PortMapping): string => `${hostIP === undefined ? '' : `${hostIP} `}${protocol} ${hostPort}`;

function ports({ network }: Attached, listeners: readonly Listener[]): Finding[] {
  return (network.capabilityArgs.portMappings ?? []).flatMap((mapping): Finding[] => {
    const { protocol, containerPort } = mapping;
    if (protocol === 'sctp') return [];
    const there = listeners.filter((listener) => listener.protocol === protocol && listener.port === containerPort);
    if (there.some(({ address }) => !isLoopback(address))) return [];
    const [first] = there;
    return [
      {
        what:
          first === undefined
            ? `nothing in the pod listens on ${protocol} ${containerPort}`
            : `the pod listens on ${protocol} ${containerPort} only at ${first.address}`,
        effect: `the published port ${portText(mapping)} refuses connections or does not answer`,
        cure:
          first === undefined
            ? 'look whether the app started (its output, rkt status), and which port it uses'
            : `let the app listen on every address, not on ${first.address}`,
      },
    ];
  });
}

/** Calls whose last try failed, and what the plugin said. CHECK is left out: what it complains about is looked at here anyway. */
export function failedCalls(calls: readonly CniCall[]): Finding[] {
  const last = new Map(calls.map((call) => [`${call.verb} ${call.network} ${call.plugin} ${call.env['CNI_IFNAME'] ?? ''}`, call]));
  return [...last.values()]
    .filter(({ verb, exit }) => exit !== 0 && verb !== 'CHECK')
    .map(({ verb, network, plugin, exit, stdout, stderr }) => ({
      what: `the last ${verb} of plugin ${plugin} of network "${network}" failed${exit < 0 ? ' (it did not end by itself)' : ` with status ${exit}`}`,
      effect: said(stdout, stderr),
      cure: 'the call is shown above; correct what it complains about and run the pod again',
    }));
}

function said(stdout: string, stderr: string): string {
  try {
    const { msg, details } = JSON.parse(stdout) as { msg?: unknown; details?: unknown };
    if (typeof msg === 'string') return `it said: ${msg}${typeof details === 'string' && details !== '' ? `; ${details}` : ''}`;
  } catch {
    // not an error object: shown as it is
  }
  const text = (stdout.trim() === '' ? stderr : stdout).trim();
  return text === '' ? 'it said nothing' : `it said: ${text.slice(0, 300)}`;
}
