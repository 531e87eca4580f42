/** A folder of manifests, with or without experiment.yaml → an experiment. @see policy.md 5f */
import { parseIp } from '../../model/cidr.ts';
import { endpointMatches, parties } from '../decision/cells.ts';
import { changed } from '../decision/change.ts';
import type { Change, Experiment, Expectation, Network, Probes, Step, World } from '../model/experiment.ts';
import { defaultSwitches, podKey, type Node, type Outside, type Pod, type Protocol, type Source, type Switches } from '../model/values.ts';
import { defaultNetworkId, defaultSubnets, gatewaysOf, mostNetworks, withAddresses } from './addresses.ts';
import { addNamespace, addPods, emptyDraft, readManifest, readManifests, type Context, type Draft } from './documents.ts';
import { Faults } from './faults.ts';
import { readExpectations, readLinks, readNetworks, readNodes, readOutside, readProbes, readSwitches } from './experiment-parts.ts';
import type { Folder } from './folder.ts';
import { namespaceOf, type DraftPod } from './pods.ts';
import { readInlineNamespaces, readInlinePod } from './inline.ts';
import { Value, type MapValue } from './reader.ts';
import { readSteps, type DraftStep } from './steps.ts';
import { readYaml } from './yaml.ts';

const experimentFields = ['name', 'networks', 'namespaces', 'pods', 'policies', 'nodes', 'outside', 'links', 'probes', 'steps', 'expect', 'switches'];

/** Most pods that an experiment may have: all pairs of more are no experiment any more. */
const mostPods = 4096;

const defaultOutside: readonly Outside[] = [
  { name: 'outside', ips: ['203.0.113.10', '2001:db8::10'].flatMap((text) => parseIp(text) ?? []), domains: [] },
];

/** @throws ERR_LAB_INPUT with every fault of every file */
export function readExperiment(folder: Folder): Experiment {
  const faults = new Faults();
  const experiment = readFirst(folder, faults);
  experiment?.refuseOthers(experimentFields);
  const declared = experiment?.get('networks');
  const networks = declared === undefined ? [] : readNetworks(declared);
  const ids = new Set(networks.map(({ id }) => id));
  const networkId = (namespace: string, name: string): string => (ids.has(name) || name.includes('/') ? name : `${namespace}/${name}`);
  const context: Context = { faults, networkId };

  const draft = emptyDraft();
  const steps = readSteps(experiment?.get('steps'), folder, context, draft);
  readFiles(experiment?.get('policies'), steps, folder, draft, context);
  readInline(experiment, draft, faults);
  const part = <T>(key: string, read: (value: Value) => T, otherwise: T): T => {
    const value = experiment?.get(key);
    return value === undefined ? otherwise : read(value);
  };
  const written = part('nodes', readNodes, []);
  const outside = part('outside', readOutside, []);
  const switches: Switches = { ...defaultSwitches, ...part('switches', readSwitches, {}) };
  const asked = part<Probes>('probes', readProbes, { from: [] });
  const links = part('links', readLinks, []);
  const expect = part('expect', readExpectations, []);
  const probes = withExpected(asked, [...expect, ...steps.flatMap((step) => step.expect)], [...draft.pods.values()]);
  const created = steps.flatMap(({ pods }) => pods);
  const drafts = [...draft.pods.values(), ...created];
  if (drafts.length > mostPods) faults.add({ file: folder.name, line: 1 }, '', `${drafts.length} pods are more than ${mostPods}`);
  faults.throwIfAny(folder.name);

  // From here on all is well-formed; what remains is whether the parts fit together.
  const allNetworks = settleNetworks(networks, drafts, networkId, faults, folder.name);
  const gateways = new Map(allNetworks.map((network) => [network.id, gatewaysOf(network, drafts)]));
  const pods = withAddresses(drafts, new Set(created), allNetworks, gateways, networkId, faults);
  const world: World = {
    networks: allNetworks,
    namespaces: withImplied(draft),
    pods: [...draft.pods.values()].flatMap((pod) => pods.get(pod) ?? []),
    policies: [...draft.policies.values()],
    nodes: settleNodes(written, draft, gateways.get(allNetworks[0]?.id ?? '') ?? []),
    outside: outside.length > 0 ? outside : defaultOutside,
    switches,
  };
  refuseSharedAddresses(world, pods, experiment?.get('outside')?.source ?? { file: folder.name, line: 1 }, faults);
  const played = play(world, steps, pods, faults);
  for (const [at, expectations] of [[world, expect] as const, ...played.map(({ after, step }) => [after, step.expect] as const)])
    refuseIdleExpectations(expectations, at, faults);
  checkLinks(links, world, pods, faults);
  faults.throwIfAny(folder.name);
  const name = experiment?.get('name')?.text() ?? folder.name;
  return {
    name,
    world,
    probes,
    links,
    expect,
    steps: played.map(({ step }) => step),
    skipped: Object.fromEntries([...draft.skipped].sort(([a], [b]) => (a < b ? -1 : 1))),
    notes: faults.notes,
  };
}

