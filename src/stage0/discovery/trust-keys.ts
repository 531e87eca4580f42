/** `rkt trust`: public keys are fetched, shown, and stored when their owner is believed. @see rkt.md 1.4 (trust) */
import { readFileSync, statSync } from 'node:fs';
import { now } from '../../host/clock.ts';
import { RuntimeError, isErrno, messageOf, printable } from '../../model/errors.ts';
import { OpenPgpError } from '../../state/keys/armor.ts';
import { maxKeyBytes, placeOf, storeKey, trustedKeysFor } from '../../state/keys/keystore.ts';
import type { KeySettings } from '../../state/keys/layout.ts';
import { fingerprintText, readPublicKeys, type PublicKey } from '../../state/keys/openpgp.ts';
import { authorizationFor } from '../http/authorization.ts';
import { shownUrl } from '../http/client.ts';
import { discoverKeys, type ServerAccess } from './discover.ts';

export interface TrustRequest {
  /** undefined: for every name */
  readonly prefix: string | undefined;
  /** paths and URLs */
  readonly locations: readonly string[];
  /** nobody is asked */
  readonly review: 'ask' | 'skip' | 'skip-https';
}

/** The person in front of it. */
export interface Reviewer {
  /** Throws when there is nobody to ask about the keys with these fingerprints; called before anything is stored. */
  requireAnswers(fingerprints: readonly string[]): void;
  /** false: no */
  confirm(): boolean;
  /** a line for a person */
  say(line: string): void;
  warn(line: string): void;
}

/** A key that counts from now on. */
export interface NewlyTrusted {
  readonly location: string;
  readonly prefix: string | undefined;
  readonly fingerprint: string;
  readonly subkeys: readonly string[];
  readonly userIds: readonly string[];
  /** the file that says so */
  readonly path: string;
}

interface FoundKeys {
  readonly location: string;
  readonly keys: readonly PublicKey[];
}

/**
 * All keys are fetched and read before the first is shown, so that a wrong location changes nothing.
 * @returns what is trusted now, and the locations that the person did not believe
 * @throws ERR_TRUST_KEY with every location that holds no key that could be trusted; ERR_HTTP_*
 */
