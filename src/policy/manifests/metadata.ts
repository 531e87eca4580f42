/** What all objects of Kubernetes share: names, labels, selectors, ports; as the API server checks them. */
import { parseCidr, parseIp, type Cidr, type Ip } from '../../model/cidr.ts';
import type { Labels, Protocol, Requirement, Selector } from '../model/values.ts';
import type { MapValue, Value } from './reader.ts';

const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedPart = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

/** Every namespace has it, and nobody can set it to something else (R40). */
export const nameLabel = 'kubernetes.io/metadata.name';

/** Why `key` cannot be a label's; undefined when it can. */
function labelKeyFault(key: string): string | undefined {
  const slash = key.indexOf('/');
  const [prefix, name] = slash < 0 ? [undefined, key] : [key.slice(0, slash), key.slice(slash + 1)];
  if (prefix !== undefined && (prefix.length > 253 || !dnsSubdomain.test(prefix))) return `${JSON.stringify(key)} has a prefix that is no host name`;
  return name.length <= 63 && qualifiedPart.test(name) ? undefined : `${JSON.stringify(key)} is no label key`;
}
const labelValueFault = (value: string): string | undefined =>
  value === '' || (value.length <= 63 && qualifiedPart.test(value)) ? undefined : `${JSON.stringify(value)} is no label value`;

/** Labels without a prototype, so that no key of theirs is found by accident. */
export const labelsFrom = (entries: Iterable<readonly [string, string]>): Labels =>
  Object.assign(Object.create(null) as Record<string, string>, Object.fromEntries(entries));

export function readLabels(value: Value | undefined): Labels {
  const entries: [string, string][] = [];
  for (const [key, item] of value?.map()?.values() ?? []) {
    const keyFault = labelKeyFault(key);
    if (keyFault !== undefined) item.fault(keyFault);
    const text = item.isNull ? item.fault('must be text, is nothing: write ""') : item.text();
    if (text === undefined) continue;
    const fault = labelValueFault(text);
    if (fault !== undefined) item.fault(fault);
    entries.push([key, text]);
  }
  return labelsFrom(entries);
}

/** A LabelSelector; `{}` matches everything. Undefined when it cannot be read at all. */
export function readSelector(value: Value): Selector | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(['matchLabels', 'matchExpressions'], {
    sameLabels: 'it was removed in v0.1.7 of the policy API',
    notSameLabels: 'it was removed in v0.1.7 of the policy API',
  });
  const requirements: Requirement[] = Object.entries(readLabels(map.get('matchLabels'))).map(([key, text]) => ({
    key,
    operator: 'In',
    values: [text],
  }));
  requirements.push(...(map.get('matchExpressions')?.each(readRequirement) ?? []));
  return { requirements, source: value.source };
}

function readRequirement(value: Value): Requirement | undefined {
  const map = value.map();
  if (map === undefined) return undefined;
  map.refuseOthers(['key', 'operator', 'values']);
  const keyValue = map.required('key');
  const key = keyValue?.text();
  const keyFault = key === undefined ? undefined : labelKeyFault(key);
  if (keyFault !== undefined) keyValue?.fault(keyFault);
  const operator = map.required('operator')?.choice(['In', 'NotIn', 'Exists', 'DoesNotExist']);
  const list = map.get('values');
  const values =
    list?.each((item) => {
      const text = item.text();
      const fault = text === undefined ? undefined : labelValueFault(text);
      return fault === undefined ? text : item.fault(fault);
    }) ?? [];
  if (key === undefined || operator === undefined) return undefined;
  const isSet = operator === 'In' || operator === 'NotIn';
  const count = list?.located.kind === 'list' ? list.located.items.length : 0;
  if (isSet && count === 0 && (list === undefined || list.located.kind === 'list')) return (list ?? value).fault(`${operator} needs values`);
  if (!isSet && count > 0) return (list ?? value).fault(`${operator} takes no values`);
  return { key, operator, values };
}

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Labels;
  readonly annotations: ReadonlyMap<string, Value>;
}

