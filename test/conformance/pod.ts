/** A pod's network as the pipeline makes and unmakes it: steps, journal, undo. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { actionsFor } from '../../src/compose/actions.ts';
import { applySteps, undoAll, type Kept } from '../../src/effects/execute.ts';
import { Journal, type Entry } from '../../src/effects/journal.ts';
import { bootId } from '../../src/host/clock.ts';
import type { PlannedNetwork } from '../../src/model/plan.ts';
import { netnsPath, networkSteps } from '../../src/stage0/prepare/steps.ts';
import { ociFlavor } from '../../src/stage1/flavors/oci/flavor.ts';
import type { Bench } from './recorder.ts';

export const podId = '11111111-2222-3333-4444-555555555555';
export const podNetns = netnsPath(podId);

export class PodNetwork {
  readonly #bench: Bench;
  constructor(bench: Bench) {
    this.#bench = bench;
  }
  get #actions() {
    return actionsFor({ dataDir: this.#bench.dataDir, cni: this.#bench.services, flavor: ociFlavor });
  }
  get journalPath(): string {
    return join(this.#bench.dir, 'journal');
  }

  /** Joins the networks. @throws what the failing step threw, after the undo */
  join(...networks: PlannedNetwork[]): void {
    using journal = Journal.open(this.journalPath, bootId());
    applySteps(networkSteps(podId, { mode: 'contained', networks, warnings: [] }), this.#actions, journal, () => 0);
  }
  /** What gc, rm and recovery do. @param boot - another one: as after a reboot */
  leave(boot = bootId()): Kept[] {
    if (!existsSync(this.journalPath)) return [];
    using journal = Journal.open(this.journalPath, boot);
    return undoAll(journal, this.#actions);
  }
  entries(): readonly Entry[] {
    using journal = Journal.open(this.journalPath, bootId());
    return [...journal.entries];
  }
}
