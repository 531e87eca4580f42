/**
 * `npm run bench`: rkt beside its peers in one run, on a throw-away host. Prints a table and writes test/.results/bench.json.
 * Ratios count; absolute values depend on the machine.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { sleepMs } from '../../src/host/clock.ts';
import { leaveOwnCgroups } from '../rig/cgroup.ts';
import { enterHost } from '../rig/namespaces.ts';
import { alternate, median, sample, type Sample } from './measure.ts';
import { makeCrunPeer } from './peers.ts';
import { measurePodman } from './podman.ts';
import { measurePolicies } from './policies.ts';
import { measureRegistry } from './registry.ts';
import { measureRelease } from './release.ts';

const root = resolve(import.meta.dirname, '../..');
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 11);
const work = mkdtempSync('/tmp/rkt-bench-');
const rkt = join(root, 'dist/rkt');
// The product is measured on the machine's own Node, not on the one that runs the tools.
const env = {
  ...process.env,
  PATH: (process.env['PATH'] ?? '')
    .split(':')
    .filter((path) => !path.includes('node_modules'))
    .join(':'),
};
const dir = `--dir=${join(work, 'data')}`;
const echo = [rkt, dir, 'run', '--net=bridge', 'busybox', '--exec=/bin/echo', '--', 'hi'];
const collect = [rkt, dir, 'gc', '--grace-period=0'];
function gc(): void {
  const { status, stderr } = spawnSync(collect[0] ?? '', collect.slice(1), { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`gc ended with ${status}: ${stderr}`);
}

interface Row {
  readonly what: string;
  readonly value: string;
  readonly peer: string;
  readonly ratio: number | undefined;
  readonly bar: string;
  readonly met: boolean | undefined;
}
const rows: Row[] = [];
const results: Record<string, unknown> = {};
const ms = (value: number): string => `${value.toFixed(1)} ms`;
const both = (one: Sample): string => `${one.wallMs.toFixed(0)} ms (${one.cpuMs.toFixed(0)} cpu)`;

function compare(what: string, ours: number, theirs: number, barRatio: number, shown: { ours: string; theirs: string; peer: string }): void {
  const ratio = ours / theirs;
  rows.push({ what, value: shown.ours, peer: `${shown.peer} ${shown.theirs}`, ratio, bar: `<= ${barRatio}`, met: ratio <= barRatio });
  results[what] = { ours, theirs, ratio, barRatio };
}
/** A comparison that is only told: the most of it is not ours. */
function tell(what: string, ours: number, theirs: number, peer: string): void {
  const ratio = ours / theirs;
  rows.push({ what, value: ms(ours), peer: `${peer} ${ms(theirs)}`, ratio, bar: '', met: undefined });
  results[what] = { ours, theirs, ratio };
}
function limit(what: string, value: number, barValue: number, unit: string): void {
  rows.push({ what, value: `${value.toFixed(2)} ${unit}`, peer: '', ratio: undefined, bar: `<= ${barValue} ${unit}`, met: value <= barValue });
  results[what] = { value, barValue, unit };
}

/* ---- one pod ---- */

function onePod(script: string, podman: readonly string[] | undefined): void {
  const measured = alternate(
    [
      // Exited pods stay, as the peer's bridge does: neither makes its network anew each time.
      { name: 'rkt', command: echo, after: waitUntilGone },
      { name: 'rkt, gone', command: echo, until: isGone },
      { name: 'crun+cni', command: [script, 'exit'], after: () => clearPeer(script) },
      // It takes down what it made before it ends.
      { name: 'crun+cni, gone', command: [script], until: () => true },
      ...(podman === undefined ? [] : [{ name: 'podman', command: podman, until: () => true }]),
      { name: 'node -e 0', command: ['node', '-e', '0'] },
    ],
    rounds,
    env,
  );
  gc();
  const of = (name: string): Sample => measured.get(name) ?? { wallMs: Number.NaN, cpuMs: Number.NaN };
  const versus = (what: string, ours: string, theirs: string, barRatio: number, peer: string): void =>
    compare(what, of(ours).wallMs, of(theirs).wallMs, barRatio, { ours: both(of(ours)), theirs: both(of(theirs)), peer });
  versus('run echo to exit / crun+CNI script', 'rkt', 'crun+cni, gone', 0.6, 'crun+CNI');
  versus('  the same, peer to exit only', 'rkt', 'crun+cni', 0.6, 'crun+CNI to exit');
  versus('  until rules, lease and netns are gone', 'rkt, gone', 'crun+cni, gone', 0.6, 'crun+CNI');
  if (podman !== undefined) {
    versus('run echo to exit / podman', 'rkt', 'podman', 0.3, 'podman run --rm');
    versus('  until rules, lease and netns are gone', 'rkt, gone', 'podman', 0.3, 'podman run --rm');
  }
  results['samples'] = Object.fromEntries(measured);
}

