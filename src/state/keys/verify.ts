/** Is an image signed by somebody who is trusted for its name? */
import { isIdentifier } from '../../model/aci-name.ts';
import { RuntimeError, printable } from '../../model/errors.ts';
import { OpenPgpError } from './armor.ts';
import { judgeSignatures, type Judgement } from './gpgv.ts';
import { prefixesTrusting, trustedKeysFor, type TrustedKeys } from './keystore.ts';
import type { KeySettings } from './layout.ts';
import { fingerprintText, readDetachedSignature, type PublicKey } from './openpgp.ts';

/** Who signed. */
export interface SignedBy {
  /** of the primary key, lower-case hex */
  readonly fingerprint: string;
  readonly userIds: readonly string[];
  /** the file that makes the key trusted */
  readonly path: string;
}

/**
 * Checks the detached `signature` (armored or not) of the file at `path` against the keys that are trusted for `name`, an ACI's name
 * without its version and labels. One good signature of such a key will do; a wrong one by such a key spoils the others.
 * @throws ERR_SIGNATURE_REFUSED; ERR_TRUST_KEY when the keystore cannot be read; ERR_HOST_PROGRAM_MISSING without gpgv
 */
export function verifyImageSignature(path: string, signature: Uint8Array, name: string, settings: KeySettings): SignedBy {
  const refuse = (what: string, context: { hint?: string; details?: readonly string[] } = {}): RuntimeError =>
    new RuntimeError('ERR_SIGNATURE_REFUSED', `the signature of ${printable(name)} ${what}`, context);
  if (!isIdentifier(name)) throw refuse('cannot count: that is no name of an image');
  let packets: Uint8Array;
  try {
    packets = readDetachedSignature(signature);
  } catch (error) {
    if (!(error instanceof OpenPgpError)) throw error;
    throw refuse(error.message);
  }
  const keys = trustedKeysFor(settings, name);
  const { judgements, said } = judgeSignatures(
    path,
    packets,
    keys.trusted.map(({ key }) => key.packets),
  );
  const worst = judgements.find(({ kind }) => kind !== 'good' && kind !== 'unknown-key');
  const good = judgements.find((judgement) => judgement.kind === 'good');
  const signer = keys.trusted.find(({ key }) => key.fingerprint === good?.primary);
  if (worst === undefined && signer !== undefined) return { fingerprint: signer.key.fingerprint, userIds: signer.key.userIds, path: signer.path };
  const unknown = judgements.find((judgement) => judgement.kind === 'unknown-key');
  if (worst !== undefined) throw refuse(...whatIsWrong(worst, keys));
  if (unknown !== undefined) throw refuse(...whoseIsIt(unknown.keyId, name, keys, settings));
  throw refuse(`cannot be checked${said === '' ? '' : `: ${said}`}`, { details: keys.unusable });
}

function whatIsWrong({ kind, ...judgement }: Judgement, keys: TrustedKeys): [string, { hint?: string }] {
  const keyId = 'keyId' in judgement ? judgement.keyId : '';
  const signer = keys.trusted.find(({ key }) => belongs(key, keyId));
  const who =
    signer === undefined ? `key ${keyId}` : `${signer.key.userIds.map((id) => printable(id))[0] ?? 'a nameless key'} (${signer.key.fingerprint})`;
  switch (kind) {
    case 'bad':
      return [
        `by ${who} is wrong: this is not the file that was signed`,
        { hint: 'download it again; if that does not help, somebody has changed it' },
      ];
    case 'expired-signature':
      return [`by ${who} has expired`, { hint: 'the image has to be signed again' }];
    case 'expired-key':
      return [`is by ${who}, and that key has expired`, { hint: 'when its owner has prolonged it, rkt trust takes the key anew' }];
    case 'revoked-key':
      return [`is by ${who}, and that key was revoked by its owner`, {}];
    default:
      return [`by ${who} cannot be checked: gpgv does not know its algorithm, the key may not sign, or it signs text and not a file`, {}];
  }
}

/** Key ids and fingerprints end alike (version 4) or begin alike (6). */
const belongs = (key: PublicKey, id: string): boolean =>
  id !== '' && [key.fingerprint, ...key.subkeys].some((one) => one.endsWith(id) || one.startsWith(id));

function whoseIsIt(keyId: string, name: string, keys: TrustedKeys, settings: KeySettings): [string, { hint: string; details: readonly string[] }] {
  const shown = keyId.length >= 40 ? fingerprintText(keyId) : keyId.toUpperCase();
  const trust = `rkt trust --prefix=${name} takes a key, once you know whose it is`;
  const mask = keys.masked.find(({ fingerprint }) => fingerprint.endsWith(keyId));
  if (mask !== undefined)
    return [`is by key ${shown}, which ${mask.path} masks`, { hint: 'remove that file to trust the key again', details: keys.unusable }];
  const elsewhere = prefixesTrusting(settings, (key) => belongs(key, keyId)).filter((prefix) => prefix !== undefined);
  const where = elsewhere.length === 0 ? '' : `; it is trusted for ${elsewhere.join(', ')} only`;
  return [`is by key ${shown}, which is not trusted for that name${where}`, { hint: trust, details: keys.unusable }];
}
