/** Pods, what makes pods, namespaces and nodes. Only what bears on policies is read; all else in them is nobody's business here. */
import type { Ip } from '../../model/cidr.ts';
import type { ContainerPort, Labels, Namespace, Source } from '../model/values.ts';
import {
  labelsFrom,
  nameLabel,
  readIp,
  readLabels,
  readMetadata,
  readNamespaceName,
  readObjectName,
  readPortName,
  readPortNumber,
  readProtocol,
} from './metadata.ts';
import type { MapValue, Value } from './reader.ts';

/** A pod as a manifest has it: networks by name, addresses only if they were written. */
export interface DraftPod {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
  readonly ports: readonly ContainerPort[];
  /** of the first network; status.podIPs, or `ip` of an experiment */
  readonly ips: readonly Ip[];
  /** names as written, `''` is the cluster's own; absent: that one only */
  readonly networks?: readonly DraftInterface[];
  readonly hostNetwork: boolean;
  readonly ended: boolean;
  readonly image?: string;
  /** `Deployment`, for pods that something makes: their name is ours and gives way */
  readonly madeBy?: string;
  readonly source: Source;
}
export interface DraftInterface {
  readonly network: string;
  readonly ips: readonly Ip[];
}

export interface DraftNode {
  readonly name: string;
  readonly labels: Labels;
  readonly ips: readonly Ip[];
  readonly source: Source;
}

/** Kind → where its pod template is, and whether its pods are numbered from 0 as a StatefulSet's are. */
export const workloads: Readonly<Record<string, { readonly path: readonly string[]; readonly apiVersions: readonly string[] }>> = {
  Deployment: { path: ['spec', 'template'], apiVersions: ['apps/v1'] },
  StatefulSet: { path: ['spec', 'template'], apiVersions: ['apps/v1'] },
  DaemonSet: { path: ['spec', 'template'], apiVersions: ['apps/v1'] },
  ReplicaSet: { path: ['spec', 'template'], apiVersions: ['apps/v1'] },
  ReplicationController: { path: ['spec', 'template'], apiVersions: ['v1'] },
  Job: { path: ['spec', 'template'], apiVersions: ['batch/v1'] },
  CronJob: { path: ['spec', 'jobTemplate', 'spec', 'template'], apiVersions: ['batch/v1', 'batch/v1beta1'] },
};

const mostReplicas = 1000;
const replicated = ['Deployment', 'StatefulSet', 'ReplicaSet', 'ReplicationController'];

export function readPod(document: MapValue): DraftPod | undefined {
  const metadata = readMetadata(document, 'namespaced');
  const spec = document.get('spec')?.map();
  const status = document.get('status')?.map();
  if (metadata === undefined) return undefined;
  const phase = status?.get('phase')?.text();
  const written = status?.get('podIPs')?.each((item) => {
    const ip = item.map()?.get('ip');
    return ip === undefined ? undefined : readIp(ip);
  });
  const single = status?.get('podIP');
  const ips = written !== undefined && written.length > 0 ? written : single === undefined ? [] : [readIp(single)].filter((ip) => ip !== undefined);
  const networks = readNetworks(metadata.annotations);
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    labels: metadata.labels,
    ...readPodSpec(spec),
    ips: onePerFamily(ips),
    ...(networks === undefined ? {} : { networks }),
    ended: phase === 'Succeeded' || phase === 'Failed',
    source: document.source,
  };
}

/** The pods that a workload makes, each with the template's labels. */
export function readWorkload(document: MapValue, kind: string): DraftPod[] {
  const metadata = readMetadata(document, 'namespaced');
  let template: MapValue | undefined = document;
  for (const key of workloads[kind]?.path ?? []) template = template?.required(key)?.map();
  const replicasValue = replicated.includes(kind) ? document.get('spec')?.map()?.get('replicas') : undefined;
  const replicas = replicasValue === undefined ? 1 : replicasValue.integer(0, mostReplicas, 'a number of pods');
  const inner = template?.get('metadata')?.map();
  const labels = readLabels(inner?.get('labels'));
  const networks = readNetworks(new Map(inner?.get('annotations')?.map()?.values() ?? []));
  if (metadata === undefined || template === undefined || replicas === undefined) return [];
  const pod = {
    namespace: metadata.namespace,
    labels,
    ...readPodSpec(template.get('spec')?.map()),
    ips: [],
    ...(networks === undefined ? {} : { networks }),
    ended: false,
    madeBy: kind,
    source: document.source,
  };
  const isStateful = kind === 'StatefulSet';
  const nameOf = (index: number): string =>
    isStateful ? `${metadata.name}-${index}` : replicas === 1 ? metadata.name : `${metadata.name}-${index + 1}`;
  return Array.from({ length: replicas }, (_, index) => ({ ...pod, name: nameOf(index) }));
}

