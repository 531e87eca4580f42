/** CNI version strings and the answer to VERSION. @see cni.md V1-V13 */
import { isObject, knownKey } from './known-key.ts';
import { CniError, type CniVersion, cniCode, cniVersions } from './types.ts';

export type VersionNumbers = readonly [number, number, number];

/** One to three numbers separated by dots; '' means 0.1.0 (V5, V13). Undefined for anything else. */
export function parseVersion(text: string): VersionNumbers | undefined {
  if (text === '') return [0, 1, 0];
  if (!/^\d{1,9}(\.\d{1,9}){0,2}$/.test(text)) return undefined;
  const [major = 0, minor = 0, micro = 0] = text.split('.').map(Number);
  return [major, minor, micro];
}

/** Negative, zero or positive as `a` is older than, the same as, or newer than `b`; a version that is none is older than all. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parseVersion(a) ?? [-1, 0, 0], parseVersion(b) ?? [-1, 0, 0]];
  return left.map((part, i) => part - (right[i] ?? 0)).find((difference) => difference !== 0) ?? 0;
}
export const atLeast = (version: string, minimum: string): boolean => compareVersions(version, minimum) >= 0;
export const isCniVersion = (text: string): text is CniVersion => (cniVersions as readonly string[]).includes(text);

/**
 * Versions a plugin says it supports, from the decoded stdout of VERSION (V6, V10): without the list only 0.2.0 is a
 * known answer, from the time before there was one. Throws {@link CniError} 6.
 */
export function versionsOfReply(reply: unknown): readonly string[] {
  const current = isObject(reply) ? knownKey(reply, 'cniVersion') : undefined;
  if (!isObject(reply) || typeof current !== 'string' || current === '')
    throw new CniError(cniCode.decode, 'the answer to VERSION names no cniVersion');
  const list = knownKey(reply, 'supportedVersions');
  if (Array.isArray(list) && list.length > 0 && list.every((version) => typeof version === 'string')) return list;
  if (list === undefined && current === '0.2.0') return ['0.1.0', '0.2.0'];
  throw new CniError(cniCode.decode, 'the answer to VERSION has no list supportedVersions');
}
