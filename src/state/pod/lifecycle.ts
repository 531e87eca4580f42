/**
 * A pod's life: a directory and a lock, no daemon. The kernel drops the lock when its holder dies, so
 * "running" cannot go stale. Moves are rename(2): of two who try, one wins.
 *
 * | directory | locked | unlocked |
 * |---|---|---|
 * | embryo | – | embryo |
 * | prepare | preparing | aborted prepare |
 * | prepared | prepared | prepared |
 * | run | running | exited |
 * | exited-garbage | exited deleting | exited garbage |
 * | garbage | deleting | garbage |
 *
 * @see rkt.md 2.1
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, renameSync } from 'node:fs';
import { readText } from '../../host/files.ts';
import { isErrno } from '../../host/linux.ts';
import { lock, tryLock, tryLockNamed, type Lock } from '../../host/flock.ts';
import { RuntimeError, messageOf } from '../../model/errors.ts';
import { isPodId, isPodName, type PodId } from '../../model/ids.ts';
import type { PodState } from '../../model/pod.ts';
import { visiblePhases, phasePath, phases, podFiles, podPath, type Phase } from './layout.ts';

/** A pod that was found; its state may change the moment after. */
export interface PodEntry {
  readonly id: PodId;
  readonly phase: Phase;
  readonly dir: string;
  readonly state: PodState;
}

/** A pod this process holds: nobody else may change it until the lock is released. */
export interface HeldPod {
  readonly id: PodId;
  phase: Phase;
  dir: string;
  readonly lock: Lock;
}

/** The truth table above. */
export function stateOf(phase: Phase, locked: boolean): PodState {
  switch (phase) {
    case 'embryo':
      return 'embryo';
    case 'prepare':
      return locked ? 'preparing' : 'aborted prepare';
    case 'prepared':
      return 'prepared';
    case 'run':
      return locked ? 'running' : 'exited';
    case 'exited-garbage':
      return locked ? 'exited deleting' : 'exited garbage';
    case 'garbage':
      return locked ? 'deleting' : 'garbage';
  }
}

/** Makes the directories a pod can be in; the store's owner may already have. */
export function ensurePhases(dataDir: string): void {
  for (const phase of phases) mkdirSync(phasePath(dataDir, phase), { recursive: true, mode: 0o750 });
}

/** A new pod in `prepare`, locked. Until then a shared lock on embryo/ keeps gc's hands off it. */
export function createPod(dataDir: string, id: PodId): HeldPod {
  ensurePhases(dataDir);
  using nursery = lock(phasePath(dataDir, 'embryo'), 'shared');
  void nursery;
  const dir = podPath(dataDir, 'embryo', id);
  mkdirSync(dir, { mode: 0o750 });
  const pod: HeldPod = { id, phase: 'embryo', dir, lock: lock(dir, 'exclusive') };
  closeSync(openSync(podFiles(dir).created, 'w', 0o640));
  move(pod, dataDir, 'prepare');
  return pod;
}

/** Moves a held pod to another phase. The lock is on the directory itself, so it moves along. */
export function move(pod: HeldPod, dataDir: string, to: Phase): void {
  const target = podPath(dataDir, to, pod.id);
  renameSync(pod.dir, target);
  pod.phase = to;
  pod.dir = target;
}

/** Every pod in `among` whose UUID begins with `prefix`, each once; one that moves meanwhile is seen where it went, because phases are read in the order of life. */
export const listPods = (dataDir: string, among: readonly Phase[] = phases, prefix = ''): PodEntry[] =>
  collect(dataDir, among, (id) => id.startsWith(prefix));

function collect(dataDir: string, among: readonly Phase[], wants: (id: PodId, dir: string) => boolean): PodEntry[] {
  const found = new Map<string, PodEntry>();
  for (const phase of among) {
    for (const id of readNames(phasePath(dataDir, phase))) {
      if (!isPodId(id)) continue;
      const dir = podPath(dataDir, phase, id);
      if (!wants(id, dir)) continue;
      const locked = isLocked(dir);
      if (locked !== undefined) found.set(id, { id, phase, dir, state: stateOf(phase, locked) });
    }
  }
  return [...found.values()];
}

/** Its processes are gone; what it held need not be. */
export const hasEnded = ({ state }: Pick<PodEntry, 'state'>): boolean => state.startsWith('exited');

