/** NetworkPolicy v1 and MultiNetworkPolicy → policies, with the API server's defaults and checks. @see policy.md 1-27, 65 */
import { contains, cidrText } from '../../model/cidr.ts';
import type { Peer, PodMatch, Policy, PortMatch, Rule } from '../model/policy.ts';
import type { Direction } from '../model/values.ts';
import { readCidr, readMetadata, readPortName, readPortNumber, readProtocol, readSelector, type Metadata } from './metadata.ts';
import type { MapValue, Value } from './reader.ts';

/** Which networks a MultiNetworkPolicy is for; not written: none. */
export const policyForAnnotation = 'k8s.v1.cni.cncf.io/policy-for';

const directions: Readonly<Record<string, Direction>> = { Ingress: 'ingress', Egress: 'egress' };

export function readNetworkPolicy(document: MapValue): Policy | undefined {
  const metadata = readDocument(document);
  return metadata === undefined ? undefined : readSpec(document, metadata, 'NetworkPolicy');
}

/** `networkId`: a network as the policy's namespace names it → its id in the experiment. */
export function readMultiNetworkPolicy(document: MapValue, networkId: (namespace: string, name: string) => string): Policy | undefined {
  const metadata = readDocument(document);
  if (metadata === undefined) return undefined;
  const policy = readSpec(document, metadata, 'MultiNetworkPolicy');
  const names = metadata.annotations.get(policyForAnnotation)?.text() ?? '';
  if (names.trim() === '')
    document.value.note(
      `the policy has no annotation ${policyForAnnotation}: it is for no network`,
      `add the annotation ${policyForAnnotation}: NETWORK`,
    );
  const networks = names.split(',').flatMap((name) => (name.trim() === '' ? [] : [networkId(metadata.namespace, name.trim())]));
  return policy === undefined ? undefined : { ...policy, networks };
}

