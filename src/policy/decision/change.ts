/** What a change makes of a world. */
import type { Change, World } from '../model/experiment.ts';
import { policyKey } from '../model/policy.ts';
import { podKey, type Labels } from '../model/values.ts';

const nameLabel = 'kubernetes.io/metadata.name';

function relabel(before: Labels, labels: Readonly<Record<string, string | null>>, replace: boolean): Labels {
  const entries = new Map<string, string>(replace ? [] : Object.entries(before));
  for (const [key, value] of Object.entries(labels)) {
    if (value === null) entries.delete(key);
    else entries.set(key, value);
  }
  return Object.assign(Object.create(null) as Record<string, string>, Object.fromEntries(entries));
}

/** The world after `change`; what it speaks of is known to be there. */
export function changed(world: World, change: Change): World {
  switch (change.kind) {
    case 'apply': {
      const key = policyKey(change.policy);
      const isUpdate = world.policies.some((policy) => policyKey(policy) === key);
      return {
        ...world,
        policies: isUpdate
          ? world.policies.map((policy) => (policyKey(policy) === key ? change.policy : policy))
          : [...world.policies, change.policy],
      };
    }
    case 'delete':
      return { ...world, policies: world.policies.filter((policy) => policyKey(policy) !== change.key) };
    case 'labelPod':
      return {
        ...world,
        pods: world.pods.map((pod) => (podKey(pod) === change.pod ? { ...pod, labels: relabel(pod.labels, change.labels, change.replace) } : pod)),
      };
    case 'labelNamespace':
      return {
        ...world,
        namespaces: world.namespaces.map((namespace) =>
          namespace.name === change.namespace
            ? { ...namespace, labels: relabel(namespace.labels, { ...change.labels, [nameLabel]: namespace.name }, change.replace) }
            : namespace,
        ),
      };
    case 'createPod':
      return { ...world, pods: [...world.pods, change.pod] };
    case 'deletePod':
      return { ...world, pods: world.pods.filter((pod) => podKey(pod) !== change.pod) };
    case 'createNamespace':
      return { ...world, namespaces: [...world.namespaces.filter(({ name }) => name !== change.namespace.name), change.namespace] };
    case 'deleteNamespace':
      return {
        ...world,
        namespaces: world.namespaces.filter(({ name }) => name !== change.namespace),
        pods: world.pods.filter(({ namespace }) => namespace !== change.namespace),
        policies: world.policies.filter(({ namespace }) => namespace !== change.namespace),
      };
  }
}

/** The worlds of an experiment: before its steps, and after each. */
export function worldsOf(world: World, steps: readonly { readonly changes: readonly Change[] }[]): World[] {
  const worlds = [world];
  for (const { changes } of steps) worlds.push(changes.reduce(changed, worlds.at(-1) ?? world));
  return worlds;
}