/** Nothing of a pod's network is there any more: rules go first, then the lease, then the namespace. */
const isGone = (): boolean =>
  readdirSync('/run/netns').every((name) => !name.startsWith('rkt-')) &&
  !readdirSync('/var/lib/cni/networks/bridge').some((name) => /^\d/.test(name));
/** The next sample begins on a quiet host. */
function waitUntilGone(): void {
  while (!isGone()) continue;
}

/** What the peer's script left when it stopped at the app's exit. */
function clearPeer(script: string): void {
  const base = script.replace(/\/run\.sh$/, '');
  for (const id of readdirSync('/run/netns').filter((name) => /^p\d+$/.test(name))) {
    spawnSync(
      'bash',
      [
        '-c',
        `CNI_COMMAND=DEL CNI_CONTAINERID=${id} CNI_NETNS=/run/netns/${id} CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge < ${base}/conf.json; ip netns del ${id}; rm -r ${base}/${id}`,
      ],
      { env },
    );
  }
}

function twenty(script: string): void {
  const sequence = (command: string): string[] => ['bash', '-c', `for i in $(seq 20); do ${command}; done`];
  const parallel = (command: string): string[] => ['bash', '-c', `for i in $(seq 20); do ${command} & done; wait`];
  const measured = alternate(
    [
      { name: 'rkt sequence', command: sequence(echo.join(' ')), until: isGone },
      { name: 'peer sequence', command: sequence(script), until: () => true },
      { name: 'rkt parallel', command: parallel(echo.join(' ')), until: isGone },
      { name: 'peer parallel', command: parallel(script), until: () => true },
    ],
    3,
    env,
  );
  for (const [kind, bar] of [
    ['sequence', 0.6],
    ['parallel', 0.8],
  ] as const) {
    const ours = measured.get(`rkt ${kind}`) ?? { wallMs: Number.NaN, cpuMs: Number.NaN };
    const theirs = measured.get(`peer ${kind}`) ?? ours;
    compare(`20 pods, ${kind}, until they are gone`, ours.wallMs, theirs.wallMs, bar, { ours: both(ours), theirs: both(theirs), peer: 'crun+CNI' });
  }
}

/* ---- a pod that stays, and those that exited ---- */

/** Proportional set size of the pod's processes but the app: supervisor and init. */
function memory(): void {
  const pod = spawn(rkt, [dir, 'run', '--net=bridge', 'busybox', '--exec=/bin/sleep', '--', '600'], { env, stdio: 'ignore' });
  sleepMs(1_500);
  const pids = [pod.pid ?? 0, ...childrenOf(pod.pid ?? 0)].filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('rkt-'));
  const pssKb = pids.map((pid) => Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? Number.NaN));
  limit(`PSS that stays per pod (${pids.length} processes)`, pssKb.reduce((sum, one) => sum + one, 0) / 1024, 0.5, 'MB');
  pod.kill('SIGTERM');
  sleepMs(500);
  gc();
}
const childrenOf = (pid: number): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter((child) => child !== '')
    .flatMap((child) => [Number(child), ...childrenOf(Number(child))]);

/** An empty Node, without the certificates that rkt leaves out as well (73 ms on some machines). */
function emptyNodeMs(): number {
  const { NODE_EXTRA_CA_CERTS: _certificates, ...plain } = env as NodeJS.ProcessEnv;
  return median(Array.from({ length: rounds }, () => sample(['node', '-e', '0'], plain).wallMs));
}

function exitedPods(): void {
  const empty = emptyNodeMs();
  for (let index = 0; index < 50; index++) execFileSync(echo[0] ?? '', echo.slice(1), { env });
  const list = median(Array.from({ length: rounds }, () => sample([rkt, dir, 'list'], env).wallMs));
  limit('list with 50 exited pods, above empty node', list - empty, 25, 'ms');
  gc();
  const collected: number[] = [];
  for (let round = 0; round < 5; round++) {
    for (let index = 0; index < 10; index++) execFileSync(echo[0] ?? '', echo.slice(1), { env });
    collected.push(sample(collect, env).wallMs);
  }
  limit('gc of 10 exited bridge pods, above empty node', median(collected) - empty, 60, 'ms');
}

function releases(): void {
  const { freeMs, goneMs, cpuMs } = measureRelease([rkt, dir, 'run'], rounds, env);
  limit('address and ports free after the exit', freeMs, 50, 'ms');
  limit('  with the network namespace', goneMs, 50, 'ms');
  limit('  CPU of that', cpuMs, 5, 'ms');
}

