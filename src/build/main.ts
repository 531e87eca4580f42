/**
 * Builds dist/: bundles, plugin executables, the native addon, the supervisor, net.d and the embedded image.
 * Run by the development Node (types are stripped, not checked). What is up to date is left alone.
 *
 * Every dynamic `import()` in the source becomes a bundle of its own, required when it is reached: a command
 * loads what it needs and nothing else.
 */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { makeBusyboxImage } from './busybox-image.ts';

const root = resolve(import.meta.dirname, '../..');
const dist = join(root, 'dist');
/** Node is started without NODE_EXTRA_CA_CERTS (73 ms of certificate parsing on Node 20); fetching reads RKT_CA. */
const shebang = '#!/usr/bin/env -S -u NODE_EXTRA_CA_CERTS RKT_CA=${NODE_EXTRA_CA_CERTS} node\n';
const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;

const isFresh = (output: string, ...inputs: string[]): boolean =>
  existsSync(output) && inputs.every((input) => statSync(input).mtimeMs <= statSync(output).mtimeMs);

function compile(output: string, sources: string[], flags: string[], headers: string[] = []): void {
  if (isFresh(output, import.meta.filename, ...sources, ...headers)) return;
  mkdirSync(dirname(output), { recursive: true });
  const temporary = `${output}.${process.pid}`;
  execFileSync('cc', ['-std=gnu11', '-Wall', '-Wextra', '-Werror', ...flags, '-o', temporary, ...sources], { stdio: 'inherit' });
  renameSync(temporary, output);
}

/** `src/cli/commands/run.ts` → `cli-commands-run`: readable and unique in one flat folder. */
const bundleName = (path: string): string =>
  relative(root, path)
    .replace(/^src\//, '')
    .replace(/\.ts$/, '')
    .replaceAll('/', '-');

/** Turns dynamic imports into requires of sibling bundles and remembers what has to be built. */
function lazyBundles(found: Set<string>): Plugin {
  return {
    name: 'lazy-bundles',
    setup(setup) {
      setup.onResolve({ filter: /^\.\.?\// }, (args) => {
        if (args.kind !== 'dynamic-import') return undefined;
        const target = resolve(args.resolveDir, args.path);
        found.add(target);
        return { path: `./${bundleName(target)}.cjs`, external: true };
      });
    },
  };
}

/** Around a bundle's code: the function that the loader calls, as Node's own loader makes one of a module. */
const frame = { head: '(function(exports,require,module,__filename,__dirname){', foot: '})' } as const;

/** @returns file name → content. One call for many: esbuild reads each source once. */
async function bundle(entries: readonly string[], found: Set<string>): Promise<[string, Uint8Array][]> {
  const { outputFiles } = await build({
    entryPoints: entries.map((entry) => ({ in: entry, out: bundleName(entry) })),
    outdir: 'lib',
    outExtension: { '.js': '.cjs' },
    write: false,
    bundle: true,
    minify: true,
    keepNames: false,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    legalComments: 'none',
    charset: 'ascii',
    logLevel: 'warning',
    supported: { 'dynamic-import': false },
    define: { __DIST__: '__rktDist', __VERSION__: JSON.stringify(version), 'import.meta.url': '__rktUrl' },
    banner: {
      js: `${frame.head}"use strict";const __rktDist=require("path").dirname(__dirname),__rktUrl="file://"+encodeURI(__filename).replace(/[?#]/g,encodeURIComponent);`,
    },
    footer: { js: frame.foot },
    plugins: [lazyBundles(found)],
  });
  return outputFiles.map(({ path, contents }) => [basename(path), contents]);
}

/** `file` of dist: runs the bundle of `entry`. */
function writeLoader(file: string, entry: string, firstLine = ''): void {
  const loader = readFileSync(join(import.meta.dirname, 'loader.cjs'), 'utf8');
  const path = join(dist, file);
  const up = relative(dirname(path), dist);
  writeFileSync(path, firstLine + loader.replace('__DIST__', up === '' ? '.' : up).replace('__ENTRY__', `${bundleName(entry)}.cjs`));
}

function writeExecutable(file: string, entry: string): void {
  writeLoader(file, entry, shebang);
  chmodSync(join(dist, file), 0o755);
}

/** Bundles the command line, the plugins and all they load on demand: file name → content. */
async function bundles(): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const found = new Set<string>([cli, layerThread, policyLeave, ...pluginTypes.map(pluginEntry)]);
  let pending = [...found];
  while (pending.length > 0) {
    const known = new Set(found);
    for (const [name, content] of await bundle(pending, found)) files.set(name, content);
    pending = [...found].filter((entry) => !known.has(entry));
  }
  return files;
}

