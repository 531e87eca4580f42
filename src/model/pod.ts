/** appc pod manifest (0.8.11), the fields rkt writes and reads; unknown fields of a file are kept. @see rkt.md 2.2, 2.8, 2.9 */

export interface NameValue {
  name: string;
  value: string;
}
export interface PodPort {
  name: string;
  protocol: 'tcp' | 'udp' | 'sctp';
  port: number;
  /** how many ports from `port` on; default 1 */
  count?: number;
  socketActivated?: boolean;
}
export interface AppSpec {
  exec: string[];
  user: string;
  group: string;
  supplementaryGIDs?: number[];
  workingDirectory?: string;
  environment?: NameValue[];
  ports?: PodPort[];
  isolators?: { name: string; value: unknown }[];
  eventHandlers?: { name: 'pre-start' | 'post-stop'; exec: string[] }[];
  mountPoints?: { name: string; path: string; readOnly?: boolean }[];
  userAnnotations?: Record<string, string>;
  userLabels?: Record<string, string>;
}
/** What can be mounted into apps. Kinds `tmpfs` and `image` are rkt's, not appc's. */
export interface PodVolume {
  name: string;
  kind: 'host' | 'empty' | 'tmpfs' | 'image';
  readOnly?: boolean;
  /** host: absolute path of a directory, file, device or socket */
  source?: string;
  /** host: what is mounted below the source comes along; default true */
  recursive?: boolean;
  /** empty, tmpfs: octal digits, default 0755 */
  mode?: string;
  /** empty, tmpfs: owner, default 0 */
  uid?: number;
  gid?: number;
  /** tmpfs: most bytes, or a part of the memory, as tmpfs(5) has it: `64m`, `10%` */
  size?: string;
  /** image: its reference */
  image?: string;
}
export interface PodMount {
  volume: string;
  path: string;
  /** a volume of this app alone */
  appVolume?: PodVolume;
}
export interface PodApp {
  name: string;
  image: { name: string; id: string; labels?: NameValue[] };
  app: AppSpec;
  readOnlyRootFS?: boolean;
  mounts?: PodMount[];
  annotations?: NameValue[];
}
export interface PodManifest {
  acVersion: string;
  acKind: 'PodManifest';
  apps: PodApp[];
  volumes?: PodVolume[];
  ports?: { name: string; hostPort: number; hostIP?: string; podPort: PodPort }[];
  annotations?: NameValue[];
}

/** Where a pod is in its life. @see rkt.md 2.1 */
export type PodState =
  | 'embryo'
  | 'preparing'
  | 'aborted prepare'
  | 'prepared'
  | 'running'
  | 'exited'
  | 'exited deleting'
  | 'exited garbage'
  | 'deleting'
  | 'garbage';
