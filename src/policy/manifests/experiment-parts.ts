/** Parts of experiment.yaml that stand for themselves: networks, nodes, probes, links, expectations, switches. */
import type { Cidr, Ip } from '../../model/cidr.ts';
import { isNetworkName } from '../../model/ids.ts';
import type { EndpointPattern, Expectation, Link, Network, Pair, Probes } from '../model/experiment.ts';
import { defaultSwitches, type Node, type Outside, type Selector, type Switches } from '../model/values.ts';
import { oneOrMore } from './inline.ts';
import { protocols, readCidr, readIp, readLabels, readPortNumber, readSelector } from './metadata.ts';
import type { MapValue, Value } from './reader.ts';

const types = ['bridge', 'ptp', 'macvlan'] as const;

/** Short form `{name, type, subnet(s)}`, or a CNI configuration or list as net.d has it. */
export function readNetworks(value: Value): Network[] {
  const networks = value.each(readNetwork);
  const seen = new Set<string>();
  for (const [index, { id }] of networks.entries()) {
    if (seen.has(id)) value.list()?.[index]?.fault(`network ${id} is there already`);
    seen.add(id);
  }
  return networks;
}

function readNetwork(value: Value): Network | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  const nameValue = map.required('name');
  const id = nameValue?.text();
  if (id !== undefined && !id.split('/').every((part) => isNetworkName(part))) nameValue?.fault(`${JSON.stringify(id)} is no name of a network`);
  const plugins = map.get('plugins')?.each((item) => item.map());
  const isConf = plugins !== undefined || map.get('cniVersion') !== undefined;
  if (!isConf) map.refuseOthers(['name', 'type', 'subnet', 'subnets']);
  const main = plugins === undefined ? map : plugins[0];
  const type = main?.get('type') === undefined ? 'bridge' : main.get('type')?.choice(types);
  const subnets = isConf ? ipamSubnets(main?.get('ipam')?.map()) : readSubnets(map);
  if (id === undefined || type === undefined) return undefined;
  return { id, type, subnets, ...(isConf ? { conf: plain(value) } : {}) };
}

function readSubnets(map: MapValue): Cidr[] {
  const values = [...oneOrMore(map.get('subnet')), ...oneOrMore(map.get('subnets'))];
  const subnets = values.flatMap((item) => readCidr(item) ?? []);
  if (new Set(subnets.map(({ ip }) => ip.family)).size < subnets.length) map.value.fault('has two subnets of one family');
  return subnets;
}

/** host-local's subnets. */
function ipamSubnets(ipam: MapValue | undefined): Cidr[] {
  const ranges = ipam?.get('ranges')?.each((set) => set.list()?.[0]?.map()?.get('subnet')) ?? [];
  return [...oneOrMore(ipam?.get('subnet')), ...ranges].flatMap((item) => readCidr(item) ?? []);
}

function plain({ located }: Pick<Value, 'located'>): unknown {
  if (located.kind === 'scalar') return located.value;
  if (located.kind === 'list') return located.items.map((item) => plain({ located: item }));
  return Object.fromEntries([...located.entries].map(([key, { value }]) => [key, plain({ located: value })]));
}