const metadataFields = [
  'name',
  'generateName',
  'namespace',
  'labels',
  'annotations',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'finalizers',
  'generation',
  'managedFields',
  'ownerReferences',
  'resourceVersion',
  'selfLink',
  'uid',
  'clusterName',
];

/** `scope`: whether the kind is of a namespace; `default` is taken when none is named (R1). */
export function readMetadata(document: MapValue, scope: 'namespaced' | 'cluster'): Metadata | undefined {
  const map = document.required('metadata')?.map();
  if (map === undefined) return undefined;
  map.refuseOthers(metadataFields);
  const labels = readLabels(map.get('labels'));
  const annotations = new Map(map.get('annotations')?.map()?.values() ?? []);
  const generated = map.get('name') === undefined ? map.get('generateName') : undefined;
  const nameValue = generated ?? map.required('name');
  const name = generated === undefined ? nameValue?.text() : generated.text()?.replace(/[-.]*$/, '');
  const isName = name !== undefined && name.length <= 253 && dnsSubdomain.test(name);
  if (name !== undefined && !isName)
    nameValue?.fault(`${JSON.stringify(name)} is no name of an object: lower-case letters, digits, dashes and dots, a letter or digit at both ends`);
  const namespaceValue = map.get('namespace');
  if (scope === 'cluster') {
    if (namespaceValue !== undefined) namespaceValue.fault('the kind is cluster-scoped: it has no namespace');
    return name === undefined ? undefined : { name, namespace: '', labels, annotations };
  }
  // Kubernetes takes an empty name for none.
  const isNamed = namespaceValue !== undefined && !(namespaceValue.located.kind === 'scalar' && namespaceValue.located.value === '');
  const namespace = isNamed ? readNamespaceName(namespaceValue) : 'default';
  return name === undefined || namespace === undefined ? undefined : { name, namespace, labels, annotations };
}

export function readNamespaceName(value: Value): string | undefined {
  const text = value.text();
  if (text === undefined) return undefined;
  return text.length <= 63 && dnsLabel.test(text) ? text : value.fault(`${JSON.stringify(text)} is no name of a namespace`);
}

/** A name of one object below a namespace or of a node. */
export function readObjectName(value: Value): string | undefined {
  const text = value.text();
  if (text === undefined) return undefined;
  return text.length <= 253 && dnsSubdomain.test(text) ? text : value.fault(`${JSON.stringify(text)} is no name of an object`);
}

export const protocols: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

/** TCP when none is written (R22). */
export const readProtocol = (value: Value | undefined): Protocol | undefined => (value === undefined ? 'TCP' : value.choice(protocols));

export const readPortNumber = (value: Value): number | undefined => value.integer(1, 65_535, 'a port');

/** IANA service name: what container ports and named ports are called. */
export function readPortName(value: Value): string | undefined {
  const text = value.text();
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return value.fault(`"${text}" in quotes is the name of a port, and a name needs a letter: take away the quotes`);
  const isName = text.length <= 15 && /^[a-z0-9]([a-z0-9]|-(?!-))*$/.test(text) && /[a-z]/.test(text) && !text.endsWith('-');
  return isName
    ? text
    : value.fault(`${JSON.stringify(text)} is no name of a port: at most 15 lower-case letters, digits and single dashes, a letter among them`);
}

/** A subnet; host bits are kept (R20). */
export function readCidr(value: Value): Cidr | undefined {
  const text = value.text();
  if (text === undefined) return undefined;
  const cidr = parseCidr(text);
  if (cidr !== undefined) return cidr;
  const ip = parseIp(text);
  const cure = ip === undefined ? '' : `: an address needs a prefix length, ${text}/${ip.family === 4 ? 32 : 128}`;
  return value.fault(`${JSON.stringify(text)} is no subnet${cure}`);
}

export function readIp(value: Value): Ip | undefined {
  const text = value.text();
  return text === undefined ? undefined : (parseIp(text) ?? value.fault(`${JSON.stringify(text)} is no address`));
}
