/** What `--port` asks for, and which mappings that makes. Pure. @see rkt.md 2.9, 4.1 rows 1 and 19 */
import { parseIp, type Ip } from '../model/cidr.ts';
import { RuntimeError } from '../model/errors.ts';
import { didYouMean, isAppName } from '../model/ids.ts';
import { portText, type PortMapping } from '../model/cni/types.ts';
import type { NetPlan } from '../model/plan.ts';
import type { PodPort } from '../model/pod.ts';

/** One `--port`, read. `target` is a port of an image by name, or a port of the pod by number (the first of `count`). */
export interface PortRequest {
  readonly text: string;
  /** the first of `count`; 0: one that is free, for each */
  readonly hostPort: number;
  readonly hostIP?: string;
  /** ports in a row */
  readonly count: number;
  readonly target: string | { readonly port: number; readonly protocol: PortMapping['protocol'] };
}
/** Ports an app's image declares. */
export interface AppPorts {
  readonly app: string;
  readonly ports: readonly PodPort[];
}

const hint =
  'forms: --port=NAME:HOST, --port=NAME:IP:HOST (NAME is a port of an image), --port=HOST:POD[/udp], --port=IP:HOST:POD, --port=[IPv6]:HOST:POD, --port=8000-8010:80-90; HOST 0: a free port is chosen';
