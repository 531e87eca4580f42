/** A flavor that can do the least a flavor may: what stands on the contract must need no more. */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { actionsFor } from '../../../src/compose/actions.ts';
import { cniServices } from '../../../src/compose/cni.ts';
import { applySteps, undoAll } from '../../../src/effects/execute.ts';
import { Journal } from '../../../src/effects/journal.ts';
import type { PodId } from '../../../src/model/ids.ts';
import { stage1Version, type Stage1, type Stage1Pod } from '../../../src/stage1/contract.ts';
import { fitOf } from '../../../src/stage1/fit.ts';
import { podSteps } from '../../../src/stage0/prepare/steps.ts';

const calls: string[] = [];
const stub: Stage1 = {
  name: 'stub',
  version: stage1Version,
  capabilities: { maxApps: 2, contained: false, isolators: false },
  prepareApp: (_pod, app) => void calls.push(`prepare ${app.spec.name}`),
  mountRootfs: () => void calls.push('mount'),
  unmountRootfs: () => void calls.push('unmount'),
  launch: (_pod, lockFd) => {
    calls.push(`launch ${lockFd}`);
    throw new Error('this is as far as it goes');
  },
  kill: (_dir, pid) => void calls.push(`kill ${pid}`),
  stop: () => 'was not running',
};

test('a run is applied and undone through the contract alone, without enter, networks and control groups', () => {
  const dir = mkdtempSync('/tmp/rkt-stub-');
  try {
    const app = (name: string) => ({
      spec: { name, image: { name, id: '' }, app: { exec: ['/x'], user: '0', group: '0' } },
      image: undefined as never,
      layers: ['/'],
    });
    const pod = { id: 'x' as PodId, dir, apps: [app('a'), app('b')] } as unknown as Stage1Pod;
    const manifest = { acVersion: '0.8.11', acKind: 'PodManifest' as const, apps: pod.apps.map(({ spec }) => spec) };
    expect(fitOf(stub).networks([], [])).toEqual(['host']);
    expect(fitOf(stub).check(manifest)).toEqual([]);
    const actions = actionsFor({
      dataDir: dir,
      podDir: dir,
      cni: cniServices(undefined),
      flavor: stub,
      launching: { pod: () => pod, lockFd: 9, attached: () => [], release: () => undefined },
    });
    using journal = Journal.open(join(dir, 'journal'), 'boot');
    const steps = podSteps('x', manifest, { pid: 7, startTime: '1' }, stub.capabilities.isolators);
    expect(() => applySteps(steps, actions, journal, () => 0)).toThrow(/as far as it goes/);
    expect(calls).toEqual(['prepare a', 'prepare b', 'mount', 'launch 9', 'kill 7', 'unmount']);
    expect(undoAll(journal, actions)).toEqual([]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
