/** ACIs from outside: run and fetched from files, addresses and names; who signed them; what they need is found. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { gzipSync } from 'node:zlib';
import { tarArchive } from '../../src/build/tar-writer.ts';
import { manifestOf, rootfs, sha512, versioned, type AciInput } from '../netns/images/aci-rig.ts';
import { GpgHome } from '../rig/gpg.ts';
import { useHost } from '../rig/host.ts';
import { page, untilServed } from '../rig/http.ts';
import { Rkt, dist, rktPath, type Outcome } from '../rig/rkt.ts';
import { WebServer } from '../rig/web.ts';

useHost();
const rkt = new Rkt();
let gpg: GpgHome;
let web: WebServer;
let alice = '';
let bob = '';
let busybox: Buffer;
beforeAll(async () => {
  gpg = new GpgHome();
  alice = gpg.key('Alice <alice@example.com>');
  bob = gpg.key('Bob <bob@example.com>');
  web = new WebServer();
  await web.listen(443);
  const layout = join(dist, 'images/busybox');
  const blob = (digest: string): Buffer => readFileSync(join(layout, 'blobs', digest.replace(':', '/')));
  const [index] = (JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: [{ digest: string }] }).manifests;
  const [layer] = (JSON.parse(blob(index.digest).toString()) as { layers: [{ digest: string }] }).layers;
  const root = join(rkt.config, 'busybox/rootfs');
  mkdirSync(root, { recursive: true });
  execFileSync('tar', ['-xzC', root], { input: blob(layer.digest) });
  execFileSync('tar', ['-C', join(rkt.config, 'busybox'), '-cf', join(rkt.config, 'rootfs.tar'), '--numeric-owner', 'rootfs']);
  busybox = readFileSync(join(rkt.config, 'rootfs.tar'));
});
afterAll(async () => {
  gpg[Symbol.dispose]();
  await web.close();
});
beforeEach(() => {
  web.pages.clear();
  web.asked.length = 0;
  mkdirSync(join(rkt.config, 'images'), { recursive: true });
});
afterEach(() => {
  for (const name of ['trustedkeys', 'images']) rmSync(join(rkt.config, name), { recursive: true, force: true });
  rmSync(join(rkt.dataDir, 'cas'), { recursive: true, force: true });
});

/** An ACI with busybox in it. */
const busyboxAci = (input: AciInput = {}): Buffer =>
  gzipSync(Buffer.concat([tarArchive([{ name: 'manifest', data: JSON.stringify(manifestOf(input)) }]).subarray(0, -1024), busybox]));
const aci = (input: AciInput, files: Readonly<Record<string, string>> = {}): Buffer =>
  tarArchive([{ name: 'manifest', data: JSON.stringify(manifestOf(input)) }, ...rootfs(files)]);
const write = (name: string, bytes: Uint8Array): string => {
  const path = join(rkt.config, 'images', name);
  writeFileSync(path, bytes);
  return path;
};
/** Runs beside the server, which answers on this process's loop. */
function run(...args: string[]): Promise<Outcome> {
  const child = spawn(rktPath, rkt.arguments(args), { env: { ...process.env, NODE_EXTRA_CA_CERTS: web.ca }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((done) => void child.on('close', (status, signal) => done({ status, signal, stdout, stderr })));
}
const trust = (prefix: string, key: string): void => {
  const directory = join(rkt.config, 'trustedkeys/prefix.d', prefix);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, key), gpg.publicKey(true, key));
};
const unchecked = '--insecure-options=image';
const print = (text: string) => ({ app: { exec: ['/bin/echo', text], user: '0', group: '0' } });

