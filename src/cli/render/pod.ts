/** How a pod is shown. @see rkt.md 2.4 */
import { portText } from '../../model/cni/types.ts';
import { mountsJson } from '../../model/mounts.ts';
import type { PodInfo } from '../../pods.ts';

/** `bridge:ip4=10.1.0.2,ip6=fd00::2` for each network. */
export const networksText = (pod: PodInfo): string =>
  pod.networks.map((net) => `${net.netName}:${net.ips.map((ip) => `${ip.includes(':') ? 'ip6' : 'ip4'}=${ip}`).join(',')}`).join(', ');

/** `8080->80/tcp, 127.0.0.1:53->53/udp`. */
export const portsText = (pod: PodInfo): string => pod.ports.map(portText).join(', ');

/** `3 minutes ago`, as rkt writes it. */
export function ago(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  for (const [unit, size] of [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
    ['second', 1],
  ] as const) {
    const count = Math.floor(seconds / size);
    if (count > 0) return `${count} ${unit}${count === 1 ? '' : 's'} ago`;
  }
  return 'now';
}

type AppState = 'unknown' | 'created' | 'running' | 'exited';

function appState(pod: PodInfo, name: string): AppState {
  if (pod.exitCodes.has(name)) return 'exited';
  if (pod.state === 'running') return 'running';
  return pod.state === 'prepared' || pod.state === 'preparing' ? 'created' : 'unknown';
}

/** rkt's JSON: `name` is the UUID; times of pods in seconds; what is unknown is left out. */
export function podJson(pod: PodInfo): object {
  const apps = pod.manifest?.apps ?? [];
  return {
    name: pod.id,
    ...(pod.name === undefined ? {} : { pod_name: pod.name }),
    state: pod.state,
    ...(pod.ports.length === 0 ? {} : { ports: pod.ports }),
    ...(pod.networks.length === 0 ? {} : { networks: pod.networks }),
    app_names: apps.map((app) => app.name),
    apps: apps.map((app) => ({
      name: app.name,
      state: appState(pod, app.name),
      ...(pod.exitCodes.has(app.name) ? { exit_code: pod.exitCodes.get(app.name) } : {}),
      image_id: app.image.id,
      ...(pod.manifest === undefined || (app.mounts ?? []).length === 0 ? {} : { mounts: mountsJson(pod.manifest, app, pod.dir) }),
    })),
    ...(pod.createdMs === undefined ? {} : { created_at: Math.floor(pod.createdMs / 1000) }),
    ...(pod.startedMs === undefined ? {} : { started_at: Math.floor(pod.startedMs / 1000) }),
    ...(pod.state === 'running' && pod.pid !== undefined ? { pid: pod.pid } : {}),
  };
}
