/** Signatures of keys that gpg made, checked by gpgv against a keystore on disk. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isRuntimeError } from '../../../src/model/errors.ts';
import { storeKey, trustedKeysFor } from '../../../src/state/keys/keystore.ts';
import { readPublicKeys } from '../../../src/state/keys/openpgp.ts';
import { verifyImageSignature } from '../../../src/state/keys/verify.ts';
import { GpgHome } from '../../rig/gpg.ts';

const content = 'the image\n';
const name = 'example.com/team/app';
let gpg: GpgHome;
let alice = '';
let bob = '';
beforeAll(() => {
  gpg = new GpgHome();
  alice = gpg.key('Alice <alice@example.com>');
  bob = gpg.key('Bob <bob@example.com>');
});
afterAll(() => gpg[Symbol.dispose]());

let root = '';
let image = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rkt-keys-'));
  image = put('image', content);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, bytes: string | Uint8Array): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  return file;
}
const settings = () => ({ systemConfig: join(root, 'system'), localConfig: join(root, 'local') });
const trust = (fingerprint: string, where: string, armored = false) => put(`${where}/${fingerprint}`, gpg.publicKey(armored, fingerprint));

/** The fingerprint of who signed, or why it is refused. */
function verify(signature: Uint8Array, forName = name): string {
  try {
    return verifyImageSignature(image, signature, forName, settings()).fingerprint;
  } catch (error) {
    if (!isRuntimeError(error)) throw error;
    expect(error.code).toBe('ERR_SIGNATURE_REFUSED');
    return [error.message, ...error.details].join('\n').replaceAll(`${root}/`, '');
  }
}

describe('what counts', () => {
  test.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('key armored %s, signature armored %s', (keyArmored, armor) => {
    trust(alice, 'system/trustedkeys/root.d', keyArmored);
    expect(verify(gpg.sign(content, [alice], { armor }))).toBe(alice);
  });

  test('by a subkey', () => {
    const owner = gpg.key('Owner <owner@example.com>');
    const subkey = gpg.subkey(owner);
    trust(owner, 'local/trustedkeys/prefix.d/example.com');
    expect(verify(gpg.sign(content, [`${subkey}!`]))).toBe(owner);
  });

  test('an RSA key', () => {
    const rsa = gpg.key('Rsa <rsa@example.com>', { algorithm: 'rsa2048' });
    trust(rsa, 'local/trustedkeys/root.d', true);
    expect(verify(gpg.sign(content, [rsa], { args: ['--digest-algo', 'SHA512'] }))).toBe(rsa);
  });

  test('two signatures, one of them by nobody known', () => {
    trust(bob, 'local/trustedkeys/root.d');
    expect(verify(gpg.sign(content, [alice, bob]))).toBe(bob);
    expect(verify(Buffer.concat([gpg.sign(content, [bob]), gpg.sign(content, [alice])]))).toBe(bob);
  });

  test('the same file in many prefixes: the longest that is there', () => {
    for (const prefix of ['example.com', 'example.com/team', 'example.com/team/app']) {
      rmSync(join(root, 'local'), { recursive: true, force: true });
      trust(alice, `local/trustedkeys/prefix.d/${prefix}`);
      expect(verify(gpg.sign(content, [alice]))).toBe(alice);
    }
  });
});