function readPodSpec(spec: MapValue | undefined): Pick<DraftPod, 'ports' | 'hostNetwork' | 'image'> {
  const containers = spec?.get('containers')?.each((item) => item.map()) ?? [];
  // An init container that is always restarted is a sidecar: it serves as long as the pod.
  const sidecars = (spec?.get('initContainers')?.each((item) => item.map()) ?? []).filter((map) => map.get('restartPolicy')?.text() === 'Always');
  const ports = [...containers, ...sidecars].flatMap((container) => container.get('ports')?.each(readContainerPort) ?? []);
  const image = containers[0]?.get('image')?.text();
  return { ports, hostNetwork: spec?.get('hostNetwork')?.boolean() ?? false, ...(image === undefined ? {} : { image }) };
}

function readContainerPort(value: Value): ContainerPort | undefined {
  const map = value.map();
  const portValue = map?.required('containerPort');
  if (map === undefined || portValue === undefined) return undefined;
  return readPortOf(map, portValue);
}

/** A port that may have a name and a protocol. */
export function readPortOf(map: MapValue, portValue: Value): ContainerPort | undefined {
  const port = readPortNumber(portValue);
  const protocol = readProtocol(map.get('protocol'));
  const nameValue = map.get('name');
  const name = nameValue === undefined ? undefined : readPortName(nameValue);
  return port === undefined || protocol === undefined ? undefined : { ...(name === undefined ? {} : { name }), port, protocol };
}

/** The first of each family: a pod has one address of each. */
export const onePerFamily = (ips: readonly Ip[]): Ip[] => ips.filter((ip, index) => ips.findIndex(({ family }) => family === ip.family) === index);

const clusterNetwork: DraftInterface = { network: '', ips: [] };

/** Multus' annotation: `a,ns/b@eth1` or JSON. The cluster's own network is first. */
function readNetworks(annotations: ReadonlyMap<string, Value>): DraftInterface[] | undefined {
  const value = annotations.get('k8s.v1.cni.cncf.io/networks');
  const text = value?.text()?.trim();
  if (value === undefined || text === undefined || text === '') return undefined;
  if (!text.startsWith('[')) {
    return [clusterNetwork, ...text.split(',').map((item) => ({ network: item.trim().split('@')[0] ?? '', ips: [] }))];
  }
  const parsed = parseJson(text);
  if (!Array.isArray(parsed)) return value.fault('is neither a list of names nor JSON');
  const others = parsed.flatMap((item: unknown): DraftInterface[] => {
    const { name, namespace } = (item ?? {}) as { name?: unknown; namespace?: unknown };
    if (typeof name === 'string') return [{ network: typeof namespace === 'string' ? `${namespace}/${name}` : name, ips: [] }];
    value.fault('has an entry without name');
    return [];
  });
  return [clusterNetwork, ...others];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

export const namespaceOf = (name: string, labels: Labels, source?: Source): Namespace => ({
  name,
  labels: labelsFrom([...Object.entries(labels), [nameLabel, name]]),
  ...(source === undefined ? {} : { source }),
});

export function readNamespace(document: MapValue): Namespace | undefined {
  const metadata = document.required('metadata')?.map();
  const nameValue = metadata?.required('name');
  const labels = readLabels(metadata?.get('labels'));
  const name = nameValue === undefined ? undefined : readNamespaceName(nameValue);
  const written = Object.hasOwn(labels, nameLabel) ? labels[nameLabel] : name;
  if (written !== name) metadata?.get('labels')?.fault(`${nameLabel} is always the namespace's name, ${name ?? ''}`);
  return name === undefined ? undefined : namespaceOf(name, labels, document.source);
}

export function readNode(document: MapValue): DraftNode | undefined {
  const metadata = document.required('metadata')?.map();
  const nameValue = metadata?.required('name');
  const name = nameValue === undefined ? undefined : readObjectName(nameValue);
  const ips = document
    .get('status')
    ?.map()
    ?.get('addresses')
    ?.each((item) => {
      const map = item.map();
      const isIp = ['InternalIP', 'ExternalIP'].includes(map?.get('type')?.text() ?? '');
      const address = map?.get('address');
      return isIp && address !== undefined ? readIp(address) : undefined;
    });
  return name === undefined ? undefined : { name, labels: readLabels(metadata?.get('labels')), ips: ips ?? [], source: document.source };
}
