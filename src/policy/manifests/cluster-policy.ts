/**
 * ClusterNetworkPolicy v1alpha2, AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1 → policies. The older two are
 * translated (R64). @see policy.md 47-64
 */
import type { Cidr } from '../../model/cidr.ts';
import type { Action, Peer, PodMatch, Policy, PortMatch, Rule } from '../model/policy.ts';
import type { Direction, Protocol } from '../model/values.ts';
import { readCidr, readMetadata, readPortName, readPortNumber, readProtocol, readSelector } from './metadata.ts';
import type { MapValue, Value } from './reader.ts';

type Kind = 'ClusterNetworkPolicy' | 'AdminNetworkPolicy' | 'BaselineAdminNetworkPolicy';

interface Dialect {
  readonly kind: Kind;
  readonly actions: Readonly<Record<string, Action>>;
  readonly ports: 'protocols' | 'ports';
  /** of rules, of peers, of ports (R47, R64) */
  readonly most: number;
  readonly egressPeers: readonly string[];
}

const mostCidrs = 25;
const dialects: Readonly<Record<Kind, Dialect>> = {
  ClusterNetworkPolicy: {
    kind: 'ClusterNetworkPolicy',
    actions: { Accept: 'Accept', Deny: 'Deny', Pass: 'Pass' },
    ports: 'protocols',
    most: 25,
    egressPeers: ['namespaces', 'pods', 'nodes', 'networks', 'domainNames'],
  },
  AdminNetworkPolicy: {
    kind: 'AdminNetworkPolicy',
    actions: { Allow: 'Accept', Deny: 'Deny', Pass: 'Pass' },
    ports: 'ports',
    most: 100,
    egressPeers: ['namespaces', 'pods', 'nodes', 'networks', 'domainNames'],
  },
  BaselineAdminNetworkPolicy: {
    kind: 'BaselineAdminNetworkPolicy',
    actions: { Allow: 'Accept', Deny: 'Deny' },
    ports: 'ports',
    most: 100,
    egressPeers: ['namespaces', 'pods', 'nodes', 'networks'],
  },
};
const ingressPeers = ['namespaces', 'pods'];

/** The one BaselineAdminNetworkPolicy has no priority: it comes after every Baseline policy that has one. */
const afterAllPriorities = 1001;

export function readClusterPolicy(document: MapValue, kind: Kind): Policy | undefined {
  const dialect = dialects[kind];
  document.refuseOthers(['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  const metadata = readMetadata(document, 'cluster');
  const spec = document.required('spec')?.map();
  if (spec === undefined) return undefined;
  const isBaselineAdmin = kind === 'BaselineAdminNetworkPolicy';
  const tierField = kind === 'ClusterNetworkPolicy' ? ['tier'] : [];
  spec.refuseOthers([...tierField, ...(isBaselineAdmin ? [] : ['priority']), 'subject', 'ingress', 'egress'], {
    podSelector: 'its place is below subject',
    ...(isBaselineAdmin ? { priority: 'there is one BaselineAdminNetworkPolicy, so it has no priority' } : {}),
  });
  if (isBaselineAdmin && metadata !== undefined && metadata.name !== 'default')
    document.get('metadata')?.map()?.get('name')?.fault('the one BaselineAdminNetworkPolicy is called default');
  const tier = kind === 'ClusterNetworkPolicy' ? spec.required('tier')?.choice(['Admin', 'Baseline']) : isBaselineAdmin ? 'Baseline' : 'Admin';
  const priority = isBaselineAdmin ? afterAllPriorities : spec.required('priority')?.integer(0, 1000, 'a priority');
  const subjectValue = spec.required('subject');
  const subject = subjectValue === undefined ? undefined : readSubject(subjectValue);
  const ingress = readRules(spec, 'ingress', dialect);
  const egress = readRules(spec, 'egress', dialect);
  if (metadata === undefined || tier === undefined || priority === undefined || subject === undefined) return undefined;
  return {
    kind,
    namespace: '',
    name: metadata.name,
    tier: tier === 'Admin' ? 'admin' : 'baseline',
    priority,
    subject,
    directions: ['ingress', 'egress'],
    ingress,
    egress,
    source: document.source,
  };
}

/** R54: exactly one of namespaces and pods. */
function readSubject(value: Value): PodMatch | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(
    ['namespaces', 'pods'],
    Object.fromEntries(['matchLabels', 'matchExpressions'].map((key) => [key, 'it belongs below namespaces'])),
  );
  const [namespaces, pods] = [map.get('namespaces'), map.get('pods')];
  if ((namespaces === undefined) === (pods === undefined))
    return map.unknown(['namespaces', 'pods']).length > 0 ? undefined : value.fault('must have exactly one of namespaces and pods');
  return namespaces === undefined ? (pods === undefined ? undefined : readPods(pods)) : readNamespaces(namespaces);
}

function readNamespaces(value: Value): PodMatch | undefined {
  const namespaceSelector = readSelector(value);
  return namespaceSelector === undefined ? undefined : { namespaceSelector };
}

function readPods(value: Value): PodMatch | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(['namespaceSelector', 'podSelector']);
  const [namespaces, pods] = [map.required('namespaceSelector', 'write {} for all'), map.required('podSelector', 'write {} for all')];
  const namespaceSelector = namespaces === undefined ? undefined : readSelector(namespaces);
  const podSelector = pods === undefined ? undefined : readSelector(pods);
  return namespaceSelector === undefined || podSelector === undefined ? undefined : { namespaceSelector, podSelector };
}

