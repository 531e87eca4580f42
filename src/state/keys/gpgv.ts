/** gpgv, asked about one detached signature. What its status lines say counts, never its exit status alone. @see gpgv(1); GnuPG doc/DETAILS */
import { memoryFile } from '../../host/memory-file.ts';
import { findProgram, runProgram } from '../../host/run-program.ts';
import { RuntimeError, printable } from '../../model/errors.ts';

/** One signature of the file, as gpgv judges it. */
export type Judgement =
  /** `primary`: fingerprint of the key that answers for the signing (sub)key */
  | { readonly kind: 'good'; readonly primary: string; readonly signer: string }
  | { readonly kind: 'unknown-key'; readonly keyId: string }
  | { readonly kind: 'bad' | 'expired-signature' | 'expired-key' | 'revoked-key' | 'unusable'; readonly keyId: string };

/** Hashing some gigabytes from a slow disk. */
const timeoutMs = 30 * 60_000;
/** Versions of GnuPG differ: these say that a signature as such is right, and only together with VALIDSIG. */
const outcomes: Readonly<Record<string, Exclude<Judgement['kind'], 'unknown-key'>>> = {
  GOODSIG: 'good',
  BADSIG: 'bad',
  EXPSIG: 'expired-signature',
  EXPKEYSIG: 'expired-key',
  REVKEYSIG: 'revoked-key',
};

/**
 * Checks the detached `signature` of the file at `path` by `keys` (packets of public keys, without armor).
 * @returns a judgement a signature; none when gpgv could not even begin to judge
 * @throws ERR_HOST_PROGRAM_MISSING, ERR_INTERRUPTED, ERR_SIGNATURE_REFUSED when gpgv does not come to an end
 */
export function judgeSignatures(
  path: string,
  signature: Uint8Array,
  keys: readonly Uint8Array[],
): { readonly judgements: Judgement[]; readonly said: string } {
  const program = findProgram('gpgv');
  if (program === undefined)
    throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', 'gpgv is not installed, and signatures are checked with it', { hint: 'apt install gpgv' });
  using keyring = memoryFile('keyring', Buffer.concat(keys));
  using signed = memoryFile('signature', signature);
  const outcome = runProgram({
    path: program,
    argv: ['gpgv', '--homedir', '/nonexistent', '--quiet', '--status-fd', '1', '--keyring', keyring.path, '--', signed.path, path],
    env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
    timeoutMs,
    maxBytes: 1 << 20,
  });
  if (outcome.kind === 'not-started') throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', `${program} could not be started: ${outcome.reason}`);
  if (outcome.kind === 'interrupted') throw new RuntimeError('ERR_INTERRUPTED', 'a signal arrived while a signature was checked');
  if (outcome.kind !== 'exited' || outcome.truncated)
    throw new RuntimeError('ERR_SIGNATURE_REFUSED', `gpgv did not come to an end (${outcome.kind})`);
  const said = printable(outcome.stderr.toString()).trim().split('\n').at(-1) ?? '';
  return { judgements: judgementsOf(outcome.stdout.toString()), said };
}

/** Status lines → judgements, one a NEWSIG. A signature is good only if GOODSIG and VALIDSIG both say so and nothing else contradicts. Exported for its test. */
export function judgementsOf(status: string): Judgement[] {
  const signatures: string[][][] = [];
  for (const line of status.split('\n')) {
    const words = /^\[GNUPG:\] (.*)$/.exec(line)?.[1]?.split(' ');
    if (words === undefined) continue;
    if (words[0] === 'NEWSIG') signatures.push([]);
    signatures.at(-1)?.push(words);
  }
  return signatures.map(judge);
}

function judge(lines: readonly (readonly string[])[]): Judgement {
  const said = (word: string): readonly string[] | undefined => lines.find(([first]) => first === word);
  const keyId = (lines.find(([word = '']) => Object.hasOwn(outcomes, word) || word === 'ERRSIG')?.[1] ?? '').toLowerCase();
  const verdicts = lines.flatMap(([word = '']) => (Object.hasOwn(outcomes, word) ? [outcomes[word]] : []));
  const [verdict] = verdicts;
  if (said('NO_PUBKEY') !== undefined) {
    // The last word of ERRSIG is the fingerprint, when the signature names it.
    const fingerprint = said('ERRSIG')?.at(7) ?? '-';
    return { kind: 'unknown-key', keyId: /^[0-9A-F]{40,64}$/.test(fingerprint) ? fingerprint.toLowerCase() : keyId };
  }
  const valid = said('VALIDSIG');
  if (verdicts.length !== 1 || verdict === undefined || said('ERRSIG') !== undefined) return { kind: 'unusable', keyId };
  if (verdict !== 'good') return { kind: verdict, keyId };
  const [signer, primary] = [valid?.[1]?.toLowerCase(), valid?.[10]?.toLowerCase()];
  // Class 01 signs text, whose line endings may be changed: not what an archive is signed by.
  return signer === undefined || primary === undefined || valid?.[9] !== '00' ? { kind: 'unusable', keyId } : { kind: 'good', signer, primary };
}