/**
 * lib/: bundles with their code caches. V8 knows a cache's source by its length only, so bundles that changed take all caches along;
 * those that did not keep them. The seal is written last: half a lib is made again.
 */
async function library(): Promise<void> {
  const lib = join(dist, 'lib');
  const files = await bundles();
  const hash = createHash('sha256').update(nodes().join('\n'));
  for (const name of [...files.keys()].sort()) hash.update(`\n${name}\n`).update(files.get(name) ?? '');
  const seal = hash.digest('hex');
  const sealPath = join(lib, 'sealed');
  writeExecutable('rkt', cli);
  writeLoader('unpack-layers.cjs', layerThread);
  mkdirSync(join(dist, 'policy'), { recursive: true });
  writeExecutable('policy/leave', policyLeave);
  for (const type of pluginTypes) writeExecutable(`cni/${type}`, pluginEntry(type));
  writeFileSync(join(dist, 'package.json'), '{"type":"commonjs"}\n');
  if (existsSync(sealPath) && readFileSync(sealPath, 'utf8') === seal && [...files.keys()].every((name) => existsSync(join(lib, name)))) return;
  rmSync(lib, { recursive: true, force: true });
  mkdirSync(lib, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(lib, name), content);
  await Promise.all(nodes().map(makeCodeCache));
  writeFileSync(sealPath, seal);
}

/** What users do most: each is done once, on a throw-away host, so that the code cache holds the functions it needs. */
const warmUps: readonly (readonly string[])[] = [
  ['run', '--net=bridge', '--port=8080:80', 'busybox', '--exec=/bin/true'],
  ['run', '--net=bridge', '--port=8081:80', 'busybox', '--exec=/bin/true'],
  ['list'],
  ['gc', '--grace-period=0'],
  ['net', 'plan', '--net=bridge'],
];

/** The same for plugins as executables; each is asked to ADD and to DEL, with what the others need as well. */
const warmPlugins = ['bridge', 'ptp', 'loopback', 'host-local', 'static', 'portmap', 'firewall'] as const;
const warmConf = (type: string): string =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'warm',
    type,
    isGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', subnet: '10.9.0.0/24', addresses: [{ address: '10.9.0.9/24' }] },
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
    ...(type === 'portmap' || type === 'firewall'
      ? {
          prevResult: {
            cniVersion: '1.0.0',
            interfaces: [{ name: 'eth0', sandbox: '/run/netns/warm' }],
            ips: [{ address: '10.9.0.2/24', interface: 0 }],
          },
        }
      : {}),
  });

/** By one Node, on a host of its own. Best effort: where namespaces are refused, rkt compiles as it goes and starts some 20 ms slower. */
function makeCodeCache(node: string): Promise<void> {
  const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(' ');
  const warmUp = (args: readonly string[]): string =>
    `${quoted([node, join(dist, 'rkt'), '--make-code-cache', '--dir=/run/data', ...args])} >/dev/null 2>&1`;
  const warmPlugin = (type: string): string => {
    const env = ['CNI_CONTAINERID=warm', 'CNI_NETNS=/run/netns/warm', 'CNI_IFNAME=eth0', `CNI_PATH=${join(dist, 'cni')}`];
    const call = (verb: string): string =>
      `echo '${warmConf(type)}' | ${quoted(['env', ...env, `CNI_COMMAND=${verb}`, node, join(dist, 'cni', type), '--make-code-cache'])} >/dev/null 2>&1`;
    return `ip netns add warm\n${call('ADD')}\n${call('DEL')}\nip netns del warm`;
  };
  const work = [...warmUps.map(warmUp), ...warmPlugins.map(warmPlugin)].join('\n');
  const script = `mount -t tmpfs none /run && mkdir /run/netns && mount -t tmpfs none /var/lib || exit\n${work}\n:`;
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const warming = spawn('unshare', ['--net', '--mount', ...asRoot, 'sh', '-c', script], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'] ?? '' },
  });
  return new Promise((done) => {
    warming.on('error', () => done());
    warming.on('close', () => done());
  });
}

