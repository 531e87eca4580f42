/** Parts of policies, as people read them. */
import { cidrText } from '../../model/cidr.ts';
import type { Peer, PodMatch, PortMatch } from '../model/policy.ts';
import type { Labels, Requirement, Selector, Source } from '../model/values.ts';

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
