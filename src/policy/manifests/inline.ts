/** The short form of pods and namespaces that experiment.yaml has. */
import type { ContainerPort, Namespace } from '../model/values.ts';
import { readIp, readLabels, readNamespaceName, readObjectName, readPortNumber } from './metadata.ts';
import { namespaceOf, onePerFamily, readPortOf, type DraftInterface, type DraftPod } from './pods.ts';
import type { MapValue, Value } from './reader.ts';

const podFields = ['name', 'ns', 'namespace', 'labels', 'networks', 'ip', 'ips', 'ports', 'image', 'hostNetwork', 'ended'];

/** A list, or one value that stands for a list of one. */
export const oneOrMore = (value: Value | undefined): Value[] =>
  value === undefined ? [] : value.located.kind === 'list' ? (value.list() ?? []) : [value];

/** `ns` or `namespace`; not written: default. */
export function readNs(map: MapValue): string | undefined {
  const [short, long] = [map.get('ns'), map.get('namespace')];
  if (short !== undefined && long !== undefined) return long.fault('is the same as ns: write one');
  const value = short ?? long;
  return value === undefined ? 'default' : readNamespaceName(value);
}

export function readInlinePod(value: Value): DraftPod | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(podFields);
  const nameValue = map.required('name');
  const name = nameValue === undefined ? undefined : readObjectName(nameValue);
  const namespace = readNs(map);
  const ips = onePerFamily([...oneOrMore(map.get('ip')), ...oneOrMore(map.get('ips'))].flatMap((item) => readIp(item) ?? []));
  const networks = map.get('networks')?.each(readInterface);
  const image = map.get('image')?.text();
  if (name === undefined || namespace === undefined) return undefined;
  return {
    namespace,
    name,
    labels: readLabels(map.get('labels')),
    ports: map.get('ports')?.each(readPort) ?? [],
    ips,
    ...(networks === undefined || networks.length === 0 ? {} : { networks }),
    hostNetwork: map.get('hostNetwork')?.boolean() ?? false,
    ended: map.get('ended')?.boolean() ?? false,
    ...(image === undefined ? {} : { image }),
    source: value.source,
  };
}

/** A network's name, or its name with the addresses of the pod on it. */
function readInterface(value: Value): DraftInterface | undefined {
  if (value.located.kind !== 'map') {
    const network = value.text();
    return network === undefined ? undefined : { network, ips: [] };
  }
  const map = value.map();
  map?.refuseOthers(['name', 'ip', 'ips']);
  const network = map?.required('name')?.text();
  if (map === undefined || network === undefined) return undefined;
  return { network, ips: onePerFamily([...oneOrMore(map.get('ip')), ...oneOrMore(map.get('ips'))].flatMap((item) => readIp(item) ?? [])) };
}

/** `80`, or `{name, port, protocol}`. */
function readPort(value: Value): ContainerPort | undefined {
  if (value.located.kind !== 'map') {
    const port = readPortNumber(value);
    return port === undefined ? undefined : { port, protocol: 'TCP' };
  }
  const map = value.map();
  map?.refuseOthers(['name', 'port', 'containerPort', 'protocol']);
  const portValue = map?.get('port') ?? map?.get('containerPort') ?? map?.required('port');
  return map === undefined || portValue === undefined ? undefined : readPortOf(map, portValue);
}

/** `{x: {labels…}}`, or a list of names and of `{name, labels}`. */
export function readInlineNamespaces(value: Value): Namespace[] {
  if (value.located.kind === 'map') {
    return [...(value.map()?.values() ?? [])].flatMap(([name, labels]): Namespace[] => {
      const inner = labels.located.kind === 'map' ? labels.located.entries.get('labels') : undefined;
      const isLong = inner?.value.kind === 'map';
      return [namespaceOf(name, labels.isNull ? {} : readLabels(isLong ? labels.map()?.get('labels') : labels), labels.source)];
    });
  }
  return value.each(readInlineNamespace);
}

export function readInlineNamespace(value: Value): Namespace | undefined {
  if (value.located.kind !== 'map') {
    const name = readNamespaceName(value);
    return name === undefined ? undefined : namespaceOf(name, {}, value.source);
  }
  const map = value.map();
  map?.refuseOthers(['name', 'labels']);
  const nameValue = map?.required('name');
  const name = nameValue === undefined ? undefined : readNamespaceName(nameValue);
  return name === undefined ? undefined : namespaceOf(name, readLabels(map?.get('labels')), value.source);
}
