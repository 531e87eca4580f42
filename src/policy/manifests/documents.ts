/** Documents of any kind → what bears on an experiment, the rest counted. */
import { didYouMean } from '../../model/ids.ts';
import { policyKey, type Policy } from '../model/policy.ts';
import { podKey, type Namespace } from '../model/values.ts';
import { readClusterPolicy } from './cluster-policy.ts';
import type { Faults } from './faults.ts';
import { readMultiNetworkPolicy, readNetworkPolicy } from './network-policy.ts';
import { readNamespace, readNode, readPod, readWorkload, workloads, type DraftNode, type DraftPod } from './pods.ts';
import { Value, type MapValue } from './reader.ts';
import { readYaml } from './yaml.ts';

/** What was read so far, before networks and addresses are settled. */
export interface Draft {
  readonly namespaces: Map<string, Namespace>;
  /** by podKey */
  readonly pods: Map<string, DraftPod>;
  /** by policyKey, in the order they were read */
  readonly policies: Map<string, Policy>;
  readonly nodes: DraftNode[];
  readonly skipped: Map<string, number>;
}
export const emptyDraft = (): Draft => ({ namespaces: new Map(), pods: new Map(), policies: new Map(), nodes: [], skipped: new Map() });

export interface Context {
  readonly faults: Faults;
  /** a network as a namespace names it → its id */
  readonly networkId: (namespace: string, name: string) => string;
}

/** Kind → API versions that are read. */
const known: Readonly<Record<string, readonly string[]>> = {
  Pod: ['v1'],
  Namespace: ['v1'],
  Node: ['v1'],
  ...Object.fromEntries(Object.entries(workloads).map(([kind, { apiVersions }]) => [kind, apiVersions])),
  NetworkPolicy: ['networking.k8s.io/v1'],
  ClusterNetworkPolicy: ['policy.networking.k8s.io/v1alpha2'],
  AdminNetworkPolicy: ['policy.networking.k8s.io/v1alpha1'],
  BaselineAdminNetworkPolicy: ['policy.networking.k8s.io/v1alpha1'],
  MultiNetworkPolicy: ['k8s.cni.cncf.io/v1beta1', 'k8s.cni.cncf.io/v1beta2'],
};
/** Of other projects, with kinds that are called the same (Calico's NetworkPolicy). */
const isForeign = (apiVersion: string): boolean => apiVersion.includes('.') && !/(^|\.)(k8s\.io|cncf\.io)\//.test(apiVersion);

/** Reads a file of manifests into `draft`. */
export function readManifests(file: string, text: string, draft: Draft, context: Context): void {
  for (const located of readYaml(file, text, context.faults)) readManifest(new Value(located, '', file, context.faults), draft, context);
}

/** Reads one manifest: a document, an item of a List, or what an experiment has inline. */
export function readManifest(value: Value, draft: Draft, context: Context): void {
  const { located } = value;
  if (located.kind !== 'map') {
    value.fault('is no manifest: a manifest is a mapping with apiVersion and kind');
    return;
  }
  const document = value.map();
  if (document === undefined) return;
  const kindValue = document.get('kind');
  const versionValue = document.get('apiVersion');
  if (kindValue === undefined) {
    if (versionValue === undefined && document.get('spec') === undefined) skip(draft, '(no kind)');
    else document.required('kind');
    return;
  }
  const kind = kindValue.text();
  if (kind === undefined) return;
  if (kind.endsWith('List') && document.get('items') !== undefined) {
    for (const item of document.get('items')?.list() ?? []) readItem(item, kind, draft, context);
    return;
  }
  const version = versionValue?.text();
  const versions = Object.hasOwn(known, kind) ? known[kind] : undefined;
  if (versions === undefined) {
    const meant = misspelt(kind, version ?? '');
    if (meant === undefined) skip(draft, kind);
    else kindValue.fault(`${JSON.stringify(kind)} is no kind that is known here: did you mean ${meant}?`);
    return;
  }
  if (version === undefined) {
    document.required('apiVersion', versions[0]);
  } else if (versions.includes(version)) {
    readKnown(kind, document, draft, context);
  } else if (isForeign(version)) {
    skip(draft, `${kind} (${version})`);
  } else {
    versionValue?.fault(`${kind} is read as ${versions.join(' or ')}, not ${JSON.stringify(version)}`);
  }
}