describe('rkt run app.aci', () => {
  test('exec, user, groups, environment and directory of the manifest; arguments are added', () => {
    const app = {
      exec: ['/bin/sh', '-c', 'echo "$(id -u):$(id -g) $(id -G) $(pwd) $A $0 $1"; exit 7'],
      user: '7',
      group: '8',
      supplementaryGIDs: [9, 10],
      workingDirectory: '/bin',
      environment: [{ name: 'A', value: 'b c' }],
    };
    const path = write('app.aci', busyboxAci({ app }));
    const { status, stdout, stderr } = rkt.run([unchecked, 'run', '--net=none', path, '--', 'one', 'two']);
    expect([stdout.trim(), stderr]).toEqual(['7:8 8 9 10 /bin b c one two', '']);
    expect(status).toBe(7);
  });
  test('a port by its own name; the pod manifest speaks of the image as appc does', async () => {
    const app = {
      exec: ['/bin/sh', '-c', 'mkdir -p /www; echo aci > /www/index.html; exec httpd -f -p 8000 -h /www'],
      user: '0',
      group: '0',
      ports: [{ name: 'http', protocol: 'tcp', port: 8000 }],
    };
    const bytes = busyboxAci({ app, labels: versioned('1.0') });
    const path = write('app.aci', bytes);
    const fetched = rkt.ok(unchecked, 'fetch', '--full', path).trim();
    const pod = rkt.start(['--net=bridge', '--port=http:8080', 'example.com/app:1.0']);
    await untilServed(`http://${pod.ip}:8000/`);
    expect(await page(`http://${pod.ip.replace(/\.\d+$/, '.1')}:8080/`)).toBe('aci');
    expect(JSON.parse(rkt.ok('cat-manifest', pod.uuid))).toMatchObject({
      apps: [
        {
          name: 'app',
          image: { name: 'example.com/app', id: fetched, labels: versioned('1.0') },
          app: { ports: [{ name: 'http', protocol: 'tcp', port: 8000 }] },
        },
      ],
    });
    await pod.stop();
    rkt.gc();
  });
  test('an image that does not say for which system it is, is fetched and not run', () => {
    const path = write('app.aci', aci({ labels: [] }));
    expect(rkt.run([unchecked, 'fetch', path]).status).toBe(0);
    const { status, stderr } = rkt.run([unchecked, 'run', '--net=none', path]);
    expect([status, stderr]).toEqual([254, expect.stringContaining('missing os label in the image manifest')]);
    expect(stderr).toContain('missing arch label in the image manifest');
  });
});

test('rkt fetch prints the ID, short and whole; its first digits are enough', () => {
  const bytes = aci({});
  const path = write('app.aci', bytes);
  const id = `sha512-${sha512(bytes)}`;
  expect(rkt.ok(unchecked, 'fetch', path)).toBe(`${id.slice(0, 39)}\n`);
  expect(rkt.ok('fetch', '--full', id.slice(0, 12))).toBe(`${id}\n`);
  expect(rkt.ok('fetch', '--full', 'example.com/app')).toBe(`${id}\n`);
});

