/** The pod's directory: what a pod is made of, on disk before anything outside it is touched. @see rkt.md 2.2 */
import { rmSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Journal } from '../../effects/journal.ts';
import { makeDirectory, writeAtomic } from '../../host/files.ts';
import { lock } from '../../host/flock.ts';
import { RuntimeError, diskHint, messageOf } from '../../model/errors.ts';
import type { PodId } from '../../model/ids.ts';
import type { NetInfo } from '../../model/net-info.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { NetPlan } from '../../model/plan.ts';
import type { PodManifest } from '../../model/pod.ts';
import { createPod, ensurePhases, move, refuseTakenName, type HeldPod } from '../../state/pod/lifecycle.ts';
import { namesPath, podFiles } from '../../state/pod/layout.ts';

/** rkt writes the UUID before anything else, so that `rm --uuid-file` finds what a failed run left. @throws ERR_POD_IO */
export function writeUuidFile(path: string, id: PodId): void {
  try {
    writeAtomic(path, `${id}\n`, { mode: 0o644 });
  } catch (cause) {
    throw new RuntimeError('ERR_POD_IO', `cannot write the UUID file: ${messageOf(cause)}`, { cause, ...diskHint(cause) });
  }
}

/** What a pod's directory holds from the beginning. */
export interface PodContent {
  readonly manifest: PodManifest;
  readonly images: readonly StoredImage[];
  readonly plan: NetPlan;
  readonly name: string | undefined;
  /** name of the flavor it is for */
  readonly flavor: string;
}

/**
 * Makes the pod and moves it to `run`, locked. The journal's first sync puts all of it on the platter.
 * A failure in here leaves no directory. @throws ERR_POD_IO, ERR_POD_NAME when somebody was faster
 */
export function makePodDirectory(dataDir: string, id: PodId, { manifest, images, plan, name, flavor }: PodContent): HeldPod {
  if (name !== undefined) ensurePhases(dataDir);
  using naming = name === undefined ? undefined : lock(namesPath(dataDir), 'exclusive');
  void naming;
  if (name !== undefined) refuseTakenName(dataDir, name);
  const pod = attempt(`cannot make the directory of pod ${id} in ${dataDir}`, () => createPod(dataDir, id));
  try {
    const files = podFiles(pod.dir);
    if (name !== undefined) writeAtomic(files.name, `${name}\n`);
    symlinkSync(flavor, files.flavor);
    writeAtomic(files.manifest, JSON.stringify(manifest));
    for (const [i, app] of manifest.apps.entries()) {
      makeDirectory(dirname(files.image(app.name)));
      writeAtomic(files.image(app.name), JSON.stringify(images[i]));
    }
    makeDirectory(dirname(files.netPlan));
    writeAtomic(files.netPlan, JSON.stringify(plan));
    // Here, so that a disk without an inode for it is found while nothing has to be undone.
    writeAtomic(files.journal, '');
    move(pod, dataDir, 'run');
    return pod;
  } catch (cause) {
    rmSync(pod.dir, { recursive: true, force: true });
    pod.lock.release();
    throw ioError(`cannot write the directory of pod ${id}`, cause);
  }
}

/** What the pod got, for `list`, `status` and other programs. @throws ERR_POD_IO */
export const writeNetInfo = (path: string, networks: readonly NetInfo[]): void =>
  attempt(`cannot write ${path}`, () => writeAtomic(path, JSON.stringify(networks)));

/** After a failed run: the directory goes when nothing of the pod is left; else gc finds the journal in it. */
export function discardFailedPod(pod: HeldPod, journal: Journal): void {
  if (journal.entries.every((entry) => entry.undone)) rmSync(pod.dir, { recursive: true, force: true });
  pod.lock.release();
}

function attempt<T>(what: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    throw ioError(what, cause);
  }
}

const ioError = (what: string, cause: unknown): RuntimeError =>
  new RuntimeError('ERR_POD_IO', `${what}: ${messageOf(cause)}`, { cause, hint: 'is the data directory writable?', ...diskHint(cause) });
