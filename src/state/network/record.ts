/**
 * Networks rkt has attached pods to: what gc needs to clear away the objects their pods share. The record is
 * written before the first attachment and forgotten when the network's gc found nothing in use.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, readText, writeAtomic } from '../../host/files.ts';
import { lock, tryLock, type Lock } from '../../host/flock.ts';
import { isErrno } from '../../model/errors.ts';
import type { PlannedNetwork } from '../../model/plan.ts';

const directory = (dataDir: string): string => join(dataDir, 'networks');
const recordPath = (dataDir: string, network: string): string => join(directory(dataDir), `${network}.json`);
const lockPath = (dataDir: string, network: string): string => join(directory(dataDir), `${network}.lock`);

/** Shared by attach and detach; several pods may come and go at once (CNI R3). */
export function lockNetwork(dataDir: string, network: string): Lock {
  makeDirectory(directory(dataDir));
  return lock(lockPath(dataDir, network), 'shared', { create: true });
}
/** Exclusive, for gc; undefined while anybody attaches or detaches. */
export const tryLockNetwork = (dataDir: string, network: string): Lock | undefined => tryLock(lockPath(dataDir, network), 'exclusive', { create: true });

/** Call with the network locked. */
export function recordNetwork(dataDir: string, network: PlannedNetwork): void {
  const text = JSON.stringify(network);
  if (readText(recordPath(dataDir, network.name)) !== text) writeAtomic(recordPath(dataDir, network.name), text);
}
export const forgetNetwork = (dataDir: string, network: string): void => rmSync(recordPath(dataDir, network), { force: true });

export function recordedNetworks(dataDir: string): PlannedNetwork[] {
  let names: string[];
  try {
    names = readdirSync(directory(dataDir)).filter((name) => name.endsWith('.json')).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
  return names.flatMap((name) => {
    const text = readText(join(directory(dataDir), name));
    return text === undefined ? [] : [JSON.parse(text) as PlannedNetwork];
  });
}
