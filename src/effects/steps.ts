/**
 * The vocabulary of effects: one line per kind of thing rkt does to a machine. Steps are data; what they do
 * (run, undo) is registered by the composition root, so that no effect imports a stage.
 */
import type { CniResult } from '../model/cni/types.ts';
import type { PlannedNetwork } from '../model/plan.ts';
import type { PolicyMember } from '../model/policy-member.ts';
import type { ReleaseOp } from '../model/release.ts';

/** What each step needs. Everything that undo needs too must be here or in {@link StepOutputs}. */
export interface StepInputs {
  /** a new network namespace, held by a bind mount at `path` */
  'netns.create': { path: string };
  /** libcni's ADD over one list; undone by DEL in reverse with these very bytes. `names`: what pod and apps are called, for name servers */
  'network.attach': { network: PlannedNetwork; containerId: string; netns: string; names?: readonly string[] };
  /** the pod takes part in network policies, as subject and as peer; after its networks, before its first instruction (R43) */
  'policy.attach': { containerId: string; member: PolicyMember };
  /** the cgroup `path` (relative, e.g. `rkt/<uuid>`) in every hierarchy, parent of the apps' cgroups */
  'cgroup.create': { path: string };
  /** upper, work and mount point directories of an app, and the bundle crun reads; all below the pod directory */
  'app.prepare': { app: string };
  /** a private mount namespace with every app's root mounted; dies with the process that made it */
  'rootfs.mount': { apps: string[] };
  /** the supervisor takes the place of this process; `pid` is its pid, `startTime` in clock ticks since boot */
  'pod.launch': { pid: number; startTime: string };
}

/** What a step found out while running, kept in its done record. */
export interface StepOutputs {
  'netns.create': null;
  'network.attach': { result: CniResult };
  'policy.attach': null;
  'cgroup.create': { hierarchies: string[] };
  'app.prepare': null;
  'rootfs.mount': null;
  'pod.launch': null;
}

export type StepKind = keyof StepInputs;
export type StepOf<K extends StepKind> = { readonly kind: K } & Readonly<StepInputs[K]>;
export type Step = { [K in StepKind]: StepOf<K> }[StepKind];

/** How an effect is made and unmade. Both are idempotent; `undo` tolerates absence and a half-made effect. */
export interface Action<K extends StepKind> {
  run(step: StepOf<K>): StepOutputs[K];
  /** `sameBoot` false: what the kernel held is gone, only what is on disk is left to undo. `output` is undefined when the step never finished. */
  undo(step: StepOf<K>, output: StepOutputs[K] | undefined, sameBoot: boolean): void;
  /** what of the undo is to be done as soon as the pod has ended, without Node; absent: it can wait for gc. Touches nothing. */
  release?(step: StepOf<K>, output: StepOutputs[K]): readonly ReleaseOp[];
  /** forgets what only a later undo needs, when nobody will try again; absent: nothing is kept for it. Idempotent. */
  abandon?(step: StepOf<K>): void;
  /** leaves something on disk outside the pod directory: its intent must be on the platter before it runs */
  readonly durable: boolean;
}
/** A kind without its action does not compile. */
export type Actions = { readonly [K in StepKind]: Action<K> };
