/** `SRC DST PORT/PROTO` → the connections that are meant. */
import { parseIp } from '../model/cidr.ts';
import { RuntimeError } from '../model/errors.ts';
import { didYouMean } from '../model/ids.ts';
import { parties, type Party } from '../policy/decision/cells.ts';
import { badInputStatus } from '../policy/manifests/faults.ts';
import type { World } from '../policy/model/experiment.ts';
import type { Endpoint, Flow } from '../policy/model/flow.ts';
import type { Protocol } from '../policy/model/values.ts';

const refuse = (message: string, hint: string): RuntimeError => new RuntimeError('ERR_LAB_INPUT', message, { hint, exitCode: badInputStatus });

/**
 * Ends are `ns/pod`, a pod's name if there is one of that name, `host`, `node/NAME`, `outside`, or an address; ports `80/TCP`, `TCP/80`,
 * `80`, or the name that the target gives to one.
 * @returns one for each family and network on which they meet
 * @throws ERR_LAB_INPUT
 */
export function findFlows(world: World, from: string, to: string, port: string): Flow[] {
  const all = parties(world, { from: ['host', 'outside'] });
  const [sources, targets] = [findParty(all, from), findParty(all, to)];
  const flows = sources.flatMap((source) =>
    targets.flatMap((target) => {
      const isOneNetwork = source.kind !== 'pod' || target.kind !== 'pod' || source.network === target.network;
      if (source.ip.family !== target.ip.family || !isOneNetwork) return [];
      return portsOf(target, port).map((one): Flow => ({ from: source, to: target, ...one }));
    }),
  );
  if (flows.length === 0) throw refuse(`${from} and ${to} have no network and family of addresses in common`, 'rkt lab predict shows who can meet');
  return flows;
}

function findParty(all: readonly Party[], text: string): readonly Endpoint[] {
  const exact = all.find(({ name }) => name === text);
  if (exact !== undefined) return exact.endpoints;
  const ip = parseIp(text);
  if (ip !== undefined) {
    const owned = all.flatMap(({ endpoints }) => endpoints).filter((endpoint) => endpoint.ip.text === ip.text);
    return owned.length > 0 ? owned : [{ kind: 'outside', outside: { name: text, ips: [ip], domains: [] }, ip }];
  }
  const short = all.filter(({ name }) => name.slice(name.indexOf('/') + 1) === text);
  const [only] = short;
  if (only !== undefined && short.length === 1) return only.endpoints;
  if (short.length > 1) throw refuse(`${text} could be ${short.map(({ name }) => name).join(' or ')}`, 'say which namespace');
  const near = didYouMean(
    text,
    all.map(({ name }) => name),
  );
  throw refuse(
    `there is no ${text}`,
    near === undefined ? `ends are NAMESPACE/POD, host, outside, or an address; there are ${listed(all)}` : `did you mean ${near}?`,
  );
}

function listed(all: readonly Party[]): string {
  const names = all.map(({ name }) => name);
  return names.length > 12 ? `${names.slice(0, 12).join(', ')} and ${names.length - 12} more` : names.join(', ');
}

function portsOf(target: Endpoint, text: string): { protocol: Protocol; port: number }[] {
  const parts = text.split('/');
  const numberText = parts.find((part) => /^\d{1,5}$/.test(part));
  const protocol = parts.map((part) => part.toUpperCase()).find((part): part is Protocol => part === 'TCP' || part === 'UDP' || part === 'SCTP');
  const port = Number(numberText);
  const isNumber = numberText !== undefined && parts.length === (protocol === undefined ? 1 : 2);
  if (isNumber && port >= 1 && port <= 65_535) return [{ protocol: protocol ?? 'TCP', port }];
  const named = target.kind === 'pod' && !isNumber ? target.pod.ports.filter(({ name }) => name !== undefined && name === parts[0]) : [];
  const wanted = named.filter((one) => protocol === undefined || one.protocol === protocol);
  if (wanted.length > 0) return wanted.map((one) => ({ protocol: one.protocol, port: one.port }));
  throw refuse(
    `${JSON.stringify(text)} is no port of ${target.kind === 'pod' ? target.pod.name : 'it'}`,
    'write 80/TCP, or the name that the pod gives to a port',
  );
}
