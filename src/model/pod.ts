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
export interface PodApp {
  name: string;
  image: { name: string; id: string; labels?: NameValue[] };
  app: AppSpec;
  readOnlyRootFS?: boolean;
  annotations?: NameValue[];
}
export interface PodManifest {
  acVersion: string;
  acKind: 'PodManifest';
  apps: PodApp[];
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
