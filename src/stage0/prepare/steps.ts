/** A planned pod → the steps that make it, in order. Pure: `rkt net plan` and `rkt run` share it. */
import type { Step, StepOf } from '../../effects/steps.ts';
import type { NetPlan } from '../../model/plan.ts';
import type { PodManifest } from '../../model/pod.ts';
import type { PolicyMember } from '../../model/policy-member.ts';

/** Where a pod's network namespace is held. */
export const netnsPath = (id: string): string => `/run/netns/rkt-${id}`;

/** The namespace a planned pod's apps run in; undefined: the host's. */
export const netnsOf = (id: string, plan: NetPlan): string | undefined => (plan.mode === 'host' ? undefined : (plan.netns ?? netnsPath(id)));

/** What every joined network needs: nothing of it depends on a result of another. */
export function networkSteps(id: string, plan: NetPlan, names: readonly string[], member?: PolicyMember): Step[] {
  if (plan.mode === 'host' || plan.mode === 'ns') return [];
  const netns = netnsPath(id);
  return [
    { kind: 'netns.create', path: netns },
    ...plan.networks.map((network): StepOf<'network.attach'> => ({ kind: 'network.attach', network, containerId: id, netns, names })),
    ...(member === undefined ? [] : [{ kind: 'policy.attach', containerId: id, member } as const]),
  ];
}

/** What other pods may call this one: its own name, and those of its apps. */
export const podNames = (manifest: PodManifest, podName: string | undefined): string[] => [
  ...(podName === undefined ? [] : [podName]),
  ...manifest.apps.map(({ name }) => name),
];

/** Processes come last: until then everything can be undone without ending one. `hasCgroups`: the flavor's pods have control groups. */
export function podSteps(id: string, manifest: PodManifest, self: { readonly pid: number; readonly startTime: string }, hasCgroups: boolean): Step[] {
  const apps = manifest.apps.map((app) => app.name);
  return [
    ...(hasCgroups ? [{ kind: 'cgroup.create', path: `rkt/${id}` } as const] : []),
    ...apps.map((app): StepOf<'app.prepare'> => ({ kind: 'app.prepare', app })),
    { kind: 'rootfs.mount', apps },
    { kind: 'pod.launch', ...self },
  ];
}
