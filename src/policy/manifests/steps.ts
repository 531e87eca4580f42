/** Steps of experiment.yaml. They are read before the world is known, and settled when it is. */
import type { Change, Expectation, World } from '../model/experiment.ts';
import { policyKey } from '../model/policy.ts';
import { podKey, type Pod, type Source } from '../model/values.ts';
import { emptyDraft, readManifest, readManifests, type Context, type Draft } from './documents.ts';
import { readExpectations } from './experiment-parts.ts';
import type { Faults } from './faults.ts';
import type { Folder } from './folder.ts';
import { oneOrMore, readInlineNamespace, readInlinePod, readNs } from './inline.ts';
import { readLabels } from './metadata.ts';
import { namespaceOf, type DraftPod } from './pods.ts';
import { Value } from './reader.ts';

/** What a step wants, settled against the world as it is by then. */
type Intent = (world: World, pods: ReadonlyMap<DraftPod, Pod>, faults: Faults) => Change[];

export interface DraftStep {
  readonly name: string | undefined;
  readonly intents: readonly Intent[];
  /** pods that it creates: they want addresses */
  readonly pods: readonly DraftPod[];
  /** files that are its own, and not of the first world */
  readonly files: readonly string[];
  readonly expect: readonly Expectation[];
  readonly source: Source;
}

const changeFields = ['apply', 'delete', 'labelPod', 'labelNamespace', 'createPod', 'deletePod', 'createNamespace', 'deleteNamespace'] as const;

interface Reading {
  readonly folder: Folder;
  readonly context: Context;
  /** whose counts they add to */
  readonly root: Draft;
  readonly intents: Intent[];
  readonly pods: DraftPod[];
  readonly files: string[];
}

export function readSteps(value: Value | undefined, folder: Folder, context: Context, root: Draft): DraftStep[] {
  return value?.each((item) => readStep(item, folder, context, root)) ?? [];
}

function readStep(value: Value, folder: Folder, context: Context, root: Draft): DraftStep | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(['name', ...changeFields, 'expect']);
  const reading: Reading = { folder, context, root, intents: [], pods: [], files: [] };
  // In written order: a step may delete a pod and then make another of its name.
  for (const [key, field] of map.values()) {
    const read = changeFields.find((one) => one === key);
    if (read !== undefined) for (const item of oneOrMore(field)) readers[read](item, reading);
  }
  const expect = map.get('expect');
  return {
    name: map.get('name')?.text(),
    intents: reading.intents,
    pods: reading.pods,
    files: reading.files,
    expect: expect === undefined ? [] : readExpectations(expect),
    source: value.source,
  };
}