function readFirst({ experiment }: Folder, faults: Faults): MapValue | undefined {
  if (experiment === undefined) return undefined;
  const [first, second] = readYaml(experiment.file, experiment.text, faults);
  if (second !== undefined) faults.add({ file: experiment.file, line: second.line }, '', 'an experiment is one document');
  return first === undefined ? undefined : new Value(first, '', experiment.file, faults).map();
}

/** An expectation is about packets: what it speaks of is asked, even if no pod declares the port and nobody named the host. */
function withExpected(probes: Probes, expectations: readonly Expectation[], pods: readonly DraftPod[]): Probes {
  const ends = [...expectations, ...(probes.pairs ?? [])].flatMap(({ from, to }) => [from, to]);
  const isNamed = (name: RegExp): boolean => ends.some((end) => end.kind === 'name' && name.test(end.text));
  const from = new Set([
    ...probes.from,
    ...(isNamed(/^(host$|node\/)/) ? (['host'] as const) : []),
    ...(isNamed(/^outside/) ? (['outside'] as const) : []),
  ]);
  const declared = pods.flatMap(({ ports }) => ports);
  const expected = expectations.flatMap(({ from: source, to, port, protocol }) => {
    if (port === undefined) return [];
    const known = new Set(declared.filter((one) => one.port === port).map((one) => one.protocol));
    const protocols: readonly Protocol[] = protocol === undefined ? (known.size > 0 ? [...known] : ['TCP']) : [protocol];
    return protocols.map((one) => ({ from: source, to, port, protocol: one }));
  });
  return { ...probes, from: [...from], ...(expected.length === 0 ? {} : { expected }) };
}

/** What `policies` means, else every file below that is not a step's. */
function readFiles(policies: Value | undefined, steps: readonly DraftStep[], folder: Folder, draft: Draft, context: Context): void {
  const read = (file: string, source: Source): void => {
    const found = folder.read(file);
    if ('fault' in found) context.faults.add(source, '', found.fault);
    else readManifests(file, found.text, draft, context);
  };
  if (policies === undefined) {
    const ofSteps = new Set(steps.flatMap(({ files }) => files));
    for (const file of folder.files) if (!ofSteps.has(file)) read(file, { file, line: 1 });
    return;
  }
  const seen = new Set<string>();
  for (const item of policies.located.kind === 'list' ? (policies.list() ?? []) : [policies]) {
    if (item.located.kind === 'map') {
      readManifest(item, draft, context);
      continue;
    }
    const pattern = item.text();
    if (pattern === undefined) continue;
    const files = folder.expand(pattern);
    if (files.length === 0) item.fault(`no file is meant by ${JSON.stringify(pattern)}`);
    for (const file of files) {
      if (!seen.has(file)) read(file, item.source);
      seen.add(file);
    }
  }
}

function readInline(experiment: MapValue | undefined, draft: Draft, faults: Faults): void {
  const namespaces = experiment?.get('namespaces');
  for (const namespace of namespaces === undefined ? [] : readInlineNamespaces(namespaces)) addNamespace(draft, namespace, faults);
  addPods(draft, experiment?.get('pods')?.each(readInlinePod) ?? [], faults);
}

/** Declared networks, and those that pods speak of. The cluster's own is first. */
function settleNetworks(
  declared: readonly Network[],
  drafts: readonly DraftPod[],
  networkId: (namespace: string, name: string) => string,
  faults: Faults,
  what: string,
): Network[] {
  const first: readonly Network[] = declared.length > 0 ? declared : [{ id: defaultNetworkId, type: 'bridge', subnets: [] }];
  const named = drafts.flatMap(({ namespace, networks }) =>
    (networks ?? []).flatMap(({ network }) => (network === '' ? [] : [networkId(namespace, network)])),
  );
  const ids = [...new Set(named)].filter((id) => !first.some((network) => network.id === id)).sort();
  const all: Network[] = [...first, ...ids.map((id): Network => ({ id, type: 'bridge', subnets: [] }))];
  if (all.length > mostNetworks) faults.add({ file: what, line: 1 }, '', `${all.length} networks are more than ${mostNetworks}`);
  return all.map((network, index) => (network.subnets.length > 0 ? network : { ...network, subnets: defaultSubnets(index) }));
}

