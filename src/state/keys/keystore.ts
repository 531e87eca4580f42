/** The keystore: whose signature counts for which names. @see rkt.md 2.16 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, readText, writeAtomic } from '../../host/files.ts';
import { RuntimeError, diskHint, isErrno, messageOf } from '../../model/errors.ts';
import { OpenPgpError, armor } from './armor.ts';
import { directoriesFor, keyDirectory, type KeySettings } from './layout.ts';
import { readPublicKeys, type PublicKey } from './openpgp.ts';

/** Keys are a few kilobytes; with all the certifications of a well-known one, some hundred. */
export const maxKeyBytes = 4 << 20;

/** A key that counts for a name, and the file that says so. */
export interface TrustedKey {
  readonly path: string;
  readonly key: PublicKey;
}

export interface TrustedKeys {
  readonly trusted: readonly TrustedKey[];
  /** fingerprints that are trusted elsewhere, but masked for the name by an empty file */
  readonly masked: readonly { readonly fingerprint: string; readonly path: string }[];
  /** files of the name's directories that say nothing, and why */
  readonly unusable: readonly string[];
}

/** The keys whose signatures count for `name`. @throws ERR_TRUST_KEY when a directory cannot be read: a mask in it would not be seen */
export function trustedKeysFor(settings: KeySettings, name: string): TrustedKeys {
  const trusted = new Map<string, TrustedKey>();
  const masked = new Map<string, string>();
  const unusable: string[] = [];
  for (const directory of directoriesFor(settings, name)) {
    for (const { fingerprint, path, bytes } of keyFiles(directory)) {
      // Whatever was said about the key before, this file is what counts now, even when it cannot be used.
      trusted.delete(fingerprint);
      masked.delete(fingerprint);
      if (bytes.length === 0) masked.set(fingerprint, path);
      else {
        const read = readKeyFile(path, fingerprint, bytes);
        if (typeof read === 'string') unusable.push(read);
        else trusted.set(fingerprint, read);
      }
    }
  }
  return { trusted: [...trusted.values()], masked: [...masked].map(([fingerprint, path]) => ({ fingerprint, path })), unusable };
}

function readKeyFile(path: string, fingerprint: string, bytes: Uint8Array): TrustedKey | string {
  try {
    const keys = readPublicKeys(bytes);
    const [key] = keys;
    if (key === undefined || keys.length > 1) return `${path} holds ${keys.length} keys; a file is trusted for the one key it is named by`;
    return key.fingerprint === fingerprint ? { path, key } : `${path} holds another key, ${key.fingerprint}`;
  } catch (error) {
    if (!(error instanceof OpenPgpError)) throw error;
    return `${path} ${error.message}`;
  }
}

function* keyFiles(directory: string): Generator<{ readonly fingerprint: string; readonly path: string; readonly bytes: Uint8Array }> {
  try {
    for (const name of readdirSync(directory).sort()) {
      // 40 digits, or 64 of newer keys; what is named otherwise is a deeper prefix, or nobody's.
      const fingerprint = name.toLowerCase();
      if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(fingerprint)) continue;
      const path = join(directory, name);
      const status = statSync(path, { throwIfNoEntry: false });
      // A link to nowhere and a link to /dev/null are masks as well.
      if (status === undefined || status.isCharacterDevice()) yield { fingerprint, path, bytes: new Uint8Array() };
      else if (status.isFile()) yield { fingerprint, path, bytes: status.size > maxKeyBytes ? Buffer.from('too large') : readFileSync(path) };
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return;
    throw new RuntimeError('ERR_TRUST_KEY', `trusted keys in ${directory} cannot be read: ${messageOf(error)}`, {
      cause: error,
      ...(isErrno(error, 'EACCES') ? { hint: 'run as root, or as a member of the group that owns it' } : {}),
    });
  }
}

/** Where, besides what counts for a name, a key lies: prefixes, `undefined` for root. For hints; what cannot be read is left out. */
export function prefixesTrusting({ systemConfig, localConfig }: KeySettings, isWanted: (key: PublicKey) => boolean): (string | undefined)[] {
  const found: (string | undefined)[] = [];
  for (const config of new Set([systemConfig, localConfig])) {
    for (const prefix of [undefined, ...prefixesBelow(keyDirectory(config, ''))]) {
      for (const { path, fingerprint, bytes } of keyFiles(keyDirectory(config, prefix))) {
        const read = bytes.length === 0 ? '' : readKeyFile(path, fingerprint, bytes);
        if (typeof read !== 'string' && isWanted(read.key) && !found.includes(prefix)) found.push(prefix);
      }
    }
  }
  return found;
}

function prefixesBelow(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) =>
        join(entry.parentPath, entry.name)
          .slice(directory.length + 1)
          .replace(/^\/+/, ''),
      )
      .sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return [];
    throw error;
  }
}

/** The file a key would be stored in, and what is there now. */
export function placeOf(
  { localConfig }: KeySettings,
  prefix: string | undefined,
  key: PublicKey,
): { readonly path: string; readonly isMask: boolean; readonly isThere: boolean } {
  const path = join(keyDirectory(localConfig, prefix), key.fingerprint);
  const text = readText(path);
  return { path, isMask: text === '', isThere: text !== undefined && text !== '' };
}

/** Trusts a key; one that is there already is replaced (it may have got a later expiry). @returns its path. @throws ERR_TRUST_KEY */
export function storeKey(settings: KeySettings, prefix: string | undefined, key: PublicKey): string {
  const { path } = placeOf(settings, prefix, key);
  try {
    makeDirectory(keyDirectory(settings.localConfig, prefix), 0o755);
    writeAtomic(path, armor(key.packets, 'PUBLIC KEY BLOCK'), { mode: 0o644, durable: true });
    return path;
  } catch (error) {
    throw new RuntimeError('ERR_TRUST_KEY', `cannot store key ${key.fingerprint}: ${messageOf(error)}`, {
      cause: error,
      ...diskHint(error),
      ...(isErrno(error, 'EACCES', 'EPERM') ? { hint: `is ${settings.localConfig} writable? It takes root, or --local-config=DIR` } : {}),
    });
  }
}