function plans(): void {
  const config = join(work, 'many');
  mkdirSync(join(config, 'net.d'), { recursive: true });
  const names = Array.from({ length: 64 }, (_, index) => `net${index}`);
  for (const [index, name] of names.entries()) {
    const bridge = { type: 'bridge', bridge: name, isGateway: true, ipMasq: true, ipam: { type: 'host-local', subnet: `10.${100 + index}.0.0/16` } };
    const list = { cniVersion: '1.1.0', name, plugins: [bridge, { type: 'portmap', capabilities: { portMappings: true } }, { type: 'firewall' }] };
    writeFileSync(join(config, `net.d/${10 + index}-${name}.conflist`), JSON.stringify(list));
  }
  const plan = [rkt, dir, `--local-config=${config}`, 'net', 'plan', ...names.map((name) => `--net=${name}`)];
  const empty = emptyNodeMs();
  limit('net plan for 64 networks, above empty node', median(Array.from({ length: rounds }, () => sample(plan, env).wallMs)) - empty, 20, 'ms');
}

/* ---- plugins as executables ---- */

function executables(): void {
  const conf = join(work, 'bridge.json');
  const ipam = { type: 'host-local', subnet: '10.64.0.0/16' };
  writeFileSync(conf, JSON.stringify({ cniVersion: '1.0.0', name: 'alone', type: 'bridge', bridge: 'alone0', isGateway: true, ipMasq: true, ipam }));
  const netns = '/run/netns/alone';
  const variant = (name: string, directory: string) => {
    const command = [join(directory, 'bridge')];
    const attachment = { CNI_CONTAINERID: name, CNI_NETNS: netns, CNI_IFNAME: 'eth0', CNI_PATH: directory };
    return {
      name,
      command,
      stdin: conf,
      env: { ...attachment, CNI_COMMAND: 'ADD' },
      before: () => void execFileSync('ip', ['netns', 'add', 'alone'], { env }),
      after: () => {
        sample(command, { ...env, ...attachment, CNI_COMMAND: 'DEL' }, conf);
        execFileSync('ip', ['netns', 'del', 'alone'], { env });
      },
    };
  };
  const measured = alternate([variant('ours', join(root, 'dist/cni')), variant('debian', '/usr/lib/cni')], rounds, env);
  const [ours, theirs] = [measured.get('ours'), measured.get('debian')];
  if (ours === undefined || theirs === undefined) throw new Error('a variant was not measured');
  compare('dist/cni/bridge ADD with host-local', ours.wallMs, theirs.wallMs, 2, { ours: both(ours), theirs: both(theirs), peer: "Debian's" });
}

/* ---- plugins in process ---- */

async function attachments(): Promise<void> {
  const outfile = join(root, 'dist/bench-inprocess.cjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'inprocess.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    minify: true,
    logLevel: 'error',
    define: { __DIST__: JSON.stringify(join(root, 'dist')), 'import.meta.url': '__filename' },
  });
  const output = execFileSync('node', [outfile, String(rounds), process.env['BENCH_CROWD'] ?? '1000'], { encoding: 'utf8', env, maxBuffer: 1 << 24 });
  rmSync(outfile);
  const found = JSON.parse(output.trim().split('\n').at(-1) ?? '{}') as {
    ours: { addMs: number; delMs: number };
    debian: { addMs: number; delMs: number };
    crowd: { others: number; aloneMs: number; crowdedMs: number };
  };
  for (const [verb, key] of [
    ['ADD', 'addMs'],
    ['DEL', 'delMs'],
  ] as const) {
    compare(`${verb} of bridge+host-local+masq+portmap+firewall`, found.ours[key], found.debian[key], 0.05, {
      ours: ms(found.ours[key]),
      theirs: ms(found.debian[key]),
      peer: "Debian's chain",
    });
  }
  const { aloneMs, crowdedMs, others } = found.crowd;
  compare(`ADD with ${others} other attachments`, crowdedMs, aloneMs, 1.1, { ours: ms(crowdedMs), theirs: ms(aloneMs), peer: 'ADD with one' });
}

/** Policies: put in place at once, and as cheap for 1000 pods as for ten (policy.md 2d). */
function policies(): void {
  const [ten, hundred, thousand] = measurePolicies([10, 100, 1000], 5);
  if (ten === undefined || hundred === undefined || thousand === undefined) throw new Error('three sizes');
  compare('network policies of 1000 pods put in place', thousand.loadMs, 500, 1, { ours: ms(thousand.loadMs), theirs: '', peer: 'bar 500 ms' });
  for (const { pods, flowUs } of [hundred, thousand])
    compare(`new UDP flow past policies of ${pods} pods`, flowUs, ten.flowUs, 1.25, {
      ours: `${flowUs.toFixed(1)} us`,
      theirs: `${ten.flowUs.toFixed(1)} us`,
      peer: 'of 10',
    });
}