/** One node is where the pods run: the one that says so, else the host itself. Node manifests speak of other nodes. */
function settleNodes(written: readonly Node[], draft: Draft, hostIps: Node['ips']): Node[] {
  const others = draft.nodes.map(({ name, labels, ips }): Node => ({ name, labels, ips, local: false }));
  const all = [...written, ...others];
  const host: Node = { name: 'host', labels: {}, ips: hostIps, local: true };
  if (!all.some(({ local }) => local)) return [host, ...all];
  return all.map((node) => (node.local && node.ips.length === 0 ? { ...node, ips: hostIps } : node));
}

/** A namespace that only a pod or a policy speaks of has its name for a label (R40). */
function withImplied(draft: Draft): World['namespaces'] {
  const names = new Set([
    ...[...draft.pods.values()].map(({ namespace }) => namespace),
    ...[...draft.policies.values()].map(({ namespace }) => namespace),
  ]);
  const implied = [...names].filter((name) => name !== '' && !draft.namespaces.has(name)).map((name) => namespaceOf(name, {}));
  return [...draft.namespaces.values(), ...implied].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Goes through the steps, so that each speaks of what is there by then. */
function play(
  world: World,
  steps: readonly DraftStep[],
  pods: ReadonlyMap<DraftPod, Pod>,
  faults: Faults,
): { readonly step: Step; readonly after: World }[] {
  let before = world;
  return steps.map(({ name, intents, expect, source }, index) => {
    const changes: Change[] = [];
    for (const intent of intents) {
      for (const change of intent(before, pods, faults)) {
        before = changed(before, change);
        changes.push(change);
      }
    }
    return { step: { name: name ?? `step ${index + 1}`, changes, expect, source }, after: before };
  });
}

/** Ends are told apart by address, in policies and on the wire. */
function refuseSharedAddresses({ nodes, outside }: World, pods: ReadonlyMap<DraftPod, Pod>, source: Source, faults: Faults): void {
  const owners = new Map(nodes.flatMap(({ name, ips }) => ips.map(({ text }) => [text, `node ${name}`])));
  for (const { name, ips } of outside) {
    for (const { text } of ips) {
      const owner = owners.get(text);
      if (owner !== undefined) faults.add(source, 'outside', `${name} has the address ${text} of ${owner}`);
      else owners.set(text, name);
    }
  }
  for (const pod of pods.values()) {
    for (const { text } of pod.interfaces.flatMap(({ ips }) => ips)) {
      const owner = owners.get(text);
      if (owner !== undefined) faults.add(pod.source, '', `pod ${podKey(pod)} has the address ${text} of ${owner}`);
    }
  }
}

/** An expectation that nothing can meet or violate is a mistake of who wrote it. */
function refuseIdleExpectations(expectations: readonly Expectation[], world: World, faults: Faults): void {
  const all = parties(world, { from: ['host', 'outside'] });
  for (const { from, to, source } of expectations) {
    for (const [field, pattern] of [['from', from] as const, ['to', to] as const]) {
      if (!all.some(({ endpoints }) => endpoints.some((endpoint) => endpointMatches(pattern, endpoint, world))))
        faults.add(
          source,
          field,
          pattern.kind === 'name' ? `${JSON.stringify(pattern.text)} is no pod that is there then` : 'selects no pod that is there then',
        );
    }
  }
}

function checkLinks(links: Experiment['links'], world: World, pods: ReadonlyMap<DraftPod, Pod>, faults: Faults): void {
  const names = new Set([...pods.values()].map((pod) => `${pod.namespace}/${pod.name}`));
  for (const { pod, network, source } of links) {
    if (pod !== undefined && !names.has(pod)) faults.add(source, 'pod', `there is no pod ${pod}`);
    if (network !== undefined && !world.networks.some(({ id }) => id === network)) faults.add(source, 'network', `there is no network ${network}`);
  }
}