function readDocument(document: MapValue): Metadata | undefined {
  document.refuseOthers(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  return readMetadata(document, 'namespaced');
}

function readSpec(document: MapValue, { name, namespace }: Metadata, kind: Policy['kind']): Policy | undefined {
  const base = { kind, namespace, name, tier: 'networkpolicy', priority: 0, source: document.source } as const;
  const specValue = document.get('spec');
  if (specValue === undefined) return { ...base, subject: { namespace }, directions: ['ingress'], ingress: [], egress: [] };
  const spec = specValue.map();
  if (spec === undefined) return undefined;
  spec.refuseOthers(['podSelector', 'policyTypes', 'ingress', 'egress']);
  const selector = spec.get('podSelector');
  const podSelector = selector === undefined ? undefined : readSelector(selector);
  const ingress = readRules(spec.get('ingress'), 'from', namespace);
  const egress = readRules(spec.get('egress'), 'to', namespace);
  const types = spec.get('policyTypes');
  const named = types?.each((item) => item.choice(['Ingress', 'Egress'])) ?? [];
  if (types?.located.kind === 'list' && types.located.items.length > 2) types.fault('has at most two entries, Ingress and Egress');
  // R8: not written, or written without entries, which the API server takes for not written.
  const isDefaulted = types === undefined || (types.located.kind === 'list' && types.located.items.length === 0);
  const emptyEgress = spec.written('egress');
  if (isDefaulted && emptyEgress !== undefined && egress.length === 0)
    emptyEgress.note('an egress section without rules and without policyTypes isolates nothing', 'to deny all egress, write policyTypes: [Egress]');
  const written = new Set(named.map((type) => directions[type]));
  const isolates = (direction: Direction): boolean => (isDefaulted ? direction === 'ingress' || egress.length > 0 : written.has(direction));
  return {
    ...base,
    subject: { namespace, ...(podSelector === undefined ? {} : { podSelector }) },
    directions: (['ingress', 'egress'] as const).filter(isolates),
    ingress,
    egress,
  };
}

function readRules(value: Value | undefined, peersField: 'from' | 'to', namespace: string): Rule[] {
  return value?.list()?.flatMap((item, index) => readRule(item, index, peersField, namespace) ?? []) ?? [];
}

function readRule(value: Value, index: number, peersField: 'from' | 'to', namespace: string): Rule | undefined {
  // `- ` with nothing behind it is the empty rule to Kubernetes, which allows everything.
  if (value.isNull) return value.fault('is an empty item: write {} for a rule that allows everything');
  const map = value.map();
  if (map === undefined) return undefined;
  const other = peersField === 'from' ? 'to' : 'from';
  map.refuseOthers([peersField, 'ports'], {
    [other]: `${peersField === 'from' ? 'ingress' : 'egress'} rules have "${peersField}"`,
    podSelector: `it belongs into an item of "${peersField}"`,
    namespaceSelector: `it belongs into an item of "${peersField}"`,
    ipBlock: `it belongs into an item of "${peersField}"`,
  });
  const peers = map.get(peersField)?.each((item) => readPeer(item, namespace)) ?? [];
  const ports = map.get('ports')?.each(readPort) ?? [];
  for (const [field, all] of [[peersField, 'all peers'] as const, ['ports', 'all ports'] as const]) {
    const list = map.get(field);
    if (list?.located.kind === 'list' && list.located.items.length === 0)
      list.note(`"${field}" without items means ${all}, not none`, `to allow none, take the whole rule away; for ${all}, take "${field}" away`);
  }
  // R13: missing and empty are the same. A list of which nothing could be read has its fault already.
  return {
    index,
    action: 'Accept',
    ...(peers.length === 0 ? {} : { peers }),
    ...(ports.length === 0 ? {} : { ports }),
    source: value.source,
  };
}

const selectorFields = ['matchLabels', 'matchExpressions'];

function readPeer(value: Value, namespace: string): Peer | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(
    ['podSelector', 'namespaceSelector', 'ipBlock'],
    Object.fromEntries(selectorFields.map((field) => [field, 'it belongs below podSelector or namespaceSelector'])),
  );
  const [pods, namespaces, block] = [map.get('podSelector'), map.get('namespaceSelector'), map.get('ipBlock')];
  if (block !== undefined) {
    if (pods !== undefined || namespaces !== undefined)
      return value.fault('ipBlock stands alone: podSelector and namespaceSelector are items of their own');
    return readBlock(block);
  }
  if (pods === undefined && namespaces === undefined) {
    if (map.unknown(['podSelector', 'namespaceSelector', 'ipBlock']).length > 0) return undefined;
    const isNullWritten = map.written('podSelector') !== undefined || map.written('namespaceSelector') !== undefined;
    return value.fault(
      `must have podSelector, namespaceSelector or ipBlock${isNullWritten ? ': a selector with nothing behind it is not there, write {}' : ''}`,
    );
  }
  const podSelector = pods === undefined ? undefined : readSelector(pods);
  const namespaceSelector = namespaces === undefined ? undefined : readSelector(namespaces);
  const match: PodMatch = {
    ...(namespaces === undefined ? { namespace } : namespaceSelector === undefined ? {} : { namespaceSelector }),
    ...(podSelector === undefined ? {} : { podSelector }),
  };
  return { kind: 'pods', pods: match, source: value.source };
}

function readBlock(value: Value): Peer | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(['cidr', 'except']);
  const cidrValue = map.required('cidr');
  const cidr = cidrValue === undefined ? undefined : readCidr(cidrValue);
  const except =
    map.get('except')?.each((item) => {
      const hole = readCidr(item);
      if (hole === undefined || cidr === undefined) return undefined;
      const isInside = contains(cidr, hole.ip) && hole.prefixLen > cidr.prefixLen;
      return isInside ? hole : item.fault(`${cidrText(hole)} must lie inside ${cidrText(cidr)} and be smaller`);
    }) ?? [];
  return cidr === undefined ? undefined : { kind: 'block', cidr, except, source: value.source };
}

function readPort(value: Value): PortMatch | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(['protocol', 'port', 'endPort']);
  const protocol = readProtocol(map.get('protocol'));
  const [portValue, endValue] = [map.get('port'), map.get('endPort')];
  const last = endValue?.integer(1, 65_535, 'a port');
  const { source } = value;
  if (portValue === undefined) {
    if (endValue !== undefined) return endValue.fault('needs port, the first of the range');
    return protocol === undefined ? undefined : { kind: 'protocol', protocol, source };
  }
  if (portValue.located.kind === 'scalar' && typeof portValue.located.value === 'string') {
    const name = readPortName(portValue);
    if (endValue !== undefined) return endValue.fault('needs a port that is a number: a name has no range');
    return name === undefined || protocol === undefined ? undefined : { kind: 'named', name, protocol, source };
  }
  const first = readPortNumber(portValue);
  if (first === undefined || protocol === undefined || (endValue !== undefined && last === undefined)) return undefined;
  if (last !== undefined && last < first) return endValue?.fault(`${last} is less than port ${first}`);
  return { kind: 'range', protocol, first, last: last ?? first, source };
}