const refuse = (faults: readonly string[]): never => {
  throw new RuntimeError('ERR_NET_PORTS', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} published ports cannot be mapped`, {
    details: faults.length === 1 ? [] : faults,
    hint,
  });
};

/**
 * Reads the values of `--port`: `NAME:HOST`, `NAME:IP:HOST`, `HOST:POD[/proto]`, `IP:HOST:POD[/proto]`; IPv6 addresses in
 * brackets. Digits alone before a colon are always a host port, even if an image has a port named so. HOST and POD may be
 * ranges of equal length; HOST may be 0 (any free port).
 * @throws RuntimeError ERR_NET_PORTS naming every fault
 */
export function parsePortArgs(values: readonly string[]): PortRequest[] {
  const faults: string[] = [];
  const requests = values.map((text) => {
    const read = readPort(text);
    if (typeof read === 'string') faults.push(`--port=${text}: ${read}`);
    return read;
  });
  if (faults.length > 0) refuse(faults);
  return requests.filter((request) => typeof request !== 'string');
}

function readPort(text: string): PortRequest | string {
  const [fields, protocol] = splitFields(text);
  if (fields === undefined) return 'an IPv6 address must stand in brackets that are closed';
  if (fields.length < 2) return 'a host port and a port of the pod are needed';
  if (fields.length > 3) return 'too many fields; an IPv6 address must stand in brackets';
  const [first = '', second = '', third = ''] = fields;
  const numeric = fields.length === 2 ? isPortText(first) : first.startsWith('[') || first.includes('.') || parseIp(first) !== undefined;
  const [addressText, hostText, podText] = numeric
    ? fields.length === 2
      ? [undefined, first, second]
      : [first, second, third]
    : fields.length === 2
      ? [undefined, second, undefined]
      : [second, third, undefined];

  const host = portRange(hostText, 0);
  if (host === undefined) return `${JSON.stringify(hostText)} is not a port of the host (1-65535, or 0: one that is free)`;
  const address = addressText === undefined ? undefined : hostAddress(addressText);
  if (addressText !== undefined && address === undefined) return `${JSON.stringify(addressText)} is not an address of the host`;
  if (address?.text === '::1')
    return 'the kernel does not route [::1] to a pod (IPv6 has no route_localnet): use 127.0.0.1 or another address of the host';
  const base = { text, hostPort: host.first, ...(address === undefined ? {} : { hostIP: address.text }) };
  if (podText === undefined) {
    if (!isAppName(first)) return `${JSON.stringify(first)} is not the name of a port`;
    if (host.count > 1) return 'a named port is one port, not a range';
    return protocol === undefined ? { ...base, count: 1, target: first } : 'the image declares the protocol of a named port';
  }
  const pod = portRange(podText, 1);
  if (pod === undefined) return `${JSON.stringify(podText)} is not a port of the pod (1-65535)`;
  if (host.first !== 0 && host.count !== pod.count) return `${host.count} ports of the host for ${pod.count} of the pod: ranges must be equally long`;
  if (protocol !== undefined && !isProtocol(protocol)) return `unknown protocol ${JSON.stringify(protocol)}; tcp, udp or sctp`;
  return { ...base, count: pod.count, target: { port: pod.first, protocol: protocol ?? 'tcp' } };
}

const isPortText = (text: string): boolean => /^\d+(-\d+)?$/.test(text);
const isProtocol = (text: string): text is PortMapping['protocol'] => text === 'tcp' || text === 'udp' || text === 'sctp';

/** Splits at colons outside of brackets; what follows the last `/` is the protocol. */
function splitFields(text: string): [string[] | undefined, string | undefined] {
  const slash = text.lastIndexOf('/');
  const body = slash < 0 ? text : text.slice(0, slash);
  const fields = body.match(/\[[^\]]*\]|[^:[\]]+|(?<=:|^)(?=:|$)/g) ?? [];
  return [fields.join(':') === body ? fields : undefined, slash < 0 ? undefined : text.slice(slash + 1)];
}

/** `80` or `80-90`; a range holds no 0. */
function portRange(text: string | undefined, least: 0 | 1): { first: number; count: number } | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text ?? '');
  if (match === null) return undefined;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (last > 65535 || last < first || first < (match[2] === undefined ? least : 1)) return undefined;
  return { first, count: last - first + 1 };
}

function hostAddress(text: string): Ip | undefined {
  const bracketed = /^\[(.*)\]$/.exec(text);
  const ip = parseIp(bracketed?.[1] ?? text);
  // A mapped address (::ffff:1.2.3.4) never stands in a packet: a rule for it would match nothing.
  if (ip?.family === 6 && ip.value >> 32n === 0xffffn) return undefined;
  return (ip?.family === 6) === (bracketed !== null) ? ip : undefined;
}

/**
 * Turns requests into mappings. A name must be a port of exactly one app; one port of the host can be given away once.
 * `hostPort` 0 is left for the planner.
 * @throws RuntimeError ERR_NET_PORTS naming every fault
 */
export function resolvePorts(requests: readonly PortRequest[], apps: readonly AppPorts[]): PortMapping[] {
  const faults: string[] = [];
  const taken: { request: PortRequest; mapping: PortMapping }[] = [];
  for (const request of requests) {
    const target = typeof request.target === 'string' ? findNamed(request.target, apps) : { ...request.target, count: request.count };
    if (typeof target === 'string') {
      faults.push(`--port=${request.text}: ${target}`);
      continue;
    }
    if (request.hostPort + target.count - 1 > 65535) {
      faults.push(`--port=${request.text}: it is ${target.count} ports, and they lead beyond host port 65535`);
      continue;
    }
    for (let i = 0; i < target.count; i++) {
      const mapping: PortMapping = {
        hostPort: request.hostPort === 0 ? 0 : request.hostPort + i,
        containerPort: target.port + i,
        protocol: target.protocol,
        ...(request.hostIP === undefined ? {} : { hostIP: request.hostIP }),
      };
      const holder = mapping.hostPort === 0 ? undefined : taken.find((other) => collide(other.mapping, mapping));
      if (holder === undefined) taken.push({ request, mapping });
      else {
        faults.push(
          `--port=${request.text}: host port ${mapping.hostPort}/${mapping.protocol} is already mapped to pod port ${holder.mapping.containerPort} by --port=${holder.request.text}`,
        );
      }
    }
  }
  if (faults.length > 0) refuse(faults);
  return taken.map(({ mapping }) => mapping);
}

/** `count`: of a port of an image that is several. */
function findNamed(name: string, apps: readonly AppPorts[]): { port: number; protocol: PortMapping['protocol']; count: number } | string {
  const holders = apps.filter(({ ports }) => ports.some((port) => port.name === name));
  if (holders.length > 1) return `port name "${name}" is defined by several apps: ${holders.map(({ app }) => app).join(', ')}`;
  const found = holders[0]?.ports.find((port) => port.name === name);
  if (found !== undefined) return { port: found.port, protocol: found.protocol, count: found.count ?? 1 };
  const known = [...new Set(apps.flatMap(({ ports }) => ports.map((port) => port.name)))];
  const near = didYouMean(name, known);
  const cure =
    near !== undefined
      ? `; did you mean "${near}"?`
      : known.length === 0
        ? '; no image declares a port, use HOST:POD'
        : `; there are: ${known.join(', ')}`;
  return `port name "${name}" could not be found in any app${cure}`;
}

/** One line for each port of `plan` that was chosen because a `--port` among `values` left it open. */
export function chosenPorts(values: readonly string[], apps: readonly AppPorts[], plan: NetPlan): string[] {
  const isOpen = parsePortArgs(values).flatMap(({ target, count, hostPort }) => {
    const named = typeof target === 'string' ? findNamed(target, apps) : undefined;
    return Array.from({ length: typeof named === 'object' ? named.count : count }, () => hostPort === 0);
  });
  const mappings = plan.networks.flatMap(({ capabilityArgs }) => capabilityArgs.portMappings ?? []);
  return mappings.filter((_, i) => isOpen[i]).map((mapping) => `published: ${portText(mapping)}`);
}

/** Same protocol and host port, and addresses that can both match one packet (no address: any; 0.0.0.0 and ::: any of their family). */
function collide(a: PortMapping, b: PortMapping): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  if (a.hostIP === undefined || b.hostIP === undefined || a.hostIP === b.hostIP) return true;
  if (a.hostIP.includes(':') !== b.hostIP.includes(':')) return false;
  return [a.hostIP, b.hostIP].some((ip) => ip === '0.0.0.0' || ip === '::');
}