describe('signatures', () => {
  test('one that is not signed is refused, and how to take it', () => {
    const { status, stderr } = rkt.run(['fetch', write('app.aci', aci({}))]);
    expect(status).toBe(254);
    expect(stderr).toContain('there is no signature');
    expect(stderr).toContain('--insecure-options=image');
    expect(rkt.ok('image', 'list', '--no-legend')).toBe('');
  });
  test('by a key that is trusted for the name in the manifest', () => {
    const bytes = busyboxAci(print('signed'));
    const path = write('app.aci', bytes);
    writeFileSync(`${path}.asc`, gpg.sign(bytes, [alice], { armor: true }));
    trust('example.com/app', alice);
    expect(rkt.ok('run', '--net=none', path)).toBe('signed\n');
  });
  test.each<[string, () => void, string]>([
    ['a key nobody trusts', () => undefined, 'not trusted for that name'],
    ['a key that is trusted for another name', () => trust('example.com/other', alice), 'trusted for example.com/other only'],
    [
      'a masked key',
      () => {
        trust('example.com/app', alice);
        writeFileSync(join(rkt.config, 'trustedkeys/prefix.d/example.com/app', alice), '');
      },
      'masks',
    ],
  ])('%s', (_, prepare, message) => {
    const bytes = aci({});
    const path = write('app.aci', bytes);
    writeFileSync(`${path}.asc`, gpg.sign(bytes, [alice]));
    prepare();
    const { status, stderr } = rkt.run(['fetch', path]);
    expect([status, stderr]).toEqual([254, expect.stringContaining(message)]);
    expect(rkt.ok('image', 'list', '--no-legend')).toBe('');
  });
  test('a signature that is elsewhere', () => {
    const bytes = busyboxAci(print('elsewhere'));
    const [path, signature] = [write('app.aci', bytes), write('elsewhere', gpg.sign(bytes, [alice]))];
    trust('example.com/app', alice);
    expect(rkt.ok('run', '--net=none', path, `--signature=${signature}`)).toBe('elsewhere\n');
    expect(rkt.run(['fetch', path, '--signature', signature]).status).toBe(0);
    expect(rkt.run(['fetch', path, path, '--signature', signature]).stderr).toContain('there is no signature');
    expect(rkt.run(['fetch', path, `--signature=${write('wrong', Buffer.from('x'))}`]).stderr).toContain('the signature of example.com/app');
  });
  test('a file that is not the one that was signed', () => {
    const path = write('app.aci', aci({}, { a: 'evil' }));
    writeFileSync(`${path}.asc`, gpg.sign(aci({}, { a: 'good' }), [alice]));
    trust('example.com/app', alice);
    expect(rkt.run(['fetch', path]).stderr).toContain('is wrong: this is not the file that was signed');
  });
  test('a repair needs none: the image ID says what is in it; its name stays', () => {
    // The grammar of names that stand for images has no "~": it is called as it was fetched.
    const name = 'example.com/a~b';
    const bytes = aci({ name }, { a: 'good' });
    write('app.aci', bytes);
    const listed = (): string => rkt.ok('image', 'list', '--no-legend', '--full', '--fields=id,name,names');
    execFileSync(rktPath, rkt.arguments([unchecked, 'fetch', './app.aci']), { cwd: join(rkt.config, 'images') });
    const before = listed();
    expect(before).toContain('./app.aci');
    const damage = (): void => writeFileSync(join(rkt.dataDir, 'cas/layers', sha512(bytes).slice(0, 24), 'a'), 'evil');
    damage();
    const { status, stdout, stderr } = rkt.run(['image', 'verify']);
    expect([status, stderr]).toEqual([0, expect.stringContaining('a has other content')]);
    expect(stdout).toContain('repaired image: "./app.aci"');
    expect(listed()).toBe(before);
    damage();
    // Unsigned, and not what was there.
    const other = aci({ name }, { a: 'worse' });
    write('app.aci', other);
    const refused = rkt.run(['image', 'verify']);
    expect([refused.status, refused.stderr]).toEqual([254, expect.stringContaining(`is another image now: its ID is sha512-${sha512(other)}`)]);
    expect(listed()).toBe(before);
  });
  test('a known file is checked again when a signature is asked for', () => {
    const path = write('app.aci', aci({}));
    expect(rkt.run([unchecked, 'fetch', path]).status).toBe(0);
    expect(rkt.run(['fetch', path]).status).toBe(254);
  });
});