/** Names and addresses that are there already: what packets show is told by them. */
class Known {
  readonly #owners = new Map<string, string>();
  readonly #names = new Set<string>();
  readonly #kind: string;
  constructor(kind: string) {
    this.#kind = kind;
  }
  add(item: Value, name: string, ips: readonly Ip[]): void {
    if (this.#names.has(name)) item.fault(`is a second ${this.#kind} called ${JSON.stringify(name)}`);
    this.#names.add(name);
    for (const { text } of ips) {
      const owner = this.#owners.get(text);
      if (owner !== undefined) item.fault(`has the address ${text} ${owner === name ? 'twice' : `of ${owner}`}`);
      this.#owners.set(text, name);
    }
  }
}

export function readNodes(value: Value): Node[] {
  const known = new Known('node');
  return value.each((item): Node | undefined => {
    const map = item.map();
    map?.refuseOthers(['name', 'labels', 'ip', 'ips', 'local']);
    const name = map?.required('name')?.text();
    if (map === undefined || name === undefined) return undefined;
    const ips = [...oneOrMore(map.get('ip')), ...oneOrMore(map.get('ips'))].flatMap((one) => readIp(one) ?? []);
    known.add(item, name, ips);
    return { name, labels: readLabels(map.get('labels')), ips, local: map.get('local')?.boolean() ?? false };
  });
}

export function readOutside(value: Value): Outside[] {
  const known = new Known('outside');
  return value.each((item): Outside | undefined => {
    const map = item.map();
    map?.refuseOthers(['name', 'ip', 'ips', 'domains']);
    const name = map?.required('name')?.text();
    if (map === undefined || name === undefined) return undefined;
    const ips = [...oneOrMore(map.get('ip')), ...oneOrMore(map.get('ips'))].flatMap((one) => readIp(one) ?? []);
    if (ips.length === 0) map.required('ip');
    known.add(item, name, ips);
    return { name, ips, domains: map.get('domains')?.each((domain) => domain.text()) ?? [] };
  });
}

export function readProbes(value: Value): Probes {
  const map = value.map();
  if (map === undefined) return { from: [] };
  map.refuseOthers(['protocols', 'ports', 'pairs', 'from']);
  const wanted = map.get('protocols')?.each((item) => item.choice(protocols));
  const ports = map.get('ports')?.each(readPortNumber);
  const pairsValue = map.get('pairs');
  const isAll = pairsValue === undefined || (pairsValue.located.kind === 'scalar' && pairsValue.located.value === 'all');
  const pairs = isAll ? undefined : pairsValue.each(readPair);
  return {
    ...(wanted === undefined ? {} : { protocols: wanted }),
    ...(ports === undefined ? {} : { ports }),
    ...(pairs === undefined ? {} : { pairs }),
    from: map.get('from')?.each((item) => item.choice(['host', 'outside'])) ?? [],
  };
}

const everyPod: EndpointPattern = { kind: 'name', text: '*' };

/** `{from, to}`, or `x/a -> y/b`. */
function readPair(value: Value): Pair | undefined {
  const { located } = value;
  if (located.kind === 'scalar') {
    const [, from, to] = /^(\S+)\s*(?:->|→)\s*(\S+)$/.exec(value.text() ?? '') ?? [];
    if (from === undefined || to === undefined) return value.fault('is no pair: write x/a -> y/b, or {from: x/a, to: y/b}');
    return { from: { kind: 'name', text: from }, to: { kind: 'name', text: to } };
  }
  const map = value.map();
  map?.refuseOthers(['from', 'to']);
  return map === undefined ? undefined : { from: readPattern(map.get('from')), to: readPattern(map.get('to')) };
}

/** A name with `*`, or selectors; not written: every pod. */
function readPattern(value: Value | undefined): EndpointPattern {
  if (value === undefined) return everyPod;
  if (value.located.kind !== 'map') {
    const text = value.text();
    return text === undefined ? everyPod : { kind: 'name', text };
  }
  const map = value.map();
  map?.refuseOthers(['ns', 'namespace', 'namespaceSelector', 'podSelector', 'labels', 'pod']);
  const namespace = (map?.get('ns') ?? map?.get('namespace'))?.text();
  const pod = map?.get('pod')?.text();
  if (pod !== undefined) return { kind: 'name', text: `${namespace ?? 'default'}/${pod}` };
  const [namespaces, pods, labels] = [map?.get('namespaceSelector'), map?.get('podSelector'), map?.get('labels')];
  if (pods !== undefined && labels !== undefined) labels.fault('is short for podSelector.matchLabels: write one');
  const namespaceSelector = namespaces === undefined ? undefined : readSelector(namespaces);
  const podSelector = pods === undefined ? (labels === undefined ? undefined : fromLabels(labels)) : readSelector(pods);
  return {
    kind: 'labels',
    ...(namespace === undefined ? {} : { namespace }),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector }),
    ...(podSelector === undefined ? {} : { podSelector }),
  };
}

const fromLabels = (value: Value): Selector => ({
  requirements: Object.entries(readLabels(value)).map(([key, text]) => ({ key, operator: 'In', values: [text] })),
  source: value.source,
});

export const readExpectations = (value: Value): Expectation[] => value.each(readExpectation);