const readers: Readonly<Record<(typeof changeFields)[number], (value: Value, reading: Reading) => void>> = {
  apply(value, reading) {
    const draft = readDraft(value, reading);
    reading.pods.push(...draft.pods.values());
    reading.intents.push((world, pods, faults) => [
      ...[...draft.namespaces.values()].map((namespace): Change => {
        const isThere = world.namespaces.some(({ name }) => name === namespace.name);
        return isThere
          ? { kind: 'labelNamespace', namespace: namespace.name, labels: namespace.labels, replace: true, source: value.source }
          : { kind: 'createNamespace', namespace, source: value.source };
      }),
      ...[...draft.pods.values()].flatMap((pod) => createPod(pod, world, pods, faults)),
      ...[...draft.policies.values()].map((policy): Change => ({ kind: 'apply', policy, source: policy.source })),
    ]);
  },

  delete(value, reading) {
    if (value.located.kind === 'map' || isFile(value)) {
      const draft = value.located.kind === 'map' && value.map()?.get('spec') === undefined ? undefined : readDraft(value, reading);
      if (draft !== undefined) {
        const keys = [...draft.policies.keys()];
        reading.intents.push((world, _pods, faults) => keys.flatMap((key) => deletePolicy(value, (one) => one === key, key, world, faults)));
        return;
      }
      const map = value.map();
      map?.refuseOthers(['kind', 'namespace', 'ns', 'name']);
      const name = map?.required('name')?.text();
      const kind = map?.get('kind')?.text();
      const namespace = map === undefined || (map.get('ns') ?? map.get('namespace')) === undefined ? undefined : readNs(map);
      if (name === undefined) return;
      const wanted = namespace === undefined ? name : `${namespace}/${name}`;
      reading.intents.push((world, _pods, faults) =>
        deletePolicy(value, (key) => isMeant(key, wanted) && (kind === undefined || key.startsWith(`${kind} `)), wanted, world, faults),
      );
      return;
    }
    const text = value.text();
    if (text !== undefined) reading.intents.push((world, _pods, faults) => deletePolicy(value, (key) => isMeant(key, text), text, world, faults));
  },

  labelPod(value, { intents }) {
    const map = value.map();
    map?.refuseOthers(['pod', 'name', 'ns', 'namespace', 'labels', 'replace']);
    const named = (map?.get('pod') ?? map?.get('name') ?? map?.required('pod'))?.text();
    const namespace = map === undefined ? undefined : readNs(map);
    const labels = readLabelChanges(map?.required('labels'));
    const replace = map?.get('replace')?.boolean() ?? false;
    if (named === undefined || namespace === undefined) return;
    const pod = named.includes('/') ? named : `${namespace}/${named}`;
    intents.push((world, _pods, faults) =>
      hasPod(world, pod, value, faults) ? [{ kind: 'labelPod', pod, labels, replace, source: value.source }] : [],
    );
  },

  labelNamespace(value, { intents }) {
    const map = value.map();
    map?.refuseOthers(['namespace', 'ns', 'name', 'labels', 'replace']);
    const namespace = (map?.get('namespace') ?? map?.get('ns') ?? map?.get('name') ?? map?.required('namespace'))?.text();
    const labels = readLabelChanges(map?.required('labels'));
    const replace = map?.get('replace')?.boolean() ?? false;
    if (namespace === undefined) return;
    intents.push((world, _pods, faults) =>
      hasNamespace(world, namespace, value, faults) ? [{ kind: 'labelNamespace', namespace, labels, replace, source: value.source }] : [],
    );
  },

  createPod(value, reading) {
    const isManifest = isFile(value) || (value.located.kind === 'map' && value.map()?.get('kind') !== undefined);
    const draft = isManifest ? readDraft(value, reading) : undefined;
    const inline = isManifest ? undefined : readInlinePod(value);
    const created = draft === undefined ? (inline === undefined ? [] : [inline]) : [...draft.pods.values()];
    reading.pods.push(...created);
    reading.intents.push((world, pods, faults) => created.flatMap((pod) => createPod(pod, world, pods, faults)));
  },

  deletePod(value, { intents }) {
    const text = readPodKey(value);
    if (text === undefined) return;
    intents.push((world, _pods, faults) => (hasPod(world, text, value, faults) ? [{ kind: 'deletePod', pod: text, source: value.source }] : []));
  },

  createNamespace(value, { intents }) {
    const namespace = readInlineNamespace(value);
    if (namespace === undefined) return;
    intents.push((world, _pods, faults) => {
      const isThere = world.namespaces.some(({ name, source }) => name === namespace.name && source !== undefined);
      if (isThere) faults.add(value.source, value.field, `namespace ${namespace.name} is there already`);
      return isThere ? [] : [{ kind: 'createNamespace', namespace, source: value.source }];
    });
  },

  deleteNamespace(value, { intents }) {
    const namespace = value.text();
    if (namespace === undefined) return;
    intents.push((world, _pods, faults) =>
      hasNamespace(world, namespace, value, faults) ? [{ kind: 'deleteNamespace', namespace, source: value.source }] : [],
    );
  },
};

const isFile = (value: Value): boolean =>
  value.located.kind === 'scalar' && typeof value.located.value === 'string' && /\.(ya?ml|json)$/.test(value.located.value);