/** At most `most` items, and at least `least`. */
function items(value: Value, least: number, most: number): Value[] {
  const list = value.list() ?? [];
  if (value.located.kind === 'list' && list.length < least) value.fault(`needs at least ${least === 1 ? 'one item' : `${least} items`}`);
  if (list.length > most) value.fault(`has ${list.length} items, ${most} at most`);
  return list;
}

function readRules(spec: MapValue, direction: Direction, dialect: Dialect): Rule[] {
  const value = spec.get(direction);
  if (value === undefined) return [];
  return items(value, 0, dialect.most).flatMap((item, index) => readRule(item, index, direction, dialect) ?? []);
}

function readRule(value: Value, index: number, direction: Direction, dialect: Dialect): Rule | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  const peersField = direction === 'ingress' ? 'from' : 'to';
  const other = dialect.ports === 'ports' ? 'protocols' : 'ports';
  map.refuseOthers(['name', 'action', peersField, dialect.ports], {
    [other]: `${dialect.kind} calls it "${dialect.ports}"`,
    [direction === 'ingress' ? 'to' : 'from']: `${direction} rules have "${peersField}"`,
  });
  const name = map.get('name')?.text();
  if (name !== undefined && name.length > 100) map.get('name')?.fault('has at most 100 characters');
  const written = map.required('action')?.choice(Object.keys(dialect.actions));
  const action = written === undefined ? undefined : dialect.actions[written];
  const unknown: string[] = [];
  const peersValue = map.required(peersField, 'unlike in NetworkPolicy, no peers is not all peers');
  const peers =
    peersValue === undefined ? [] : items(peersValue, 1, dialect.most).flatMap((item) => readPeers(item, direction, dialect, action, unknown));
  const portsValue = map.get(dialect.ports);
  const readOne = dialect.ports === 'protocols' ? readProtocolItem : readAdminPort;
  const ports = portsValue === undefined ? undefined : items(portsValue, 1, dialect.most).flatMap((item) => readOne(item, unknown) ?? []);
  if (ports?.some(({ kind }) => kind === 'named') === true && peers.some(({ kind }) => kind !== 'pods'))
    portsValue?.fault("a named port is a pod's: it does not go with networks, nodes or domainNames");
  if (action === undefined) return undefined;
  const base = { index, ...(name === undefined ? {} : { name }), source: value.source };
  const [failsClosed] = unknown;
  if (failsClosed !== undefined) {
    value.note(
      `"${failsClosed}" is not known here: the rule fails closed, it ${action === 'Accept' ? 'accepts nothing' : 'denies everything'}`,
      'write a peer or protocol that this version of the API has',
    );
    return action === 'Accept' ? { ...base, action, peers: [], failsClosed } : { ...base, action: 'Deny', failsClosed };
  }
  return { ...base, action, peers, ...(ports === undefined ? {} : { ports }) };
}

function readPeers(value: Value, direction: Direction, dialect: Dialect, action: Action | undefined, unknown: string[]): Peer[] {
  const map = value.map();
  if (map === undefined) return [];
  const known = direction === 'ingress' ? ingressPeers : dialect.egressPeers;
  const strangers = map.unknown(known);
  const misplaced = strangers.find((key) => dialects.AdminNetworkPolicy.egressPeers.includes(key));
  if (misplaced !== undefined) {
    map.get(misplaced)?.fault(direction === 'ingress' ? 'is a peer of egress rules only' : `is no peer in ${dialect.kind}`);
    return [];
  }
  const named = known.filter((key) => map.get(key) !== undefined);
  if (strangers.length > 0 || named.length === 0) {
    unknown.push(`${value.field}${strangers[0] === undefined ? '' : `.${strangers[0]}`}`);
    return [];
  }
  const [key] = named;
  const field = key === undefined ? undefined : map.get(key);
  if (field === undefined || named.length > 1) {
    value.fault(`has ${named.join(' and ')}: each peer is exactly one, a dash before each makes them two`);
    return [];
  }
  const { source } = value;
  switch (key) {
    case 'namespaces':
    case 'pods': {
      const pods = key === 'pods' ? readPods(field) : readNamespaces(field);
      return pods === undefined ? [] : [{ kind: 'pods', pods, source }];
    }
    case 'nodes': {
      const selector = readSelector(field);
      return selector === undefined ? [] : [{ kind: 'nodes', selector, source }];
    }
    case 'networks':
      return items(field, 1, mostCidrs).flatMap((item): Peer[] => {
        const cidr: Cidr | undefined = readCidr(item);
        return cidr === undefined ? [] : [{ kind: 'block', cidr, except: [], source: item.source }];
      });
    default: {
      if (action !== undefined && action !== 'Accept') field.fault('go with Accept only: who is denied a name knows the address');
      return items(field, 1, mostCidrs).flatMap((item): Peer[] => {
        const pattern = readDomain(item);
        return pattern === undefined ? [] : [{ kind: 'domain', pattern, source: item.source }];
      });
    }
  }
}