function readExpectation(value: Value): Expectation | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(['allow', 'deny']);
  const [allow, deny] = [map.get('allow'), map.get('deny')];
  const what = allow ?? deny;
  if (what === undefined || (allow !== undefined && deny !== undefined)) {
    return map.unknown(['allow', 'deny']).length > 0 ? undefined : value.fault('must have exactly one of allow and deny');
  }
  const inner = what.map();
  if (inner === undefined) return undefined;
  inner.refuseOthers(['from', 'to', 'port', 'protocol']);
  const protocol = inner.get('protocol')?.choice(protocols);
  const portValue = inner.get('port');
  const port = portValue === undefined ? undefined : readPortNumber(portValue);
  return {
    verdict: allow === undefined ? 'deny' : 'allow',
    from: readPattern(inner.get('from')),
    to: readPattern(inner.get('to')),
    ...(protocol === undefined ? {} : { protocol }),
    ...(port === undefined ? {} : { port }),
    source: value.source,
  };
}

const linkFields = ['pod', 'network', 'loss', 'seed', 'rate', 'delay', 'jitter', 'partition', 'flap'];

export const readLinks = (value: Value): Link[] => value.each(readLink);

function readLink(value: Value): Link | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(linkFields);
  const [pod, network] = [map.get('pod')?.text(), map.get('network')?.text()];
  if ((pod === undefined) === (network === undefined)) return value.fault('must have exactly one of pod and network');
  const flap = map.get('flap')?.map();
  flap?.refuseOthers(['up', 'down']);
  const [up, down] = [flap?.required('up'), flap?.required('down')].map((item) => readMs(item));
  const fields = {
    pod,
    network,
    ...readLoss(map.get('loss')),
    seed: map.get('seed')?.integer(0, 0xffffffff, 'a seed'),
    rateBitsPerSecond: readRate(map.get('rate')),
    delayMs: readMs(map.get('delay')),
    jitterMs: readMs(map.get('jitter')),
    partition: map.get('partition')?.boolean(),
    flapMs: up === undefined || down === undefined ? undefined : { up, down },
  };
  return { ...(Object.fromEntries(Object.entries(fields).filter(([, item]) => item !== undefined)) as Partial<Link>), source: value.source };
}

/** `10%`, `every 7` */
function readLoss(value: Value | undefined): Pick<Link, 'lossPermille' | 'lossEvery'> {
  const text = value?.text();
  const percent = /^(\d{1,3}(?:\.\d)?)\s*%$/.exec(text ?? '')?.[1];
  const every = /^every (\d{1,6})$/.exec(text ?? '')?.[1];
  if (percent !== undefined && Number(percent) <= 100) return { lossPermille: Math.round(Number(percent) * 10) };
  if (every !== undefined && Number(every) > 0) return { lossEvery: Number(every) };
  if (text !== undefined) value?.fault(`${JSON.stringify(text)} is no loss: write "10%" (tenths at most), or "every 7" packets`);
  return {};
}

const rateUnits: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/** `20mbit` */
function readRate(value: Value | undefined): number | undefined {
  const text = value?.text();
  const [, number, unit] = /^(\d{1,9}(?:\.\d{1,3})?)\s*([kmg]?bit)(?:\/s|ps)?$/i.exec(text ?? '') ?? [];
  const scale = rateUnits[unit?.toLowerCase() ?? ''];
  if (number !== undefined && scale !== undefined && Number(number) * scale >= 1) return Number(number) * scale;
  return text === undefined ? undefined : value?.fault(`${JSON.stringify(text)} is no rate: write 20mbit`);
}

/** `10ms`, `1.5s` */
function readMs(value: Value | undefined): number | undefined {
  const text = value?.text();
  const [, number, unit] = /^(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s)$/.exec(text ?? '') ?? [];
  if (number !== undefined) return Number(number) * (unit === 's' ? 1000 : 1);
  return text === undefined ? undefined : value?.fault(`${JSON.stringify(text)} is no time: write 10ms or 1.5s`);
}

const choices: { readonly [K in keyof Switches]: readonly Switches[K][] } = {
  podToNode: ['allow', 'police'],
  hostNetwork: ['node', 'pod'],
  loopback: ['allow', 'rules'],
  baseline: ['per-direction', 'per-pod'],
  namedPortOfBlock: ['never', 'pod'],
};

export function readSwitches(value: Value): Partial<Switches> {
  const map = value.map();
  map?.refuseOthers(Object.keys(defaultSwitches));
  return Object.fromEntries(
    Object.entries(choices).flatMap(([key, values]: [string, readonly string[]]) => {
      const chosen = map?.get(key)?.choice(values);
      return chosen === undefined ? [] : [[key, chosen]];
    }),
  );
}