describe('what does not', () => {
  const by = (who: string) => gpg.sign(content, [who]);
  const spaced = (fingerprint: string) =>
    `${(fingerprint.toUpperCase().match(/.{4}/g) ?? []).slice(0, 5).join(' ')}  ${(fingerprint.toUpperCase().match(/.{4}/g) ?? []).slice(5).join(' ')}`;
  const unknown = (who: string) => `the signature of ${name} is by key ${spaced(who)}, which is not trusted for that name`;

  test('no key at all; another key', () => {
    expect(verify(by(alice))).toBe(unknown(alice));
    trust(bob, 'local/trustedkeys/root.d');
    expect(verify(by(alice))).toBe(unknown(alice));
  });

  test('another prefix, even one that begins alike', () => {
    trust(alice, 'local/trustedkeys/prefix.d/example.com/team/ap');
    trust(alice, 'system/trustedkeys/prefix.d/example.org');
    expect(verify(by(alice))).toBe(`${unknown(alice)}; it is trusted for example.org, example.com/team/ap only`);
  });

  test.each([
    ['system/trustedkeys/root.d', 'local/trustedkeys/root.d'],
    ['system/trustedkeys/root.d', 'local/trustedkeys/prefix.d/example.com'],
    ['local/trustedkeys/root.d', 'system/trustedkeys/prefix.d/example.com/team'],
    ['system/trustedkeys/prefix.d/example.com/team', 'local/trustedkeys/prefix.d/example.com/team'],
  ])('a key of %s masked in %s', (there, mask) => {
    trust(alice, there);
    put(`${mask}/${alice}`, '');
    expect(verify(by(alice))).toBe(`the signature of ${name} is by key ${spaced(alice)}, which ${mask}/${alice} masks`);
  });

  test('a mask ends where a later directory trusts again, and does not touch other prefixes', () => {
    put(`system/trustedkeys/root.d/${alice}`, '');
    trust(alice, 'local/trustedkeys/prefix.d/example.com');
    expect(verify(by(alice))).toBe(alice);
    expect(trustedKeysFor(settings(), name).masked).toEqual([]);
    put(`local/trustedkeys/prefix.d/example.com/team/${alice}`, '');
    expect(verify(by(alice))).toContain('masks');
    expect(verify(by(alice), 'example.com/other')).toBe(alice);
  });

  test('a link to /dev/null and one to nowhere are masks', () => {
    trust(alice, 'system/trustedkeys/root.d');
    mkdirSync(join(root, 'local/trustedkeys/root.d'), { recursive: true });
    for (const target of ['/dev/null', 'nowhere']) {
      symlinkSync(target, join(root, 'local/trustedkeys/root.d', alice));
      expect(verify(by(alice))).toContain('masks');
      rmSync(join(root, 'local/trustedkeys/root.d', alice));
    }
  });

  test('another file', () => {
    trust(alice, 'local/trustedkeys/root.d');
    const signature = by(alice);
    writeFileSync(image, 'the image!\n');
    expect(verify(signature)).toBe(`the signature of ${name} by Alice <alice@example.com> (${alice}) is wrong: this is not the file that was signed`);
  });

  test('a right signature does not make up for a wrong one', () => {
    trust(alice, 'local/trustedkeys/root.d');
    trust(bob, 'local/trustedkeys/root.d');
    expect(verify(Buffer.concat([by(alice), gpg.sign('something else', [bob])]))).toContain('is wrong');
    expect(verify(Buffer.concat([gpg.sign('something else', [bob]), by(alice)]))).toContain('is wrong');
  });

  test('expired key, expired signature, revoked key: gpgv ends with 0 for the first two', () => {
    const old = gpg.key('Old <old@example.com>', { at: '20200101T000000', expires: 'seconds=86400' });
    trust(old, 'local/trustedkeys/root.d');
    expect(verify(gpg.sign(content, [old], { at: '20200101T010000' }))).toBe(
      `the signature of ${name} is by Old <old@example.com> (${old}), and that key has expired`,
    );
    const since = gpg.key('Since <since@example.com>', { at: '20200101T000000' });
    trust(since, 'local/trustedkeys/root.d');
    const short = gpg.sign(content, [since], { at: '20200102T000000', args: ['--default-sig-expire', 'seconds=60'] });
    expect(verify(short)).toBe(`the signature of ${name} by Since <since@example.com> (${since}) has expired`);
    const gone = gpg.key('Gone <gone@example.com>');
    const signature = by(gone);
    trust(gone, 'local/trustedkeys/root.d');
    expect(verify(signature)).toBe(gone);
    gpg.revoke(gone);
    trust(gone, 'local/trustedkeys/root.d');
    expect(verify(signature)).toBe(`the signature of ${name} is by Gone <gone@example.com> (${gone}), and that key was revoked by its owner`);
  });

  test('what is no detached signature', () => {
    trust(alice, 'local/trustedkeys/root.d', true);
    const refusal = (bytes: string | Uint8Array) => verify(Buffer.from(bytes)).replace(`the signature of ${name} `, '');
    expect(refusal('')).toBe('is empty');
    expect(refusal('<html>404</html>')).toBe('holds no PGP SIGNATURE');
    expect(refusal(gpg.publicKey(true, alice))).toBe('holds a PGP PUBLIC KEY BLOCK, not a SIGNATURE');
    // A message that brings its own content: gpgv would find it well signed.
    expect(refusal(gpg.run(['--local-user', alice, '--output', '-', '--sign', image]))).toMatch(/is not a detached signature|is damaged/);
    expect(refusal(gpg.run(['--local-user', alice, '--compress-algo', 'none', '--output', '-', '--sign', image]))).toMatch(
      /is not a detached signature|is damaged/,
    );
    expect(refusal(gpg.sign(content, [alice], { args: ['--textmode'] }))).toMatch(
      /^by key [0-9a-f]{16,40} cannot be checked|^by Alice.* cannot be checked/,
    );
    const armored = gpg.sign(content, [alice], { armor: true }).toString();
    expect(refusal(armored.slice(0, 120))).toBe('is cut short: the end of its SIGNATURE is missing');
    expect(refusal(armored.replace('-----BEGIN', '----BEGIN'))).toBe('holds no PGP SIGNATURE');
    expect(refusal(armored.replace(/\n\n(.{10})(.)/, (_, kept: string, char: string) => `\n\n${kept}${char === 'A' ? 'B' : 'A'}`))).toBe(
      'is damaged: the checksum of its armor differs',
    );
    expect(refusal(gpg.sign(content, [alice]).subarray(0, 60))).toBe('is damaged or cut short');
    expect(verify(gpg.sign(content, [alice]), '../../root.d')).toBe('the signature of ../../root.d cannot count: that is no name of an image');
  });

  test('a file that does not hold the key it is named by is not believed, and told', () => {
    put(`local/trustedkeys/root.d/${bob}`, gpg.publicKey(false, alice));
    expect(verify(by(alice))).toBe(`${unknown(alice)}\nlocal/trustedkeys/root.d/${bob} holds another key, ${alice}`);
    rmSync(join(root, 'local/trustedkeys/root.d', bob));
    put(`local/trustedkeys/root.d/${alice}`, gpg.publicKey(false, alice, bob));
    expect(verify(by(bob))).toContain('holds 2 keys');
    // One directory earlier there is a good one: the later file counts all the same.
    trust(alice, 'system/trustedkeys/root.d');
    expect(verify(by(alice))).toContain('not trusted');
    put(`local/trustedkeys/root.d/${alice}`, 'scribble');
    expect(verify(by(alice))).toContain(`root.d/${alice} holds no PGP PUBLIC KEY BLOCK`);
  });
});

