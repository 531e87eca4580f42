/** Keys and signatures made by GnuPG in a home of its own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface SignOptions {
  readonly armor?: boolean;
  /** `gpg --faked-system-time`, e.g. `20200101T000000` */
  readonly at?: string;
  /** more arguments, in front of `--detach-sign` */
  readonly args?: readonly string[];
}

/** Dispose it: gpg leaves an agent behind. The path must be short, sockets are in it. */
export class GpgHome implements Disposable {
  readonly dir = mkdtempSync('/tmp/gpg-');

  run(args: readonly string[], input?: string): Buffer {
    return execFileSync('gpg', ['--batch', '--no-tty', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', '', ...args], {
      env: { PATH: process.env['PATH'], GNUPGHOME: this.dir, LC_ALL: 'C.UTF-8' },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(input === undefined ? {} : { input }),
    });
  }

  /** Makes a signing key. @returns its fingerprint, lower-case */
  key(userId: string, options: { at?: string; expires?: string; algorithm?: string } = {}): string {
    const time = options.at === undefined ? [] : ['--faked-system-time', options.at];
    this.run([...time, '--quick-gen-key', userId, options.algorithm ?? 'ed25519', 'sign', options.expires ?? 'never']);
    const listed = this.run(['--with-colons', '--list-keys', `=${userId}`]).toString();
    return (/^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? '').toLowerCase();
  }

  /** Adds a subkey that signs. @returns its fingerprint */
  subkey(fingerprint: string): string {
    this.run(['--quick-add-key', fingerprint, 'ed25519', 'sign', 'never']);
    const all = [
      ...this.run(['--with-colons', '--list-keys', fingerprint])
        .toString()
        .matchAll(/^fpr:+([0-9A-F]+):/gm),
    ];
    return (all.at(-1)?.[1] ?? '').toLowerCase();
  }

  /** Revokes by the certificate gpg made with the key. */
  revoke(fingerprint: string): void {
    const certificate = execFileSync('sed', ['s/^:-----/-----/', join(this.dir, 'openpgp-revocs.d', `${fingerprint.toUpperCase()}.rev`)]).toString();
    this.run(['--import'], certificate);
  }

  publicKey(armor = false, ...fingerprints: string[]): Buffer {
    return this.run([...(armor ? ['--armor'] : []), '--export', ...fingerprints]);
  }

  secretKey(fingerprint: string, armor = true): Buffer {
    return this.run([...(armor ? ['--armor'] : []), '--export-secret-keys', fingerprint]);
  }

  /** A detached signature by `signers` (fingerprints; with `!` exactly that subkey). */
  sign(content: string | Uint8Array, signers: readonly string[], { armor = false, at, args = [] }: SignOptions = {}): Buffer {
    const path = join(this.dir, 'to-sign');
    writeFileSync(path, content);
    const time = at === undefined ? [] : ['--faked-system-time', at];
    const by = signers.flatMap((signer) => ['--local-user', signer]);
    return this.run([...time, ...by, ...(armor ? ['--armor'] : []), ...args, '--output', '-', '--detach-sign', path]);
  }

  [Symbol.dispose](): void {
    execFileSync('gpgconf', ['--kill', 'all'], { env: { PATH: process.env['PATH'], GNUPGHOME: this.dir }, stdio: 'ignore' });
    rmSync(this.dir, { recursive: true, force: true });
  }
}