/** Items of a typed list (`NetworkPolicyList`) need no kind of their own. */
function readItem(item: Value, listKind: string, draft: Draft, context: Context): void {
  const kind = listKind.slice(0, -'List'.length);
  const map = item.located.kind === 'map' ? item.map() : undefined;
  const versions = Object.hasOwn(known, kind) ? known[kind] : undefined;
  if (map !== undefined && versions !== undefined && map.get('kind') === undefined) readKnown(kind, map, draft, context);
  else readManifest(item, draft, context);
}

/** A kind of ours that is written wrongly; other projects have kinds that merely look alike. */
function misspelt(kind: string, apiVersion: string): string | undefined {
  const kinds = Object.keys(known);
  const sameLetters = kinds.find((one) => one.toLowerCase() === kind.toLowerCase() || `${one.toLowerCase()}s` === kind.toLowerCase());
  if (sameLetters !== undefined) return sameLetters;
  if (kind.length < 6 || isForeign(apiVersion)) return undefined;
  const near = didYouMean(
    kind,
    kinds.filter((one) => one.length >= 6),
  );
  return near === undefined && /polic(y|ies)$/i.test(kind) && /^(policy\.)?networking\.k8s\.io\//.test(apiVersion) ? 'NetworkPolicy' : near;
}

const skip = (draft: Draft, what: string): unknown => draft.skipped.set(what, (draft.skipped.get(what) ?? 0) + 1);

function readKnown(kind: string, document: MapValue, draft: Draft, { networkId, faults }: Context): void {
  switch (kind) {
    case 'Pod': {
      const pod = readPod(document);
      if (pod !== undefined) addPods(draft, [pod], faults);
      return;
    }
    case 'Namespace': {
      const namespace = readNamespace(document);
      if (namespace !== undefined) addNamespace(draft, namespace, faults);
      return;
    }
    case 'Node': {
      const node = readNode(document);
      if (node !== undefined) draft.nodes.push(node);
      return;
    }
    case 'NetworkPolicy':
      return addPolicy(draft, readNetworkPolicy(document), faults);
    case 'MultiNetworkPolicy':
      return addPolicy(draft, readMultiNetworkPolicy(document, networkId), faults);
    case 'ClusterNetworkPolicy':
    case 'AdminNetworkPolicy':
    case 'BaselineAdminNetworkPolicy':
      return addPolicy(draft, readClusterPolicy(document, kind), faults);
    default:
      addPods(draft, readWorkload(document, kind), faults);
  }
}

export function addNamespace(draft: Draft, namespace: Namespace, faults: Faults): void {
  const before = draft.namespaces.get(namespace.name);
  draft.namespaces.set(namespace.name, namespace);
  if (before?.source === undefined || namespace.source === undefined) return;
  const lines = ({ labels }: Namespace): string =>
    Object.entries(labels)
      .map((label) => label.join('='))
      .sort()
      .join('\n');
  const isSame = lines(before) === lines(namespace);
  if (!isSame) faults.add(namespace.source, '', `namespace ${namespace.name} has other labels in ${before.source.file}:${before.source.line}`);
}

export function addPods(draft: Draft, pods: readonly DraftPod[], faults: Faults): void {
  for (const pod of pods) {
    const isTaken = draft.pods.has(podKey(pod));
    const name = isTaken && pod.madeBy !== undefined ? `${pod.name}-${pod.madeBy.toLowerCase()}` : pod.name;
    const key = podKey({ ...pod, name });
    const before = draft.pods.get(key);
    if (before === undefined) draft.pods.set(key, { ...pod, name });
    else faults.add(pod.source, '', `pod ${key} is there already, by ${before.source.file}:${before.source.line}`);
  }
}

function addPolicy(draft: Draft, policy: Policy | undefined, faults: Faults): void {
  if (policy === undefined) return;
  const before = draft.policies.get(policyKey(policy));
  if (before === undefined) draft.policies.set(policyKey(policy), policy);
  else faults.add(policy.source, '', `${policyKey(policy)} is there already, in ${before.source.file}:${before.source.line}`);
}
