/** Where a pod's files are. @see rkt.md 2.1, 2.2 */
import { join } from 'node:path';

/** Directories of the life cycle, in the order a pod moves through them. */
export const phases = ['embryo', 'prepare', 'prepared', 'run', 'exited-garbage', 'garbage'] as const;
export type Phase = (typeof phases)[number];
/** Phases of pods that people see: not embryos, not what gc has finished with but for its files. */
export const visiblePhases = ['prepare', 'prepared', 'run', 'exited-garbage'] as const satisfies readonly Phase[];

export const phasePath = (dataDir: string, phase: Phase): string => join(dataDir, 'pods', phase);
export const podPath = (dataDir: string, phase: Phase, id: string): string => join(phasePath(dataDir, phase), id);

/** Whoever gives a pod a name holds a lock on this directory, from looking whether the name is free until it is taken. */
export const namesPath = (dataDir: string): string => join(dataDir, 'pods');

/** Where directories of deleted pods wait for their deletion. */
export const trashPath = (dataDir: string): string => join(dataDir, 'pods-trash');

/** Files of one pod; `dir` is its directory, wherever it is in its life. */
export const podFiles = (dir: string) => ({
  manifest: join(dir, 'pod'),
  /** locked by whoever changes the running pod */
  changes: join(dir, 'changes'),
  /** mtime = creation */
  created: join(dir, 'pod-created'),
  /** the pod's name; absent: it has none */
  name: join(dir, 'name'),
  /** symbolic link whose text is the name of the flavor */
  flavor: join(dir, 'flavor'),
  /** process group of the app, where the pod is no process tree of its own */
  processGroup: join(dir, 'pgid'),
  /** write-ahead journal of everything outside the pod directory */
  journal: join(dir, 'journal'),
  /** the network plan as it was before anything was touched */
  netPlan: join(dir, 'net', 'plan.json'),
  /** recorded plugin calls, one JSON object a line */
  netCalls: join(dir, 'net', 'calls.jsonl'),
  /** what the pod got: rkt's net-info.json with CNI results */
  netInfo: join(dir, 'net-info.json'),
  /** pid of the pod (its supervisor); mtime = start */
  pid: join(dir, 'pid'),
  /** exit code text per app; mtime = end */
  status: (app: string): string => join(dir, 'stage1/rootfs/rkt/status', app),
  statusDir: join(dir, 'stage1/rootfs/rkt/status'),
  /** the image of a volume of kind image */
  volumeImage: (volume: string): string => join(dir, 'volumesinfo', volume, 'image.json'),
  image: (app: string): string => join(dir, 'appsinfo', app, 'image.json'),
});
