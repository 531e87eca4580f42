/** `rkt trust` and `rkt config` from outside: keys by gpg, pages by an HTTPS server of a test authority, a person at a terminal. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { GpgHome } from '../rig/gpg.ts';
import { useHost } from '../rig/host.ts';
import { Rkt, rktPath, type Outcome } from '../rig/rkt.ts';
import { WebServer } from '../rig/web.ts';

useHost();
const rkt = new Rkt();
let gpg: GpgHome;
let web: WebServer;
let alice = '';
let bob = '';
beforeAll(async () => {
  gpg = new GpgHome();
  alice = gpg.key('Alice <alice@example.com>');
  bob = gpg.key('Bob <bob@example.com>');
  web = new WebServer();
  await web.listen(443);
});
afterAll(async () => {
  gpg[Symbol.dispose]();
  await web.close();
});
beforeEach(() => {
  web.pages.clear();
  web.asked.length = 0;
});
afterEach(() => {
  for (const name of ['trustedkeys', 'auth.d', 'certs.d', 'paths.d', 'keys']) rmSync(join(rkt.config, name), { recursive: true, force: true });
});

/** Runs beside the server, which answers on this process's loop. */
function run(args: readonly string[], options: { input?: string; env?: Record<string, string>; tty?: boolean } = {}): Promise<Outcome> {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: web.ca, ...options.env };
  const own = rkt.arguments(args);
  const command = [rktPath, ...own].map((word) => `'${word}'`).join(' ');
  // script(1) gives the command a terminal of its own.
  const child =
    options.tty === true
      ? spawn('script', ['-qec', command, '/dev/null'], { env, stdio: ['pipe', 'pipe', 'pipe'] })
      : spawn(rktPath, own, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    // The terminal closes with its input: it is written when it was asked for.
    if (options.tty === true && stdout.includes('(yes/no)? ') && !child.stdin.writableEnded) child.stdin.end(options.input);
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  if (options.tty !== true) child.stdin.end(options.input ?? '');
  return new Promise((done) => void child.on('close', (status, signal) => done({ status, signal, stdout: stdout.replaceAll('\r', ''), stderr })));
}
const stored = (where: string, fingerprint: string): string => join(rkt.config, 'trustedkeys', where, fingerprint);
const keyFile = (name: string, bytes: Uint8Array): string => {
  mkdirSync(join(rkt.config, 'keys'), { recursive: true });
  writeFileSync(join(rkt.config, 'keys', name), bytes);
  return join(rkt.config, 'keys', name);
};
const meta = (name: string, content: string): string => `<meta name="${name}" content="${content}">`;
const head = (...tags: string[]) => ({ body: `<!doctype html><html><head><title>x</title>${tags.join('')}</head><body>hello</body></html>` });
const spaced = (fingerprint: string): string => {
  const groups = fingerprint.toUpperCase().match(/.{4}/g) ?? [];
  return `${groups.slice(0, 5).join(' ')}  ${groups.slice(5).join(' ')}`;
};