/** The Node that builds, and the machine's own, which users will run: each has its own code cache. */
function nodes(): string[] {
  const own = (process.env['PATH'] ?? '')
    .split(':')
    .filter((path) => path.startsWith('/') && !path.includes('node_modules'))
    .map((path) => join(path, 'node'))
    .find((path) => existsSync(path));
  return [...new Set([process.execPath, ...(own === undefined ? [] : [own])])];
}

const cli = join(root, 'src/cli/main.ts');
const layerThread = join(root, 'src/stage0/fetch/layer-thread.ts');
const policyLeave = join(root, 'src/compose/policy-leave.ts');
const pluginFolder = join(root, 'cni-plugins');
const pluginEntry = (type: string): string => join(pluginFolder, type, 'main.ts');
const pluginTypes = readdirSync(pluginFolder).filter((type) => type !== 'skel' && existsSync(pluginEntry(type)));

function pluginFiles(): void {
  const folder = join(dist, 'cni');
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(folder)) if (!pluginTypes.includes(file)) rmSync(join(folder, file));
  mkdirSync(join(dist, 'dhcp'), { recursive: true });
  cpSync(join(pluginFolder, 'dhcp/lease-event.sh'), join(dist, 'dhcp/lease-event'));
}

function native(): void {
  const headers = join(root, 'node_modules/node-api-headers/include');
  const host = join(root, 'src/host');
  compile(
    join(dist, 'linux.node'),
    ['linux.c', 'child.c'].map((file) => join(host, file)),
    ['-O2', '-shared', '-fPIC', `-I${headers}`],
    [join(host, 'addon.h')],
  );
  const oci = join(root, 'src/stage1/flavors/oci');
  const files = readdirSync(oci).map((file) => join(oci, file));
  const sources = files.filter((file) => file.endsWith('.c'));
  compile(
    join(dist, 'stage1/oci/rkt-supervisor'),
    sources,
    ['-static', '-Os', '-s'],
    files.filter((file) => file.endsWith('.h')),
  );
  const prober = join(root, 'src/lab/prober');
  const parts = readdirSync(prober).map((file) => join(prober, file));
  compile(
    join(dist, 'lab/rkt-prober'),
    parts.filter((file) => file.endsWith('.c')),
    ['-static', '-O2', '-s'],
    parts.filter((file) => file.endsWith('.h')),
  );
}

/** What a report's page is made of besides its data (src/lab/report): one program, one style. */
async function reportPage(): Promise<void> {
  const page = join(root, 'src/lab/report/page');
  await build({
    entryPoints: { report: join(page, 'main.ts') },
    outdir: join(dist, 'lab'),
    bundle: true,
    minify: true,
    platform: 'browser',
    format: 'iife',
    target: 'es2024',
    legalComments: 'none',
    charset: 'ascii',
    logLevel: 'warning',
  });
  const { outputFiles } = await build({ entryPoints: [join(page, 'page.css')], minify: true, write: false, logLevel: 'warning' });
  writeFileSync(join(dist, 'lab/report.css'), outputFiles[0]?.contents ?? '');
}

async function main(): Promise<void> {
  mkdirSync(dist, { recursive: true });
  native();
  rmSync(join(dist, 'net.d'), { recursive: true, force: true });
  cpSync(join(root, 'net.d'), join(dist, 'net.d'), { recursive: true, filter: (path) => !basename(path).endsWith('.md') });
  const image = join(dist, 'images/busybox');
  if (!isFresh(join(image, 'index.json'), '/bin/busybox', join(import.meta.dirname, 'busybox-image.ts'), join(import.meta.dirname, 'tar-writer.ts')))
    makeBusyboxImage(image);
  pluginFiles();
  await reportPage();
  await library();
}

await main();