/** Manifests of a step: a file, a pattern of files, or written out. */
function readDraft(value: Value, { folder, context, root, files }: Reading): Draft {
  const draft: Draft = { ...emptyDraft(), skipped: root.skipped };
  if (value.located.kind === 'map') {
    readManifest(value, draft, context);
    return draft;
  }
  const pattern = value.text();
  if (pattern === undefined) return draft;
  const found = folder.expand(pattern);
  if (found.length === 0) value.fault(`no file is meant by ${JSON.stringify(pattern)}`);
  for (const file of found) {
    files.push(file);
    const content = folder.read(file);
    if ('fault' in content) value.fault(content.fault);
    else readManifests(file, content.text, draft, context);
  }
  return draft;
}

/** `NetworkPolicy x/base` is meant by itself, by `x/base`, and by `base`. */
const isMeant = (key: string, text: string): boolean => {
  const path = key.slice(key.indexOf(' ') + 1);
  return key === text || path === text || path.slice(path.indexOf('/') + 1) === text;
};

function deletePolicy(value: Value, means: (key: string) => boolean, what: string, world: World, faults: Faults): Change[] {
  const keys = world.policies.map(policyKey).filter(means);
  const [key] = keys;
  if (key !== undefined && keys.length === 1) return [{ kind: 'delete', key, source: value.source }];
  faults.add(
    value.source,
    value.field,
    key === undefined ? `there is no policy ${JSON.stringify(what)} then` : `${JSON.stringify(what)} could be ${keys.join(' or ')}`,
  );
  return [];
}

function createPod(draft: DraftPod, world: World, pods: ReadonlyMap<DraftPod, Pod>, faults: Faults): Change[] {
  const pod = pods.get(draft);
  if (pod === undefined) return [];
  if (world.pods.some((one) => podKey(one) === podKey(pod))) {
    faults.add(draft.source, '', `pod ${podKey(pod)} is there already`);
    return [];
  }
  for (const { network, ips } of pod.interfaces) {
    const owner = world.pods.find(({ interfaces }) =>
      interfaces.some((one) => one.network === network && one.ips.some(({ text }) => ips.some((ip) => ip.text === text))),
    );
    if (owner !== undefined) faults.add(draft.source, '', `pod ${podKey(pod)} has an address of ${podKey(owner)}`);
  }
  const isKnown = world.namespaces.some(({ name }) => name === pod.namespace);
  const namespace: Change[] = isKnown ? [] : [{ kind: 'createNamespace', namespace: namespaceOf(pod.namespace, {}), source: draft.source }];
  return [...namespace, { kind: 'createPod', pod, source: draft.source }];
}

function hasPod(world: World, key: string, value: Value, faults: Faults): boolean {
  const isThere = world.pods.some((pod) => podKey(pod) === key);
  if (!isThere) faults.add(value.source, value.field, `there is no pod ${key} then`);
  return isThere;
}

function hasNamespace(world: World, name: string, value: Value, faults: Faults): boolean {
  const isThere = world.namespaces.some((namespace) => namespace.name === name);
  if (!isThere) faults.add(value.source, value.field, `there is no namespace ${name} then`);
  return isThere;
}

function readPodKey(value: Value): string | undefined {
  if (value.located.kind === 'map') {
    const map = value.map();
    map?.refuseOthers(['name', 'pod', 'ns', 'namespace']);
    const name = (map?.get('name') ?? map?.required('pod'))?.text();
    const namespace = map === undefined ? undefined : readNs(map);
    return name === undefined || namespace === undefined ? undefined : `${namespace}/${name}`;
  }
  const text = value.text();
  return text === undefined || text.includes('/') ? text : `default/${text}`;
}

/** Labels to set; null takes one away. */
function readLabelChanges(value: Value | undefined): Readonly<Record<string, string | null>> {
  const map = value?.map();
  if (value === undefined || map === undefined) return {};
  const gone = [...map.values()].filter(([, item]) => item.isNull).map(([key]) => [key, null] as const);
  const kept = new Map([...map.entries].filter(([key]) => !gone.some(([one]) => one === key)));
  const isEmpty = kept.size === 0;
  const located = { ...value.located, kind: 'map' as const, entries: kept };
  const set = isEmpty ? {} : readLabels(new Value(located, value.field, value.file, value.faults, value.keyLine));
  return { ...set, ...Object.fromEntries(gone) };
}