/** The image bars: 100 MB in 7000 files and 5 layers, from a registry on loopback. */
function registries(): void {
  const below = join(work, 'registry');
  mkdirSync(below);
  for (const { compression, rktMs, tarMs, umociMs, peakMB, againMs, localMs } of measureRegistry(rkt, below, 5, env)) {
    const versus = (theirs: number, bar: number, peer: string): void =>
      compare(`fetch from a registry, ${compression} / ${peer}`, rktMs, theirs, bar, { ours: ms(rktMs), theirs: ms(theirs), peer });
    versus(tarMs, 1.2, 'curl + GNU tar');
    if (umociMs !== undefined) versus(umociMs, 0.5, 'skopeo + umoci');
    limit(`  largest resident set, ${compression}`, peakMB, 120, 'MB');
    compare('run docker://… of what is stored / oci:', againMs, localMs, 1.1, { ours: ms(againMs), theirs: ms(localMs), peer: 'run oci:DIR' });
  }
}

function podmanOnPlugins(): void {
  const times = measurePodman(join(root, 'dist'), 20, 1, env);
  if (typeof times === 'string') console.log(`no containers of podman on CNI plugins: ${times}`);
  else tell('podman, 20 containers on our plugins', times.oursMs, times.debianMs, "on Debian's");
}

function podmanCommand(): string[] | undefined {
  const storage = [
    'podman',
    `--root=${join(work, 'podman')}`,
    `--runroot=${join(work, 'podman-run')}`,
    '--cgroup-manager=cgroupfs',
    '--events-backend=file',
  ];
  const pulled = spawnSync(storage[0] ?? '', [...storage.slice(1), 'pull', '-q', `oci:${join(root, 'dist/images/busybox')}:latest`], {
    encoding: 'utf8',
    env,
  });
  const image = pulled.stdout.trim();
  // Its default limits exceed a plain root's, and its crun refuses hybrid cgroup hosts as the peer's does.
  const run = [...storage, 'run', '--rm', '--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024', image, '/bin/echo', 'hi'];
  const command = ['unshare', '-m', 'sh', '-c', `umount /sys/fs/cgroup/unified 2>/dev/null; exec ${run.join(' ')}`];
  const tried = spawnSync(command[0] ?? '', command.slice(1), { encoding: 'utf8', env });
  if (pulled.status === 0 && tried.status === 0) return command;
  console.log(`podman does not run here: ${pulled.stderr}${tried.stderr}`);
  return undefined;
}

function rootfsForPeer(): string {
  const target = join(work, 'rootfs');
  mkdirSync(join(target, 'bin'), { recursive: true });
  for (const sub of ['proc', 'sys', 'dev']) mkdirSync(join(target, sub));
  cpSync('/bin/busybox', join(target, 'bin/echo'));
  return target;
}

function print(): void {
  const table = [
    ['work', 'rkt', 'peer', 'ratio', 'bar', ''],
    ...rows.map(({ what, value, peer, ratio, bar, met }) => [
      what,
      value,
      peer,
      ratio?.toFixed(3) ?? '',
      bar,
      met === undefined ? '' : met ? 'met' : 'MISSED',
    ]),
  ];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  const machine = {
    kernel: release(),
    cores: cpus().length,
    model: cpus()[0]?.model,
    node: execFileSync('node', ['--version'], { env, encoding: 'utf8' }).trim(),
    extraCaCerts: process.env['NODE_EXTRA_CA_CERTS'] !== undefined,
    rounds,
  };
  console.log(`\n${JSON.stringify(machine)}`);
  mkdirSync(join(root, 'test/.results'), { recursive: true });
  writeFileSync(join(root, 'test/.results/bench.json'), `${JSON.stringify({ machine, results }, undefined, 2)}\n`);
}

enterHost();
try {
  const { script } = makeCrunPeer(join(work, 'peer'), rootfsForPeer());
  onePod(script, podmanCommand());
  twenty(script);
  gc();
  memory();
  exitedPods();
  gc();
  releases();
  gc();
  plans();
  executables();
  await attachments();
  policies();
  podmanOnPlugins();
  registries();
  print();
} finally {
  // podman leaves its storage mounted.
  spawnSync('umount', ['-R', '-l', join(work, 'podman/overlay')]);
  rmSync(work, { recursive: true, force: true });
  leaveOwnCgroups();
}
