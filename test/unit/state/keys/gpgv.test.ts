/** What gpgv's status lines mean; what real ones say is tested in netns/trust. */
import { expect, test } from 'vitest';
import { judgementsOf } from '../../../../src/state/keys/gpgv.ts';

const signer = 'A'.repeat(40);
const primary = 'B'.repeat(40);
const valid = `VALIDSIG ${signer} 2026-01-01 1767225600 0 4 0 22 8 00 ${primary}`;
const good = 'GOODSIG AAAAAAAAAAAAAAAA Alice';
const judged = (...lines: string[]) => judgementsOf(lines.map((line) => (line.startsWith('!') ? line.slice(1) : `[GNUPG:] ${line}`)).join('\n'));
const isGood = { kind: 'good', signer: signer.toLowerCase(), primary: primary.toLowerCase() };

test('good: GOODSIG and VALIDSIG in one signature', () => {
  expect(judged('NEWSIG', 'KEY_CONSIDERED X 0', good, valid)).toEqual([isGood]);
  expect(judged('NEWSIG', 'KEYEXPIRED 1', good, valid, 'SOMETHING_NEW x')).toEqual([isGood]);
});

test.each([
  ['no VALIDSIG', ['NEWSIG', good], 'unusable'],
  ['no GOODSIG', ['NEWSIG', valid], 'unusable'],
  ['a VALIDSIG without the primary key', ['NEWSIG', good, `VALIDSIG ${signer}`], 'unusable'],
  ['a signature of text', ['NEWSIG', good, valid.replace(' 00 ', ' 01 ')], 'unusable'],
  ['good and bad', ['NEWSIG', good, 'BADSIG AAAAAAAAAAAAAAAA Alice', valid], 'unusable'],
  ['good twice', ['NEWSIG', good, good, valid], 'unusable'],
  ['good and an error', ['NEWSIG', good, valid, 'ERRSIG AAAAAAAAAAAAAAAA 22 8 00 1 4'], 'unusable'],
  ['good, of no known key', ['NEWSIG', good, valid, 'NO_PUBKEY AAAAAAAAAAAAAAAA'], 'unknown-key'],
  ['nothing', ['NEWSIG'], 'unusable'],
  ['bad', ['NEWSIG', 'BADSIG AAAAAAAAAAAAAAAA Alice'], 'bad'],
  ['a name that is no outcome', ['NEWSIG', 'constructor AAAA', valid], 'unusable'],
])('%s', (_, lines, kind) => expect(judged(...lines).map((judgement) => judgement.kind)).toEqual([kind]));

test("each signature for itself; what comes before the first is nobody's", () => {
  expect(judged(good, valid)).toEqual([]);
  expect(judged(good, 'NEWSIG', valid).map(({ kind }) => kind)).toEqual(['unusable']);
  expect(judged('NEWSIG', good, 'NEWSIG', valid).map(({ kind }) => kind)).toEqual(['unusable', 'unusable']);
  expect(judged('NEWSIG', 'BADSIG A x', 'NEWSIG', good, valid).map(({ kind }) => kind)).toEqual(['bad', 'good']);
});

test('only whole status lines count', () => {
  expect(judged('NEWSIG', `! [GNUPG:] ${good}`, `!gpgv: [GNUPG:] ${good}`, valid).map(({ kind }) => kind)).toEqual(['unusable']);
});

test('the fingerprint of an unknown key, when the signature names it', () => {
  expect(judged('NEWSIG', `ERRSIG AAAAAAAAAAAAAAAA 22 8 00 1767225600 9 ${signer}`, 'NO_PUBKEY AAAAAAAAAAAAAAAA')).toEqual([
    { kind: 'unknown-key', keyId: signer.toLowerCase() },
  ]);
  expect(judged('NEWSIG', 'ERRSIG AAAAAAAAAAAAAAAA 22 8 00 1767225600 9 -', 'NO_PUBKEY AAAAAAAAAAAAAAAA')).toEqual([
    { kind: 'unknown-key', keyId: 'aaaaaaaaaaaaaaaa' },
  ]);
});