/** The name of the pod at `dir`; undefined when it has none. */
export const nameOf = (dir: string): string | undefined => {
  const path = podFiles(dir).name;
  // Most pods have none, and a file that is missing costs ten times as much to read as to look for.
  return existsSync(path) ? readText(path)?.trim() : undefined;
};

/** `pod UUID "NAME" (STATE)`: how a pod is told of that stands in somebody's way. */
export function podText({ id, dir, state }: Pick<PodEntry, 'id' | 'dir' | 'state'>): string {
  const name = nameOf(dir);
  return `pod ${id}${name === undefined ? '' : ` "${name}"`} (${state})`;
}

/** Phases in which a pod keeps its name for itself. */
const named: readonly Phase[] = ['prepare', 'prepared', 'run'];

/** @throws ERR_POD_NAME when `name` is not valid, or another pod has it */
export function refuseTakenName(dataDir: string, name: string): void {
  if (!isPodName(name)) {
    throw new RuntimeError('ERR_POD_NAME', `pod name ${JSON.stringify(name)} is not valid`, {
      hint: 'a pod name has 1 to 63 lower-case letters, digits and dashes, no dash at its ends, and is no UUID',
    });
  }
  const [holder] = collect(dataDir, named, (_id, dir) => nameOf(dir) === name);
  if (holder !== undefined) {
    throw new RuntimeError('ERR_POD_NAME', `pod name "${name}" is taken by pod ${holder.id}, which is ${holder.state}`, {
      hint: holder.state === 'exited' ? `rkt rm ${holder.id.slice(0, 8)} frees it` : 'choose another name',
    });
  }
}

/** The one pod of this name; of those gc has marked only when no other has it. */
function findNamed(dataDir: string, name: string, among: readonly Phase[]): PodEntry[] {
  const all = isPodName(name) ? collect(dataDir, among, (_id, dir) => nameOf(dir) === name) : [];
  const current = all.filter(({ phase }) => named.includes(phase));
  return current.length > 0 ? current : all;
}

/** The one pod of the name `prefix`, else the one whose UUID begins with it. @throws ERR_POD_NOT_FOUND, ERR_POD_AMBIGUOUS */
export function findPod(dataDir: string, prefix: string, among: readonly Phase[] = visiblePhases): PodEntry {
  if (prefix === '') throw new RuntimeError('ERR_POD_NOT_FOUND', 'UUID cannot be empty');
  const byName = findNamed(dataDir, prefix, among);
  const matches = byName.length > 0 ? byName : listPods(dataDir, among, prefix.toLowerCase());
  const [pod] = matches;
  if (pod === undefined)
    throw new RuntimeError('ERR_POD_NOT_FOUND', `no matches found for "${prefix}"`, { hint: 'rkt list shows the pods there are' });
  if (matches.length > 1) {
    throw new RuntimeError('ERR_POD_AMBIGUOUS', `ambiguous ${byName.length > 0 ? 'name' : 'uuid'} "${prefix}", ${matches.length} matches`, {
      details: matches.map((match) => match.id),
    });
  }
  return pod;
}

/** Looking at a pod holds it for an instant, which is no reason to leave it. */
const glanceMs = 50;

/** Takes a pod for changing; undefined when somebody holds it or changes its networks (see changes.ts), or it moved away meanwhile. */
export function holdPod(entry: PodEntry): HeldPod | undefined {
  const lock = tryLockNamed(entry.dir, 'exclusive', { patienceMs: glanceMs });
  if (typeof lock === 'string') return undefined;
  const changes = tryLockNamed(podFiles(entry.dir).changes, 'exclusive');
  if (changes === 'held') {
    lock.release();
    return undefined;
  }
  return { id: entry.id, phase: entry.phase, dir: entry.dir, lock: changes === 'gone' ? lock : bothOf(lock, changes) };
}

function bothOf(lock: Lock, other: Lock): Lock {
  const release = (): void => {
    other.release();
    lock.release();
  };
  return { fd: lock.fd, release, [Symbol.dispose]: release };
}

/** Whether somebody holds the pod at `dir`; undefined when it is gone. */
function isLocked(dir: string): boolean | undefined {
  try {
    const probe = tryLock(dir, 'shared');
    probe?.release();
    return probe === undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function readNames(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw new RuntimeError('ERR_POD_IO', `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: isErrno(error, 'EACCES') ? 'the data directory belongs to root: use sudo' : 'is --dir a data directory?',
    });
  }
}
