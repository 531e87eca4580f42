/**
 * Networks rkt has attached pods to: what gc needs to clear away the objects their pods share. The record is
 * written before the first attachment and forgotten when the network's gc found nothing in use.
 */
import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, namesIn, readText, writeAtomic } from '../../host/files.ts';
import { lock, tryLock, type Lock } from '../../host/flock.ts';
import type { PlannedNetwork } from '../../model/plan.ts';

const directory = (dataDir: string): string => join(dataDir, 'networks');
const recordPath = (dataDir: string, network: string): string => join(directory(dataDir), `${network}.json`);
const lockPath = (dataDir: string, network: string): string => join(directory(dataDir), `${network}.lock`);

/** Shared by attach and detach; several pods may come and go at once (CNI R3). */
export function lockNetwork(dataDir: string, network: string): Lock {
  makeDirectory(directory(dataDir));
  return lock(lockPath(dataDir, network), 'shared', { create: true });
}
/**
 * Exclusive, for gc; undefined while anybody attaches or detaches. A gc that was killed may have left a link deletion that
 * holds the lock until the kernel is done (some 50 ms): that much is waited for.
 */
export function tryLockNetwork(dataDir: string, network: string): Lock | undefined {
  makeDirectory(directory(dataDir));
  return tryLock(lockPath(dataDir, network), 'exclusive', { create: true, patienceMs: deletionMs });
}
const deletionMs = 500;

/** A network that pods of ours have, or had, attachments to. */
export interface NetworkRecord {
  readonly network: PlannedNetwork;
  /** gc has sent what clears it, and has yet to see that it is clear */
  readonly cleared: boolean;
}
const clearedSuffix = '.cleared.json';

/** Call with the network locked. */
export function recordNetwork(dataDir: string, network: PlannedNetwork): void {
  const path = recordPath(dataDir, network.name);
  const text = JSON.stringify(network);
  if (readText(path) === text) return;
  writeAtomic(path, text);
  forgetNetwork(dataDir, { network, cleared: true });
}

const pathOf = (dataDir: string, { network, cleared }: NetworkRecord): string =>
  cleared ? join(directory(dataDir), `${network.name}${clearedSuffix}`) : recordPath(dataDir, network.name);
/** The next gc looks once more, because clearing goes on when the command that sent it has ended. */
export const markCleared = (dataDir: string, record: NetworkRecord): void =>
  renameSync(pathOf(dataDir, record), pathOf(dataDir, { ...record, cleared: true }));
export const forgetNetwork = (dataDir: string, record: NetworkRecord): void => rmSync(pathOf(dataDir, record), { force: true });

const filesOf = (dataDir: string): string[] => namesIn(directory(dataDir));

/** Removes records that a killed process was still writing. Those of a network that somebody uses at this moment stay for the next time. */
export function sweepHalfRecords(dataDir: string): void {
  for (const name of filesOf(dataDir)) {
    const [, network] = /^\.(.+)\.json\.\d+\.tmp$/.exec(name) ?? [];
    if (network === undefined) continue;
    using held = tryLockNetwork(dataDir, network);
    if (held !== undefined) rmSync(join(directory(dataDir), name), { force: true });
  }
}

export function recordedNetworks(dataDir: string): NetworkRecord[] {
  const names = filesOf(dataDir).filter((name) => name.endsWith('.json'));
  return names.flatMap((name) => {
    const text = readText(join(directory(dataDir), name));
    return text === undefined ? [] : [{ network: JSON.parse(text) as PlannedNetwork, cleared: name.endsWith(clearedSuffix) }];
  });
}