export async function trustKeys(
  settings: KeySettings,
  { prefix, locations, review }: TrustRequest,
  access: ServerAccess,
  reviewer: Reviewer,
): Promise<{ readonly trusted: readonly NewlyTrusted[]; readonly refused: readonly string[] }> {
  const found: FoundKeys[] = [];
  const faults: string[] = [];
  for (const location of new Set(locations)) {
    const read = await keysAt(location, access);
    if (typeof read === 'string') faults.push(read);
    else found.push({ location, keys: read });
  }
  if (faults.length > 0)
    throw new RuntimeError('ERR_TRUST_KEY', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} public keys cannot be trusted`, {
      details: faults.length === 1 ? [] : faults,
    });
  const isReviewed = (location: string): boolean =>
    review === 'ask' || (review === 'skip-https' && !(access.isAuthentic && location.startsWith('https:')));
  const toReview = found
    .filter(({ location }) => isReviewed(location))
    .flatMap(({ keys }) => keys.map(({ fingerprint }) => fingerprintText(fingerprint)));
  if (toReview.length > 0) reviewer.requireAnswers(toReview);
  const refused: string[] = [];
  const trusted: NewlyTrusted[] = [];
  for (const { location, keys } of found) {
    keyLines(location, prefix, keys).forEach((line) => reviewer.say(line));
    if (isReviewed(location) && !reviewer.confirm()) {
      refused.push(location);
      continue;
    }
    const shown = JSON.stringify(printable(location));
    const scope = prefix === undefined ? 'for every name' : `for prefix ${JSON.stringify(prefix)}`;
    reviewer.say(`Trusting ${shown} ${scope} ${isReviewed(location) ? 'after' : 'without'} fingerprint review.`);
    for (const key of keys) {
      const { isMask, path } = placeOf(settings, prefix, key);
      if (isMask) reviewer.warn(`${path} masked this key; it does not any more`);
      const stored = storeKey(settings, prefix, key);
      const { fingerprint, subkeys, userIds } = key;
      trusted.push({ location, prefix, fingerprint, subkeys, userIds, path: stored });
      reviewer.say(
        prefix === undefined
          ? `Added root key at ${JSON.stringify(stored)}`
          : `Added key for prefix ${JSON.stringify(prefix)} at ${JSON.stringify(stored)}`,
      );
    }
  }
  return { trusted, refused };
}

/**
 * `--trust-keys-from-https`, in a fetch: the keys that the owner of `name` shows over https are trusted for it, nobody is asked. Keys that
 * somebody masked stay masked, and what anybody on the way could have sent is not taken. @returns a line a key that was not trusted before; ERR_DISCOVERY when there are none to be found
 */
export async function trustDiscoveredKeys(settings: KeySettings, name: string, access: ServerAccess): Promise<string[]> {
  if (!access.isAuthentic)
    return [`keys of ${printable(name)} are not trusted unseen: with --insecure-options=http or tls anybody could have sent them`];
  const lines: string[] = [];
  for (const location of (await discoverKeys(name, access)).filter((url) => url.startsWith('https:'))) {
    const keys = await keysAt(location, access);
    if (typeof keys === 'string') throw new RuntimeError('ERR_TRUST_KEY', keys);
    const known = trustedKeysFor(settings, name);
    const isKnown = ({ fingerprint }: PublicKey): boolean =>
      known.masked.some((mask) => mask.fingerprint === fingerprint) || known.trusted.some(({ key }) => key.fingerprint === fingerprint);
    for (const key of keys.filter((one) => !isKnown(one)))
      lines.push(`trusting key ${key.fingerprint} of ${printable(location)} for ${name}: ${storeKey(settings, name, key)}`);
  }
  return lines;
}

/** Fingerprints and names of the keys at a location, as they are shown before somebody decides. */
function keyLines(location: string, prefix: string | undefined, keys: readonly PublicKey[]): string[] {
  return [
    `Prefix: ${prefix === undefined ? '(root: every name)' : JSON.stringify(prefix)}`,
    `Key: ${JSON.stringify(printable(location))}`,
    ...keys.flatMap((key) => [
      `GPG key fingerprint is: ${fingerprintText(key.fingerprint)}`,
      ...key.subkeys.map((subkey) => `    Subkey fingerprint: ${fingerprintText(subkey)}`),
      ...key.userIds.map((id) => `  ${printable(id).replaceAll('\n', '\\n')}`),
      ...(key.expiresAt === undefined
        ? []
        : [`  ${key.expiresAt * 1000 < now().getTime() ? 'EXPIRED' : 'expires'} on ${new Date(key.expiresAt * 1000).toISOString().slice(0, 10)}`]),
    ]),
  ];
}

/** Keys of a file or URL; a string says why there are none. */
async function keysAt(location: string, access: ServerAccess): Promise<readonly PublicKey[] | string> {
  const name = printable(location);
  const bytes = /^https?:\/\//i.test(location) ? await download(location, access) : readKeyFile(location.replace(/^file:\/\//i, ''));
  if (typeof bytes === 'string') return bytes;
  try {
    const keys = readPublicKeys(bytes);
    const revoked = keys.filter(({ isRevoked }) => isRevoked).map(({ fingerprint }) => fingerprint);
    return revoked.length === 0 ? keys : `${name}: its owner revoked key ${revoked.join(', ')}`;
  } catch (error) {
    if (!(error instanceof OpenPgpError)) throw error;
    return `${name} ${error.message}`;
  }
}

function readKeyFile(path: string): Buffer | string {
  try {
    const status = statSync(path);
    if (!status.isFile()) return `${printable(path)} is not a file`;
    return status.size > maxKeyBytes ? `${printable(path)} is larger than ${maxKeyBytes} bytes: no public key is` : readFileSync(path);
  } catch (error) {
    return isErrno(error, 'ENOENT', 'ENOTDIR') ? `there is no file ${printable(path)}` : `${printable(path)} cannot be read: ${messageOf(error)}`;
  }
}

async function download(location: string, { http, credential, insecureHttp }: ServerAccess): Promise<Buffer | string> {
  if (!URL.canParse(location)) return `${printable(location)} is no URL`;
  const url = new URL(location);
  // This machine included: who answers there need not be the one who is meant.
  if (url.protocol === 'http:' && !insecureHttp)
    return `${shownUrl(url)} is not encrypted, and anybody on the way could put in another key (--insecure-allow-http takes it)`;
  const { status, body } = await http.document(url, {
    ...authorizationFor(credential(url.host), url, now()),
    insecure: { http: insecureHttp },
    maxBytes: maxKeyBytes,
  });
  return status === 200 ? body : `${shownUrl(url)} answers ${status}`;
}
