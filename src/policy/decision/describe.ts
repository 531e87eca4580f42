/** Parts of policies, as people read them. */
import { cidrText } from '../../model/cidr.ts';
import { type Change, type EndpointPattern, type Expectation, portKey } from '../model/experiment.ts';
import { type Peer, type PodMatch, type PortMatch, type Rule, policyKey } from '../model/policy.ts';
import { type Direction, type Labels, type Requirement, type Selector, type Source, podKey } from '../model/values.ts';

export const placeText = ({ file, line }: Source): string => `${file}:${line}`;

function requirementText({ key, operator, values }: Requirement): string {
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0] ?? ''}` : `${key} in (${values.join(', ')})`;
    case 'NotIn':
      return `${key} not in (${values.join(', ')})`;
    case 'Exists':
      return `${key} set`;
    case 'DoesNotExist':
      return `${key} not set`;
  }
}
const selectorText = ({ requirements }: Selector): string => requirements.map(requirementText).join(', ');
const isAll = (selector: Selector | undefined): boolean => selector === undefined || selector.requirements.length === 0;

/** `pods with app=web in namespaces with team=a` */
export function podsText({ namespace, namespaceSelector, podSelector }: PodMatch): string {
  const pods = isAll(podSelector) || podSelector === undefined ? 'all pods' : `pods with ${selectorText(podSelector)}`;
  if (namespace !== undefined) return `${pods} of namespace ${namespace}`;
  return isAll(namespaceSelector) || namespaceSelector === undefined
    ? `${pods} of all namespaces`
    : `${pods} of namespaces with ${selectorText(namespaceSelector)}`;
}

export function peerText(peer: Peer): string {
  switch (peer.kind) {
    case 'pods':
      return podsText(peer.pods);
    case 'block':
      return `${cidrText(peer.cidr)}${peer.except.length === 0 ? '' : ` except ${peer.except.map(cidrText).join(', ')}`}`;
    case 'nodes':
      return isAll(peer.selector) ? 'all nodes' : `nodes with ${selectorText(peer.selector)}`;
    case 'domain':
      return `the domain ${peer.pattern}`;
  }
}

export function portText(port: PortMatch): string {
  switch (port.kind) {
    case 'protocol':
      return `every port of ${port.protocol}`;
    case 'range':
      return `${port.protocol}/${port.first}${port.last === port.first ? '' : `-${port.last}`}`;
    case 'named':
      return `"${port.name}"${port.protocol === undefined ? '' : ` of ${port.protocol}`}`;
  }
}

export const labelsText = (labels: Labels): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ') || 'no labels';

const patternText = (pattern: EndpointPattern): string => (pattern.kind === 'name' ? pattern.text : podsText(pattern));

/** `allow shop/web → shop/db TCP/80`; * are all pods. */
export function expectationText({ verdict, from, to, protocol, port }: Expectation): string {
  const what =
    port !== undefined && protocol !== undefined ? portKey({ protocol, port }) : `${protocol ?? ''}${port === undefined ? '' : `port ${port}`}`;
  return `${verdict} ${patternText(from)} → ${patternText(to)}${what === '' ? '' : ` ${what}`}`;
}

/** `allows TCP/80 from pods with app=web of namespace shop` */
export function ruleText({ action, peers, ports }: Rule, direction: Direction): string {
  const verb = { Accept: 'allows', Deny: 'denies', Pass: 'passes on' }[action];
  const what = ports === undefined ? 'everything' : ports.map(portText).join(', ');
  const who = peers === undefined ? (direction === 'ingress' ? 'everybody' : 'everywhere') : peers.map(peerText).join(', or ');
  return `${verb} ${what} ${direction === 'ingress' ? 'from' : 'to'} ${who === '' ? 'nobody' : who}`;
}

const labelChanges = (labels: Readonly<Record<string, string | null>>): string =>
  Object.entries(labels)
    .map(([key, value]) => (value === null ? `without ${key}` : `${key}=${value}`))
    .join(', ') || 'no labels';

/** What a step does to its world, in words. */
export function changeText(change: Change): string {
  switch (change.kind) {
    case 'apply':
      return `apply ${policyKey(change.policy)}`;
    case 'delete':
      return `delete ${change.key}`;
    case 'labelPod':
      return `label pod ${change.pod}: ${labelChanges(change.labels)}${change.replace ? ', and no others' : ''}`;
    case 'labelNamespace':
      return `label namespace ${change.namespace}: ${labelChanges(change.labels)}${change.replace ? ', and no others' : ''}`;
    case 'createPod':
      return `create pod ${podKey(change.pod)} with ${labelsText(change.pod.labels)}`;
    case 'deletePod':
      return `delete pod ${change.pod}`;
    case 'createNamespace':
      return `create namespace ${change.namespace.name} with ${labelsText(change.namespace.labels)}`;
    case 'deleteNamespace':
      return `delete namespace ${change.namespace}`;
  }
}
