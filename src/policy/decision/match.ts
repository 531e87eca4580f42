/** Selectors against labels, names against patterns. */
import type { PodMatch } from '../model/policy.ts';
import type { Labels, Namespace, Pod, Selector } from '../model/values.ts';

/** R2, R3: every requirement holds. Absent selector: everything matches. */
export function selects(selector: Selector | undefined, labels: Labels): boolean {
  return (selector?.requirements ?? []).every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
    }
  });
}

/** Whether `match` means `pod`, which lives in a namespace with these labels. */
export function meansPod(match: PodMatch, pod: Pick<Pod, 'namespace' | 'labels'>, namespaceLabels: Labels): boolean {
  if (match.namespace !== undefined ? match.namespace !== pod.namespace : !selects(match.namespaceSelector, namespaceLabels)) return false;
  return selects(match.podSelector, pod.labels);
}

/** R61: exact, or `*.` in place of one or more whole labels. */
export function domainMatches(pattern: string, name: string): boolean {
  const domain = name.toLowerCase().replace(/\.$/, '');
  return pattern.startsWith('*.') ? domain.endsWith(pattern.slice(1)) : domain === pattern;
}

/** Name pattern with `*` for any run of characters but a slash. */
export function globMatches(pattern: string, text: string): boolean {
  const source = pattern
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join('[^/]*');
  return new RegExp(`^${source}$`).test(text);
}

/** Labels of a pod's namespace; of one that nobody declared, none but its name. */
export function namespaceLabels(namespaces: readonly Namespace[], name: string): Labels {
  return namespaces.find((namespace) => namespace.name === name)?.labels ?? { 'kubernetes.io/metadata.name': name };
}