/** R61: exact, or `*.` and at least one label. */
function readDomain(value: Value): string | undefined {
  const text = value.text();
  if (text === undefined) return undefined;
  const isDomain = text.length <= 253 && /^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\.?$/i.test(text);
  return isDomain ? text.toLowerCase().replace(/\.$/, '') : value.fault(`${JSON.stringify(text)} is no domain name; "*." may only stand in front`);
}

const transports: Readonly<Record<string, Protocol>> = { tcp: 'TCP', udp: 'UDP', sctp: 'SCTP' };
const protocolFields = [...Object.keys(transports), 'destinationNamedPort'];

/** R59: one item of `protocols`. */
function readProtocolItem(value: Value, unknown: string[]): PortMatch | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  const strangers = map.unknown(protocolFields);
  const named = protocolFields.filter((key) => map.get(key) !== undefined);
  const nearly = strangers.find((key) => protocolFields.some((field) => field.toLowerCase() === key.toLowerCase()));
  if (nearly !== undefined) {
    map.refuseOthers(protocolFields);
    return undefined;
  }
  if (strangers.length > 0 || named.length === 0) {
    unknown.push(`${value.field}${strangers[0] === undefined ? '' : `.${strangers[0]}`}`);
    return undefined;
  }
  const [key = ''] = named;
  const field = map.get(key);
  if (field === undefined || named.length > 1) return value.fault(`has ${named.join(' and ')}: each item is exactly one`);
  const protocol = transports[key];
  if (protocol === undefined) {
    const name = readPortName(field);
    return name === undefined ? undefined : { kind: 'named', name, source: value.source };
  }
  const transport = field.map();
  if (transport === undefined) return undefined;
  transport.refuseOthers(['destinationPort']);
  const port = transport.required('destinationPort', 'no ports is not all ports')?.map();
  if (port === undefined) return undefined;
  port.refuseOthers(['number', 'range']);
  const [number, range] = [port.get('number'), port.get('range')];
  if ((number === undefined) === (range === undefined)) return port.value.fault('must have exactly one of number and range');
  if (range !== undefined) return readRange(range, protocol, value);
  const first = number === undefined ? undefined : readPortNumber(number);
  return first === undefined ? undefined : { kind: 'range', protocol, first, last: first, source: value.source };
}

function readRange(range: Value, known: Protocol | undefined, item: Value): PortMatch | undefined {
  const map = range.map();
  if (map === undefined) return undefined;
  map.refuseOthers([...(known === undefined ? ['protocol'] : []), 'start', 'end']);
  const protocol = known ?? readProtocol(map.get('protocol'));
  const [startValue, endValue] = [map.required('start'), map.required('end')];
  const first = startValue === undefined ? undefined : readPortNumber(startValue);
  const last = endValue === undefined ? undefined : readPortNumber(endValue);
  if (first === undefined || last === undefined || protocol === undefined) return undefined;
  if (first >= last) return endValue?.fault(`${last} is not greater than start ${first}`);
  return { kind: 'range', protocol, first, last, source: item.source };
}

const adminPortFields = ['portNumber', 'portRange', 'namedPort'];

/** R64: one item of `ports` of the older kinds. */
function readAdminPort(value: Value, unknown: string[]): PortMatch | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  const strangers = map.unknown(adminPortFields);
  const named = adminPortFields.filter((key) => map.get(key) !== undefined);
  const isOtherDialect = strangers.some((key) => ['port', 'protocol', 'endPort'].includes(key));
  if (isOtherDialect) {
    map.refuseOthers(adminPortFields, Object.fromEntries(strangers.map((key) => [key, 'write portNumber: {protocol, port}'])));
    return undefined;
  }
  if (strangers.length > 0 || named.length === 0) {
    unknown.push(`${value.field}${strangers[0] === undefined ? '' : `.${strangers[0]}`}`);
    return undefined;
  }
  const [key = ''] = named;
  const field = map.get(key);
  if (field === undefined || named.length > 1) return value.fault(`has ${named.join(' and ')}: each item is exactly one`);
  if (key === 'namedPort') {
    const name = readPortName(field);
    return name === undefined ? undefined : { kind: 'named', name, source: value.source };
  }
  if (key === 'portRange') return readRange(field, undefined, value);
  const inner = field.map();
  if (inner === undefined) return undefined;
  inner.refuseOthers(['protocol', 'port']);
  const protocol = readProtocol(inner.get('protocol'));
  const portValue = inner.required('port');
  const port = portValue === undefined ? undefined : readPortNumber(portValue);
  return port === undefined || protocol === undefined ? undefined : { kind: 'range', protocol, first: port, last: port, source: value.source };
}