describe('from servers', () => {
  const discovery = (...prefixes: string[]): void => {
    const tags = prefixes.map(
      (prefix) => `<meta name="ac-discovery" content="localhost/${prefix} https://localhost/aci/{name}-{version}-{os}-{arch}.{ext}">`,
    );
    web.pages.set('/', { body: `<html><head>${tags.join('')}</head></html>` });
  };
  const publish = (name: string, version: string, bytes: Uint8Array, key?: string): void => {
    const { value: arch = '' } = versioned('')[1] ?? {};
    const path = `/aci/localhost/${name}-${version}-linux-${arch}.aci`;
    web.pages.set(path, { body: bytes });
    if (key !== undefined) web.pages.set(`${path}.asc`, { body: gpg.sign(bytes, [key], { armor: true }) });
  };

  test('by address: the signature beside it; what is there already is not asked for again', async () => {
    const bytes = busyboxAci(print('by address'));
    web.pages.set('/images/app.aci', { body: bytes });
    web.pages.set('/images/app.aci.asc', { body: gpg.sign(bytes, [alice]) });
    expect((await run('run', '--net=none', 'https://localhost/images/app.aci')).stderr).toContain('not trusted for that name');
    expect(web.asked).toEqual(['GET /images/app.aci.asc', 'GET /images/app.aci']);
    trust('example.com', alice);
    expect((await run('run', '--net=none', 'https://localhost/images/app.aci')).stdout).toBe('by address\n');
    web.pages.clear();
    expect((await run('run', '--net=none', 'https://localhost/images/app.aci')).stdout).toBe('by address\n');
  });
  test('a repair asks for no signature, but takes nothing else', async () => {
    const bytes = aci({}, { a: 'good' });
    web.pages.set('/app.aci', { body: bytes });
    expect((await run(unchecked, 'fetch', 'https://localhost/app.aci')).status).toBe(0);
    const file = join(rkt.dataDir, 'cas/layers', sha512(bytes).slice(0, 24), 'a');
    writeFileSync(file, 'evil');
    web.pages.set('/app.aci', { body: aci({}, { a: 'worse' }) });
    expect((await run('image', 'verify')).stderr).toContain('is another image now');
    web.pages.set('/app.aci', { body: bytes });
    web.asked.length = 0;
    expect((await run('image', 'verify')).stdout).toContain('repaired image');
    expect([readFileSync(file, 'utf8'), web.asked]).toEqual(['good', ['GET /app.aci']]);
  });
  test('fetched again: not asked for while it is fresh, not downloaded while it is the same, else taken anew', async () => {
    const [one, two] = [aci({}), aci({}, { a: 'changed' })];
    const path = '/images/app.aci';
    const get = async (): Promise<string> => (await run(unchecked, 'fetch', '--full', 'https://localhost/images/app.aci')).stdout.trim();
    web.pages.set(path, (n) =>
      n === 1 ? { body: one, headers: { etag: '"1"' } } : n === 2 ? { status: 304 } : { body: two, headers: { 'cache-control': 'max-age=1000' } },
    );
    expect([await get(), await get()]).toEqual([`sha512-${sha512(one)}`, `sha512-${sha512(one)}`]);
    expect(web.asked).toHaveLength(2);
    expect([await get(), await get()]).toEqual([`sha512-${sha512(two)}`, `sha512-${sha512(two)}`]);
    expect(web.asked).toHaveLength(3);
  });
  test('a server that is never asked', async () => {
    web.pages.set('/app.aci', { body: aci({}) });
    const never = (): Promise<Outcome> => run(unchecked, 'fetch', '--pull-policy=never', 'https://localhost/app.aci');
    expect([(await never()).status, web.asked]).toEqual([254, []]);
    expect((await run(unchecked, 'fetch', 'https://localhost/app.aci')).status).toBe(0);
    expect((await never()).status).toBe(0);
    expect(web.asked).toHaveLength(1);
  });
  test('what is not there, is not signed, or is refused', async () => {
    const failed = async (...args: string[]): Promise<string> => {
      const { status, stderr } = await run(...args);
      expect(status).toBe(254);
      return stderr;
    };
    expect(await failed('fetch', 'https://localhost/app.aci')).toContain('there is no signature https://localhost/app.aci.asc');
    expect(web.asked).toEqual(['GET /app.aci.asc']);
    expect(await failed(unchecked, 'fetch', 'https://localhost/app.aci')).toContain('there is no https://localhost/app.aci');
    web.pages.set('/app.aci', { status: 403 });
    expect(await failed(unchecked, 'fetch', 'https://localhost/app.aci')).toContain('there are no credentials for that server');
  });
  test('by name and labels: three levels of dependencies, every one signed, each asked for once', async () => {
    discovery('');
    publish('base', 'latest', busyboxAci({ name: 'localhost/base', labels: versioned('3') }), alice);
    publish(
      'middle',
      '2',
      aci({ name: 'localhost/middle', labels: versioned('2'), dependencies: [{ imageName: 'localhost/base' }] }, { 'etc/middle': 'm' }),
      alice,
    );
    const dependencies = [{ imageName: 'localhost/middle', labels: [{ name: 'version', value: '2' }] }, { imageName: 'localhost/base' }];
    const top = aci({
      name: 'localhost/top',
      labels: versioned('1'),
      ...print('three levels'),
      dependencies,
      pathWhitelist: ['/bin/echo', '/bin/busybox'],
    });
    publish('top', '1', top, alice);
    trust('localhost', alice);
    const { stdout, stderr } = await run('run', '--net=none', 'localhost/top,version=1');
    expect([stdout, stderr]).toEqual(['three levels\n', '']);
    const acis = web.asked.filter((line) => line.endsWith('.aci'));
    expect(acis.map((line) => /localhost\/(\w+)-/.exec(line)?.[1])).toEqual(['top', 'middle', 'base']);
  });
  test('a dependency that is signed by somebody else is refused', async () => {
    discovery('');
    publish('base', 'latest', aci({ name: 'localhost/base' }), bob);
    publish('app', 'latest', aci({ name: 'localhost/app', dependencies: [{ imageName: 'localhost/base' }] }), alice);
    trust('localhost', alice);
    const { status, stderr } = await run('fetch', 'localhost/app,os=linux');
    expect([status, stderr]).toEqual([254, expect.stringContaining('the signature of localhost/base is by key')]);
    expect(rkt.ok('image', 'list', '--no-legend')).toBe('');
  });
  test('what a server has under a name must say that name and those labels', async () => {
    discovery('');
    publish('app', '2.0', aci({ name: 'localhost/app', labels: versioned('1.2.0') }));
    const wrong = await run(unchecked, 'fetch', 'localhost/app:2.0,os=linux');
    expect(wrong.stderr).toContain('requested value for label "version": "2.0" differs from fetched aci label value: "1.2.0"');
    publish('app', '2.0', aci({ name: 'localhost/other', labels: versioned('2.0') }));
    expect((await run(unchecked, 'fetch', 'localhost/app:2.0,os=linux')).stderr).toContain('is called localhost/other');
    expect((await run(unchecked, 'fetch', 'localhost/none,version=1')).stderr).toContain('there is no https://localhost/aci/localhost/none-1-linux-');
  });
  test('a dependency that is larger than it is said to be is not read to its end', async () => {
    discovery('');
    publish('base', 'latest', Buffer.alloc(3_000_000, aci({ name: 'localhost/base' })));
    publish('app', 'latest', aci({ name: 'localhost/app', dependencies: [{ imageName: 'localhost/base', size: 5000 }] }));
    expect((await run(unchecked, 'fetch', 'localhost/app,os=linux')).stderr).toContain('has more than 5000 bytes');
  });
  test('a dependency that nobody has: who needs it, and where it was looked for', async () => {
    discovery('');
    publish('app', 'latest', aci({ name: 'localhost/app', dependencies: [{ imageName: 'localhost/middle' }] }));
    publish(
      'middle',
      'latest',
      aci({ name: 'localhost/middle', dependencies: [{ imageName: 'localhost/base' }, { imageName: 'nowhere.invalid/base' }] }),
    );
    const { stderr } = await run(unchecked, 'fetch', 'localhost/app,os=linux');
    expect(stderr).toContain('localhost/app needs localhost/middle: 2 dependencies of localhost/middle are not to be had');
    expect(stderr).toContain('  - localhost/middle needs localhost/base: there is no https://localhost/aci/localhost/base-latest-linux-');
    expect(stderr).toContain('  - localhost/middle needs nowhere.invalid/base: discovery finds no place');
  });
  test('a bare name of a domain: its discovery, then its registry, and what each said', async () => {
    const { status, stderr } = await run('fetch', 'nowhere.invalid/app');
    expect([status, stderr]).toEqual([
      254,
      expect.stringContaining('no image named "nowhere.invalid/app" in the store, and where else it may be nobody answers [ERR_HTTP_DNS]'),
    ]);
    expect(stderr).toContain('  - discovery finds no place of an image for nowhere.invalid/app');
    expect(stderr.match(/cannot resolve nowhere\.invalid/g)?.length).toBeGreaterThan(1);
    // A name with a port is no ACI's.
    const unreachable = await run('fetch', '127.0.0.1:5000/big:1');
    expect([unreachable.status, unreachable.stderr]).toEqual([254, expect.stringContaining('nobody answers [ERR_HTTP_UNREACHABLE]')]);
    expect(unreachable.stderr).toContain('no answer from 127.0.0.1:5000: connection refused');
  });
  test('keys that the owner of a name shows are trusted when that is wanted', async () => {
    const key = gpg.publicKey(true, alice);
    web.pages.set('/key.asc', { body: key });
    discovery('');
    const tags = web.pages.get('/') as { body: string };
    web.pages.set('/', {
      body: tags.body.replace('</head>', '<meta name="ac-discovery-pubkeys" content="localhost https://localhost/key.asc"></head>'),
    });
    publish('app', 'latest', aci({ name: 'localhost/app' }), alice);
    expect((await run('fetch', 'localhost/app,os=linux')).status).toBe(254);
    expect((await run('--trust-keys-from-https', 'fetch', 'localhost/app,os=linux')).status).toBe(0);
  });
});
