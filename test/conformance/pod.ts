/** A pod's network as the pipeline makes and unmakes it: steps, journal, undo. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { actionsFor } from '../../src/compose/actions.ts';
import { applySteps, undoAll, type Kept } from '../../src/effects/execute.ts';
import { Journal } from '../../src/effects/journal.ts';
import { bootId } from '../../src/host/clock.ts';
import { makeDirectory } from '../../src/host/files.ts';
import type { PlannedNetwork } from '../../src/model/plan.ts';
import { netnsPath, networkSteps } from '../../src/stage0/prepare/steps.ts';
import { podFiles } from '../../src/state/pod/layout.ts';
import { ociFlavor } from '../../src/stage1/flavors/oci/flavor.ts';
import type { Bench } from './recorder.ts';

export const podId = '11111111-2222-3333-4444-555555555555';
export const podNetns = netnsPath(podId);

/** A pod without apps: only its network is looked at. */

export class PodNetwork {
  readonly #bench: Bench;
  constructor(bench: Bench) {
    this.#bench = bench;
  }
  get #actions() {
    return actionsFor({ dataDir: this.#bench.dataDir, podDir: this.dir, cni: this.#bench.services, flavor: ociFlavor });
  }
  /** as `rkt run` keeps it */
  get dir(): string {
    return join(this.#bench.dataDir, 'pods/run', podId);
  }
  get journalPath(): string {
    return podFiles(this.dir).journal;
  }

  /** Joins the networks. @throws what the failing step threw, after the undo */
  join(...networks: PlannedNetwork[]): void {
    makeDirectory(this.dir);
    using journal = Journal.open(this.journalPath, bootId());
    applySteps(networkSteps(podId, { mode: 'contained', networks, warnings: [] }, []), this.#actions, journal, () => 0);
  }
  /** What gc, rm and recovery do. @param boot - another one: as after a reboot */
  leave(boot = bootId()): Kept[] {
    if (!existsSync(this.journalPath)) return [];
    using journal = Journal.open(this.journalPath, boot);
    return undoAll(journal, this.#actions);
  }
}