describe('the keystore', () => {
  test('a stored key is found again, whatever was in its place', () => {
    const [key] = readPublicKeys(gpg.publicKey(false, alice));
    if (key === undefined) throw new Error('no key');
    for (const prefix of [undefined, 'example.com/team']) {
      const path = storeKey(settings(), prefix, key);
      expect(path).toBe(join(root, prefix === undefined ? 'local/trustedkeys/root.d' : 'local/trustedkeys/prefix.d/example.com/team', alice));
      expect(readFileSync(path, 'utf8')).toMatch(/^-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n/);
      expect(gpg.run(['--with-colons', '--show-keys', path]).toString()).toContain(alice.toUpperCase());
    }
    expect(trustedKeysFor(settings(), name).trusted.map(({ key: { fingerprint, userIds } }) => [fingerprint, userIds])).toEqual([
      [alice, ['Alice <alice@example.com>']],
    ]);
  });

  test('fingerprints, subkeys, user IDs and expiry as gpg shows them', () => {
    const carol = gpg.key('Carol <carol@example.com>', { expires: '2040-01-01' });
    const subkey = gpg.subkey(carol);
    gpg.run(['--quick-add-uid', carol, 'Carol at work <c@work.example>']);
    const [key] = readPublicKeys(gpg.publicKey(true, carol));
    expect(key).toMatchObject({ fingerprint: carol, subkeys: [subkey], isRevoked: false });
    expect(key?.userIds.toSorted()).toEqual(['Carol <carol@example.com>', 'Carol at work <c@work.example>']);
    expect(new Date((key?.expiresAt ?? 0) * 1000).toISOString().slice(0, 10)).toBe('2040-01-01');
    expect(
      readPublicKeys(gpg.publicKey(false, alice, bob))
        .map(({ fingerprint }) => fingerprint)
        .toSorted(),
    ).toEqual([alice, bob].toSorted());
    gpg.revoke(carol);
    expect(readPublicKeys(gpg.publicKey(false, carol))[0]?.isRevoked).toBe(true);
    expect(() => readPublicKeys(gpg.secretKey(alice))).toThrow('never hand out that one');
    expect(() => readPublicKeys(gpg.secretKey(alice, false))).toThrow('holds a secret key');
  });
});