describe('keys the user names', () => {
  test('a file, for a prefix, without review', async () => {
    const path = keyFile('alice.asc', gpg.publicKey(true, alice));
    const { status, stdout, stderr } = await run(['trust', '--prefix=example.com/app', '--skip-fingerprint-review', path]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toBe(
      [
        'Prefix: "example.com/app"',
        `Key: "${path}"`,
        `GPG key fingerprint is: ${spaced(alice)}`,
        '  Alice <alice@example.com>',
        `Trusting "${path}" for prefix "example.com/app" without fingerprint review.`,
        `Added key for prefix "example.com/app" at "${stored('prefix.d/example.com/app', alice)}"`,
        '',
      ].join('\n'),
    );
    expect(gpg.run(['--with-colons', '--show-keys', stored('prefix.d/example.com/app', alice)]).toString()).toContain(alice.toUpperCase());
  });

  test('several keys in one file and by https, as root keys', async () => {
    web.pages.set('/both.gpg', { body: gpg.publicKey(false, alice, bob) });
    const { status } = await run(['trust', '--root', '--skip-fingerprint-review', 'https://localhost/both.gpg']);
    expect(status).toBe(0);
    expect([alice, bob].map((key) => existsSync(stored('root.d', key)))).toEqual([true, true]);
  });

  test('--format=json: what is trusted now', async () => {
    const path = keyFile('alice', gpg.publicKey(false, alice));
    const { stdout, stderr } = await run(['trust', '--prefix=example.com', '--skip-fingerprint-review', '--format=json', path]);
    expect(JSON.parse(stdout)).toEqual([
      {
        location: path,
        prefix: 'example.com',
        fingerprint: alice,
        subkeys: [],
        userIds: ['Alice <alice@example.com>'],
        path: stored('prefix.d/example.com', alice),
      },
    ]);
    expect(stderr).toContain('GPG key fingerprint is');
    const none = await run(['trust', '--root', '--skip-fingerprint-review', '--format=json', '/none']);
    expect(JSON.parse(none.stderr)).toMatchObject({ error: { code: 'ERR_TRUST_KEY' } });
  });

  test('a mask is lifted, and said', async () => {
    mkdirSync(join(rkt.config, 'trustedkeys/root.d'), { recursive: true });
    writeFileSync(stored('root.d', alice), '');
    const { stderr } = await run(['trust', '--root', '--skip-fingerprint-review', keyFile('a', gpg.publicKey(false, alice))]);
    expect(stderr).toBe(`warning: ${stored('root.d', alice)} masked this key; it does not any more\n`);
    expect(readFileSync(stored('root.d', alice), 'utf8')).toContain('BEGIN PGP');
  });

  test('one that is none stops all, every fault told', async () => {
    const revoked = gpg.key('Revoked <r@example.com>');
    gpg.revoke(revoked);
    web.pages.set('/page', { body: '<html></html>' });
    const good = keyFile('good', gpg.publicKey(false, alice));
    const args = [
      good,
      keyFile('secret', gpg.secretKey(alice)),
      keyFile('revoked', gpg.publicKey(false, revoked)),
      keyFile('empty', Buffer.alloc(0)),
    ];
    const { status, stderr } = await run([
      'trust',
      '--root',
      '--skip-fingerprint-review',
      ...args,
      '/none',
      '/',
      'https://localhost/page',
      'https://localhost/404',
    ]);
    expect(status).toBe(254);
    expect(stderr.replaceAll(`${rkt.config}/keys/`, '')).toBe(
      [
        'error: 7 public keys cannot be trusted [ERR_TRUST_KEY]',
        '  - secret holds a PGP PRIVATE KEY BLOCK, not a PUBLIC KEY BLOCK: never hand out that one',
        `  - revoked: its owner revoked key ${revoked}`,
        '  - empty is empty',
        '  - there is no file /none',
        '  - / is not a file',
        '  - https://localhost/page holds no PGP PUBLIC KEY BLOCK',
        '  - https://localhost/404 answers 404',
        '',
      ].join('\n'),
    );
    expect(existsSync(stored('root.d', alice))).toBe(false);
  });

  test('user IDs cannot write on the terminal', async () => {
    const evil = gpg.key('Evil \u202e <e@example.com>');
    const { stdout } = await run(['trust', '--root', '--skip-fingerprint-review', keyFile('e', gpg.publicKey(false, evil))]);
    expect(stdout).toContain('  Evil \\u{202e} <e@example.com>\n');
  });

  test.each([
    [['k'], '--root required for non-prefixed (root) keys'],
    [[], 'trust needs --prefix, or --root and a public key'],
    [['--root', '--prefix=example.com', 'k'], '--root and --prefix usage mutually exclusive'],
    [['--prefix=https://example.com'], '--prefix must not contain a URL scheme, omit https://'],
    [['--prefix=Example.com', '--skip-fingerprint-review'], '"Example.com" is no prefix of image names'],
    [['--prefix=../../etc', '--skip-fingerprint-review'], '"../../etc" is no prefix of image names'],
    [['--root'], '--root needs public keys'],
    [['--root', '/k'], 'there is no file /k'],
    [['--root', '--trust-keys-from-https', '/k'], 'there is no file /k'],
    [['--root', '/etc/passwd'], '/etc/passwd holds no PGP PUBLIC KEY BLOCK'],
    [['--root', '--skip-fingerprint-review', 'http://localhost/k'], 'http://localhost/k is not encrypted'],
  ])('%j is refused', async (args, message) => {
    const { status, stderr } = await run(['trust', ...args]);
    expect(status).toBe(254);
    expect(stderr).toContain(`error: ${message}`);
    expect(existsSync(join(rkt.config, 'trustedkeys'))).toBe(false);
  });
});

test('without a terminal: which key there is to look at, and nothing is trusted', async () => {
  for (const flags of [[], ['--trust-keys-from-https']]) {
    web.pages.set('/bob', { body: gpg.publicKey(false, bob) });
    // The first of these needs no review with --trust-keys-from-https, and does not count without the second either.
    const args = ['trust', '--root', 'https://localhost/bob', keyFile('alice', gpg.publicKey(false, alice))];
    const { status, stdout, stderr } = await run([...flags, ...args]);
    const shown = flags.length === 0 ? `${spaced(bob)}, ${spaced(alice)}` : spaced(alice);
    expect([status, stdout, stderr.split('\n')[0]]).toEqual([254, '', `error: no terminal to review the fingerprint at: ${shown} [ERR_CLI_USAGE]`]);
    expect(existsSync(join(rkt.config, 'trustedkeys'))).toBe(false);
  }
});

describe('keys by discovery', () => {
  const app = 'localhost/team/app';
  const keys = (prefix: string, path: string) => meta('ac-discovery-pubkeys', `${prefix} https://localhost${path}`);

  test('the page of the name, then of what is above it; only what fits and is of the head', async () => {
    web.pages.set('/team/app', head(keys('localhost/other', '/wrong'), meta('ac-discovery', 'localhost https://localhost/{name}.{ext}')));
    web.pages.set('/team', {
      body: `<head><!-- ${keys('localhost', '/comment')} --><script>"${keys('localhost', '/script')}"</script>${keys('localhost/team', '/alice.asc').replace('<meta', '<META')}</head><body>${keys('localhost', '/body')}`,
    });
    web.pages.set('/', head(keys('localhost', '/root')));
    web.pages.set('/alice.asc', { body: gpg.publicKey(true, alice) });
    const { status, stderr, stdout } = await run(['trust', `--prefix=${app}`, '--skip-fingerprint-review']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('Key: "https://localhost/alice.asc"');
    expect(web.asked).toEqual(['GET /team/app?ac-discovery=1', 'GET /team?ac-discovery=1', 'GET /alice.asc']);
    expect(existsSync(stored(`prefix.d/${app}`, alice))).toBe(true);
  });

  test('nothing found: every page that was asked, and what it said', async () => {
    web.pages.set('/team', head(keys('localhost/other', '/k')));
    web.pages.set('/', { body: 'no tags' });
    const { status, stderr } = await run(['trust', `--prefix=${app}`, '--skip-fingerprint-review']);
    expect(status).toBe(254);
    expect(stderr.split('\n').slice(0, 4)).toEqual([
      `error: discovery finds no place of public keys for ${app} [ERR_DISCOVERY]`,
      '  - https://localhost/team/app: status 404',
      '  - https://localhost/team: 1 discovery tags, none that helps',
      '  - https://localhost/: no discovery tags',
    ]);
  });

  test('an authority that is not known, and the ways to make it known', async () => {
    web.pages.set('/', head(keys('localhost', '/alice')));
    web.pages.set('/alice', { body: gpg.publicKey(false, alice) });
    const args = ['trust', '--prefix=localhost', '--skip-fingerprint-review'];
    const unknown = await run(args, { env: { NODE_EXTRA_CA_CERTS: '' } });
    expect(unknown.status).toBe(254);
    expect(unknown.stderr).toMatch(/authority/);
    for (const option of ['tls', 'pubkey']) {
      expect((await run([`--insecure-options=${option}`, ...args], { env: { NODE_EXTRA_CA_CERTS: '' } })).status).toBe(0);
      rmSync(join(rkt.config, 'trustedkeys'), { recursive: true });
    }
    mkdirSync(join(rkt.config, 'certs.d/localhost'), { recursive: true });
    writeFileSync(join(rkt.config, 'certs.d/localhost/ca.crt'), readFileSync(web.ca));
    expect((await run(args, { env: { NODE_EXTRA_CA_CERTS: '' } })).status).toBe(0);
  });

  test('without TLS only when asked for', async () => {
    const plain = new WebServer();
    await plain.listen(80, false);
    try {
      web.pages.set('/', { status: 500 });
      plain.pages.set('/', head(meta('ac-discovery-pubkeys', 'localhost http://localhost/k')));
      plain.pages.set('/k', { body: gpg.publicKey(false, bob) });
      web.pages.set('/', { status: 403 });
      const args = ['trust', '--prefix=localhost', '--skip-fingerprint-review'];
      expect((await run(args)).status).toBe(254);
      expect(plain.asked).toEqual([]);
      expect((await run([...args, '--insecure-allow-http'])).status).toBe(0);
      expect(existsSync(stored('prefix.d/localhost', bob))).toBe(true);
    } finally {
      await plain.close();
    }
  });

  test('credentials of auth.d go to their domain', async () => {
    mkdirSync(join(rkt.config, 'auth.d'), { recursive: true });
    const auth = { rktKind: 'auth', rktVersion: 'v1', domains: ['localhost'], type: 'basic', credentials: { user: 'u', password: 'p' } };
    writeFileSync(join(rkt.config, 'auth.d/a.json'), JSON.stringify(auth));
    web.pages.set('/', head(keys('localhost', '/alice')));
    web.pages.set('/alice', { body: gpg.publicKey(false, alice) });
    expect((await run(['trust', '--prefix=localhost', '--skip-fingerprint-review'])).status).toBe(0);
    expect(web.asked).toEqual(['GET /?ac-discovery=1 Basic dTpw', 'GET /alice Basic dTpw']);
  });

  test('--trust-keys-from-https asks, when anybody on the way could have sent the keys', async () => {
    web.pages.set('/', head(keys('localhost', '/alice')));
    web.pages.set('/alice', { body: gpg.publicKey(false, alice) });
    for (const insecure of ['--insecure-options=tls', '--insecure-options=http', '--insecure-options=pubkey', '--insecure-allow-http'])
      for (const where of [[], ['https://localhost/alice']]) {
        const args = ['--trust-keys-from-https', 'trust', '--prefix=localhost', insecure, ...where];
        expect((await run(args)).stderr).toContain('no terminal to review the fingerprint at');
        const { status, stdout } = await run(args, { tty: true, input: 'no\n' });
        expect([status, stdout]).toEqual([254, expect.stringContaining('(yes/no)')]);
      }
    expect(existsSync(join(rkt.config, 'trustedkeys'))).toBe(false);
  });

  test('--trust-keys-from-https asks nobody', async () => {
    web.pages.set('/', head(keys('localhost', '/alice')));
    web.pages.set('/alice', { body: gpg.publicKey(false, alice) });
    const { status, stdout } = await run(['--trust-keys-from-https', 'trust', '--prefix=localhost']);
    expect(status).toBe(0);
    expect(stdout).toContain('without fingerprint review');
  });
});

describe('at a terminal', () => {
  test.each([
    ['yes\n', 0],
    ['no\n', 254],
    ['\ny\nYES\nyes\n', 0],
    ['\nno\n', 254],
    ['', 254],
  ])('%j', async (input, wanted) => {
    const { status, stdout } = await run(['trust', '--prefix=example.com', keyFile('alice', gpg.publicKey(false, alice))], { tty: true, input });
    expect(stdout).toContain(`GPG key fingerprint is: ${spaced(alice)}\n`);
    expect(stdout).toContain('Are you sure you want to trust this key (yes/no)? ');
    expect(stdout.includes("Please enter 'yes' or 'no': ")).toBe(input.startsWith('\n'));
    if (wanted === 0) expect(stdout).toContain('after fingerprint review');
    if (input === 'no\n') expect(stdout).toContain(`not trusting "${rkt.config}/keys/alice"`);
    expect(status).toBe(wanted);
    expect(existsSync(stored('prefix.d/example.com', alice))).toBe(wanted === 0);
  });
});

describe('global flags and rkt config', () => {
  const paths = (data: string) => JSON.stringify({ rktKind: 'paths', rktVersion: 'v1', data });

  test('--dir over the configuration, the user over the administrator', async () => {
    mkdirSync(join(rkt.config, 'paths.d'), { recursive: true });
    mkdirSync(join(rkt.config, 'keys/paths.d'), { recursive: true });
    writeFileSync(join(rkt.config, 'paths.d/a.json'), paths('/nowhere/admin'));
    writeFileSync(join(rkt.config, 'keys/paths.d/a.json'), paths(`${rkt.config}/keys/data`));
    const shown = JSON.parse(rkt.ok('config', `--user-config=${rkt.config}/keys`, '--pretty-print=false')) as {
      stage0: { rktKind: string; data?: string }[];
    };
    expect(shown.stage0.find(({ rktKind }) => rktKind === 'paths')?.data).toBe(`${rkt.config}/keys/data`);
    const unsaid = rkt.arguments(['fetch', 'busybox']).filter((word) => !word.startsWith('--dir='));
    execFileSync(rktPath, [`--user-config=${rkt.config}/keys`, ...unsaid], { stdio: 'pipe' });
    expect(existsSync(join(rkt.config, 'keys/data'))).toBe(true);
    rkt.ok('list');
    rmSync(join(rkt.config, 'keys/data'), { recursive: true });
    rkt.ok('fetch', `--user-config=${rkt.config}/keys`, 'busybox');
    expect(existsSync(join(rkt.config, 'keys/data'))).toBe(false);
  });

  test('every fault stops every command, a wrong word of --insecure-options too', () => {
    mkdirSync(join(rkt.config, 'paths.d'), { recursive: true });
    writeFileSync(join(rkt.config, 'paths.d/a.json'), paths('relative'));
    expect(rkt.run(['config']).stderr).toContain('[ERR_CONFIG_INVALID]');
    const { status, stderr } = rkt.run(['--insecure-options', 'image,tsl,all-run', 'list']);
    expect(status).toBe(254);
    expect(stderr).toContain('flag --insecure-options: "tsl" means nothing [ERR_CLI_USAGE]\nhint: did you mean tls?');
  });

  test('--insecure-options reaches the pod', () => {
    const shown = 'grep -c " /proc/timer_list " /proc/self/mounts; grep Seccomp: /proc/self/status';
    const inside = (...options: string[]) => rkt.run([...options, 'run', '--net=none', 'busybox', '--exec=/bin/sh', '--', '-c', shown]).stdout;
    expect(inside()).toBe('1\nSeccomp:\t2\n');
    expect(inside('--insecure-options=paths,seccomp')).toBe('0\nSeccomp:\t0\n');
    expect(inside('--insecure-options=all-run')).toBe('0\nSeccomp:\t0\n');
    expect(inside('--insecure-options=all-fetch')).toBe('1\nSeccomp:\t2\n');
  });
});
