/** What `list`, `status` and `enter` know of a pod: read from its directory, tolerant of everything that may be missing. */
import { statSync } from 'node:fs';
import { readText } from '../../host/files.ts';
import { readProcessId } from '../../host/process.ts';
import { monotonicMs, sleepMs } from '../../host/clock.ts';
import { RuntimeError, isErrno } from '../../model/errors.ts';
import type { PortMapping } from '../../model/cni/types.ts';
import type { NetInfo } from '../../model/net-info.ts';
import type { NetPlan } from '../../model/plan.ts';
import type { PodManifest } from '../../model/pod.ts';
import { podFiles } from './layout.ts';
import { findPod, hasEnded, nameOf, type PodEntry } from './lifecycle.ts';

export interface PodInfo extends PodEntry {
  /** undefined: no manifest that can be read */
  readonly manifest: PodManifest | undefined;
  readonly createdMs: number | undefined;
  readonly startedMs: number | undefined;
  readonly pid: number | undefined;
  readonly networks: readonly NetInfo[];
  /** undefined: it has none */
  readonly name: string | undefined;
  /** published ports, as they are on the host: none once it has ended */
  readonly ports: readonly PortMapping[];
  /** exit code by app, of the apps that ended */
  readonly exitCodes: ReadonlyMap<string, number>;
}

export function podInfo(entry: PodEntry): PodInfo {
  const files = podFiles(entry.dir);
  const manifest = parse<PodManifest>(readText(files.manifest));
  const exitCodes = new Map<string, number>();
  for (const { name } of manifest?.apps ?? []) {
    const code = readText(files.status(name));
    if (code !== undefined && /^\d+\s*$/.test(code)) exitCodes.set(name, Number(code));
  }
  return {
    ...entry,
    manifest,
    createdMs: mtimeMs(files.created),
    startedMs: mtimeMs(files.pid),
    pid: readProcessId(files.pid)?.pid,
    name: nameOf(entry.dir),
    ports: hasEnded(entry) ? [] : publishedPorts(files.netPlan),
    networks: parse<NetInfo[]>(readText(files.netInfo)) ?? [],
    exitCodes,
  };
}

const publishedPorts = (netPlan: string): PortMapping[] =>
  (parse<NetPlan>(readText(netPlan))?.networks ?? []).flatMap(({ capabilityArgs }) => capabilityArgs.portMappings ?? []);

function parse<T>(text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined; // half-written by a run that was killed: the pod is listed without it
  }
}

function mtimeMs(path: string): number | undefined {
  try {
    return statSync(path).mtimeMs;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Waits until the pod whose UUID begins with `prefix` has exited. @throws ERR_POD_STATE when `timeoutMs` passed first */
export function waitForExit(dataDir: string, prefix: string, timeoutMs: number): void {
  const deadline = monotonicMs() + timeoutMs;
  const { id } = findPod(dataDir, prefix);
  for (;;) {
    const pod = findPod(dataDir, id);
    if (pod.state !== 'running' && pod.state !== 'preparing') return;
    if (monotonicMs() >= deadline) throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} is still ${pod.state}`);
    sleepMs(20);
  }
}

/** @throws ERR_POD_STATE */
export function requireRunning(pod: PodEntry): void {
  if (pod.state !== 'running') throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} is ${pod.state}, not running`);
}

/** The app to go into: `wanted`, or the only one there is. @throws ERR_APP_NOT_FOUND listing them */
export function appToEnter(pod: PodInfo, wanted: string | undefined): string {
  const apps = pod.manifest?.apps.map((app) => app.name) ?? [];
  const app = wanted ?? (apps.length === 1 ? apps[0] : undefined);
  if (app !== undefined && apps.includes(app)) return app;
  const what = wanted === undefined ? `pod ${pod.id} has several apps: say which` : `pod ${pod.id} has no app ${wanted}`;
  throw new RuntimeError('ERR_APP_NOT_FOUND', what, { details: apps, hint: `--app=${apps[0] ?? 'NAME'}` });
}

/** The pod's manifest as it is on disk. @throws ERR_POD_MANIFEST */
export function manifestText(pod: PodEntry): string {
  const text = readText(podFiles(pod.dir).manifest);
  if (text === undefined) throw new RuntimeError('ERR_POD_MANIFEST', `pod ${pod.id} has no manifest: its run was cut short`);
  return text;
}
