/**
 * What an attachment's settings were before ADD: `<dataDir>/<containerId>_<ifName>.json`, in the reference's format and with more
 * of our own below `rkt`. Written before anything is changed; gone with DEL.
 */
import { join } from 'node:path';
import { makeDirectory, namesIn, readText, removeAtomic, writeAtomic } from '../../src/host/files.ts';
import type { AttachmentKey } from '../../src/model/ruleset.ts';
import { isObject, knownKey } from '../skel/conf.ts';
import type { Attributes } from './conf.ts';

/** A kernel setting as it was, and as ADD set it. */
export interface ChangedSetting {
  readonly path: string;
  readonly before: string;
  readonly set: string;
}
export interface Saved {
  readonly attributes: Attributes;
  readonly settings: readonly ChangedSetting[];
  /** undefined in files of the reference */
  readonly owner: AttachmentKey | undefined;
}

const fileOf = (dataDir: string, { containerId, ifName }: AttachmentKey): string => join(dataDir, `${containerId}_${ifName}.json`);

/** @throws Node's errors */
export function save(dataDir: string, key: AttachmentKey, { attributes, settings }: Omit<Saved, 'owner'>): void {
  makeDirectory(dataDir, 0o700);
  const text = JSON.stringify({ ...attributes, rkt: { ...key, sysctl: settings } }, undefined, 1);
  writeAtomic(fileOf(dataDir, key), text, { mode: 0o600, soleWriter: true });
}
/** Idempotent. */
export const forget = (dataDir: string, key: AttachmentKey): void => removeAtomic(fileOf(dataDir, key));

/** Undefined when nothing was saved for this attachment. @throws SyntaxError when the file is damaged */
export function saved(dataDir: string, key: AttachmentKey): Saved | undefined {
  const text = readText(fileOf(dataDir, key));
  const found = text === undefined ? undefined : decode(text);
  // Names are joined by a character that both may hold: the file of `a_b`,`c` is also that of `a`,`b_c`.
  return found?.owner === undefined || (found.owner.containerId === key.containerId && found.owner.ifName === key.ifName) ? found : undefined;
}
/** Whose the file of `key` is, when it is somebody else's. */
export function otherOwner(dataDir: string, key: AttachmentKey): AttachmentKey | undefined {
  const text = readText(fileOf(dataDir, key));
  const owner = text === undefined ? undefined : ownerOf(text);
  return owner === undefined || (owner.containerId === key.containerId && owner.ifName === key.ifName) ? undefined : owner;
}

/** Attachments of `network` for which something is saved. */
export function savedOf(dataDir: string, network: string): AttachmentKey[] {
  return filesIn(dataDir).flatMap((name) => {
    const owner = ownerOf(readText(join(dataDir, name)) ?? '');
    return owner?.network === network ? [owner] : [];
  });
}
const filesIn = (dataDir: string): string[] => namesIn(dataDir).filter((name) => name.endsWith('.json'));

/** A file that is damaged is nobody's. */
function ownerOf(text: string): AttachmentKey | undefined {
  try {
    return decode(text).owner;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
function decode(text: string): Saved {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new SyntaxError('not an object');
  const own = value['rkt'];
  const typed = <T>(key: string, is: (found: unknown) => found is T): T | undefined => {
    const found = knownKey(value, key);
    return is(found) ? found : undefined;
  };
  return {
    attributes: {
      mac: typed('mac', isText),
      promisc: typed('promisc', isFlag),
      mtu: typed('mtu', isNumber),
      allmulti: typed('allmulti', isFlag),
      txQLen: typed('txQLen', isNumber),
    },
    settings: isObject(own) && Array.isArray(own['sysctl']) ? own['sysctl'].filter(isChanged) : [],
    owner: isObject(own) && isOwner(own) ? { network: own.network, containerId: own.containerId, ifName: own.ifName } : undefined,
  };
}
const isText = (value: unknown): value is string => typeof value === 'string';
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean';
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0;
const isOwner = (value: object): value is AttachmentKey =>
  (['network', 'containerId', 'ifName'] as const).every((key) => typeof (value as Partial<AttachmentKey>)[key] === 'string');
const isChanged = (value: unknown): value is ChangedSetting => isObject(value) && ['path', 'before', 'set'].every((key) => isText(value[key]));
