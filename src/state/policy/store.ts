/**
 * Which running pods have which labels, and which policies are in force: files below the data directory, read whole by whoever
 * computes the rules. One lock for all of it, and for the rules that are made of it.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, namesIn, readText, writeAtomic } from '../../host/files.ts';
import { lock, type Lock } from '../../host/flock.ts';
import type { PolicedPod } from '../../model/policy-member.ts';

const root = (dataDir: string): string => join(dataDir, 'policy');
const places = { pods: 'pods', applied: 'applied', bridges: 'bridges' } as const;
type Place = keyof typeof places;
const folder = (dataDir: string, place: Place): string => join(root(dataDir), places[place]);
const pathOf = (dataDir: string, place: Place, name: string): string => join(folder(dataDir, place), `${name}.json`);

/** Everything here is called with it. */
export function lockPolicies(dataDir: string): Lock {
  makeDirectory(root(dataDir));
  return lock(join(root(dataDir), 'lock'), 'exclusive', { create: true });
}

function write(dataDir: string, place: Place, name: string, text: string): void {
  makeDirectory(folder(dataDir, place));
  writeAtomic(pathOf(dataDir, place, name), text, { soleWriter: true });
}
const remove = (dataDir: string, place: Place, name: string): void => rmSync(pathOf(dataDir, place, name), { force: true });
const read = (dataDir: string, place: Place): { readonly name: string; readonly text: string }[] =>
  namesIn(folder(dataDir, place)).flatMap((file) => {
    const name = /^([^.].*)\.json$/.exec(file)?.[1];
    const text = name === undefined ? undefined : readText(pathOf(dataDir, place, name));
    return name === undefined || text === undefined ? [] : [{ name, text }];
  });

/** In the order in which they came. */
export const policedPods = (dataDir: string): PolicedPod[] =>
  read(dataDir, 'pods')
    .map(({ text }) => JSON.parse(text) as PolicedPod)
    .sort((a, b) => a.ordinal - b.ordinal);
export const writePolicedPod = (dataDir: string, pod: PolicedPod): void => write(dataDir, 'pods', pod.id, JSON.stringify(pod));
export const removePolicedPod = (dataDir: string, id: string): void => remove(dataDir, 'pods', id);
/** Without the lock: whether the pod of that id is kept here. */
export const isPoliced = (dataDir: string, id: string): boolean => readText(pathOf(dataDir, 'pods', id)) !== undefined;

/** What `net policy apply` put in force, by the name it was filed under. */
export const appliedTexts = (dataDir: string): { readonly name: string; readonly text: string }[] => read(dataDir, 'applied');
export const writeApplied = (dataDir: string, name: string, text: string): void => write(dataDir, 'applied', name, text);
export const removeApplied = (dataDir: string, name: string): void => remove(dataDir, 'applied', name);

/** A bridge whose settings were changed, with what they were. */
export interface ChangedBridge {
  readonly name: string;
  /** sysctl → value before */
  readonly before: Readonly<Record<string, string>>;
}
export const changedBridges = (dataDir: string): ChangedBridge[] => read(dataDir, 'bridges').map(({ text }) => JSON.parse(text) as ChangedBridge);
export const writeChangedBridge = (dataDir: string, bridge: ChangedBridge): void => write(dataDir, 'bridges', bridge.name, JSON.stringify(bridge));
export const forgetChangedBridge = (dataDir: string, name: string): void => remove(dataDir, 'bridges', name);
