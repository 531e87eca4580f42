/** Pods for the stage1 tests: a busybox root made by hand, a driver that does stage0's part, a look at what it became. */
import { execFileSync, spawn, spawnSync, type ChildProcess, type SpawnSyncReturns } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startTimeOf } from '../../../src/host/process.ts';
import type { AppSpec, PodApp } from '../../../src/model/pod.ts';
import { removePodCgroup } from '../../../src/stage1/flavors/oci/cgroup.ts';
import { buildDriver } from '../../rig/driver.ts';
import type { DriverInput } from './stage0-driver.ts';

declare const __DIST__: string;

const source = resolve(import.meta.dirname, '../../../src/stage1/flavors/oci');
const sourceFiles = (ending: string): string[] =>
  readdirSync(source)
    .filter((name) => name.endsWith(ending))
    .map((name) => join(source, name));

/** Compiles the supervisor into a dist directory of its own, beside the real addon. */
export function makeDist(directory: string, flags: readonly string[] = ['-static', '-Os', '-s']): string {
  mkdirSync(join(directory, 'stage1/oci'), { recursive: true });
  copyFileSync(join(__DIST__, 'linux.node'), join(directory, 'linux.node'));
  execFileSync(
    'cc',
    ['-std=gnu11', '-Wall', '-Wextra', '-Werror', ...flags, '-o', join(directory, 'stage1/oci/rkt-supervisor'), ...sourceFiles('.c')],
    { stdio: 'inherit' },
  );
  return directory;
}

/** A root file system of busybox and little else. */
export function makeLayer(directory: string): string {
  for (const path of ['bin', 'etc', 'proc', 'root', 'home/ann']) mkdirSync(join(directory, path), { recursive: true });
  chmodSync(directory, 0o755);
  copyFileSync('/bin/busybox', join(directory, 'bin/busybox'));
  chmodSync(join(directory, 'bin/busybox'), 0o755);
  for (const name of execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n'))
    if (name !== 'busybox') symlinkSync('busybox', join(directory, 'bin', name));
  writeFileSync(join(directory, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n');
  writeFileSync(join(directory, 'etc/group'), 'root:x:0:\nann:x:1000:\nwheel:x:10:ann\n');
  return directory;
}

export interface AppInput {
  readonly name?: string;
  /** run by /bin/sh -c, unless it is a list */
  readonly run: string | readonly string[];
  readonly spec?: Partial<AppSpec>;
  readonly readonlyRootfs?: boolean;
  readonly stopSignal?: string;
  /** top first; default: the busybox layer alone */
  readonly layers?: readonly string[];
}

export interface PodInput extends Partial<Omit<DriverInput, 'apps'>> {
  readonly apps: readonly AppInput[];
  /** what to write to the driver's stdin */
  readonly stdin?: string;
  /** program and arguments in front of the driver's */
  readonly through?: readonly string[];
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class PodRig {
  readonly root = mkdtempSync(join(tmpdir(), 'rkt-stage1-'));
  readonly dist: string;
  readonly layers: string[];
  readonly #driver: string;
  readonly #pods: RunningPod[] = [];

  constructor(flags?: readonly string[]) {
    this.dist = makeDist(join(this.root, 'dist'), flags);
    this.#driver = buildDriver(join(import.meta.dirname, 'stage0-driver.ts'), this.root, this.dist);
    this.layers = [makeLayer(join(this.root, 'layers/base'))];
  }

  start(input: PodInput): RunningPod {
    const id = input.id ?? randomUUID();
    const dir = input.dir ?? join(this.root, 'pods', id);
    mkdirSync(dir, { recursive: true });
    const { apps, stdin, through = [], ...rest } = input;
    const driverInput: DriverInput = {
      dir,
      id,
      overlay: true,
      interactive: false,
      graceMs: 10_000,
      hostname: 'pod',
      insecure: [],
      ...rest,
      apps: apps.map((app, index) => ({ spec: podApp(app, index), layers: app.layers ?? this.layers, stopSignal: app.stopSignal ?? '' })),
    };
    const [command, ...args] = [...through, '/usr/bin/node', this.#driver, JSON.stringify(driverInput)];
    const child = spawn(command, args, {
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, RKT_TEST_POD: id, TERM: 'xterm' },
    });
    if (stdin !== undefined) child.stdin?.end(stdin);
    const pod = new RunningPod(id, dir, child);
    this.#pods.push(pod);
    return pod;
  }

  /** Puts a line of shell in front of the supervisor. */
  wrapSupervisor(line: string): void {
    const path = join(this.dist, 'stage1/oci/rkt-supervisor');
    renameSync(path, `${path}.real`);
    writeFileSync(path, `#!/bin/sh\n${line}\nexec ${path}.real "$@"\n`, { mode: 0o755 });
  }

  /** A directory with a crun that never gets anywhere. */
  stuckCrun(): string {
    const directory = join(this.root, 'stuck');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'crun'), '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 });
    return directory;
  }

  /** `rkt enter` through the same driver. */
  enter(pod: RunningPod, app: string, ...command: string[]): SpawnSyncReturns<string> {
    return spawnSync('/usr/bin/node', [this.#driver, 'enter', pod.dir, app, ...command], {
      encoding: 'utf8',
      env: { ...process.env, RKT_TEST_POD: pod.id, TERM: 'linux' },
    });
  }

  run(input: PodInput): Promise<Ended> {
    return this.start(input).ended;
  }

  /** Ends what is left and undoes the cgroups: what gc would do. */
  cleanUp(): void {
    for (const pod of this.#pods.splice(0)) {
      if (pod.child.exitCode === null && pod.child.signalCode === null) pod.child.kill('SIGKILL');
      removePodCgroup(`rkt/${pod.id}`, undefined);
      rmSync(pod.dir, { recursive: true, force: true });
    }
  }

  dispose(): void {
    this.cleanUp();
    rmSync(this.root, { recursive: true, force: true });
  }
}

function podApp(app: AppInput, index: number): PodApp {
  return {
    name: app.name ?? (index === 0 ? 'app' : `app${index + 1}`),
    image: { name: 'busybox', id: 'sha256-0' },
    app: { exec: typeof app.run === 'string' ? ['/bin/sh', '-c', app.run] : [...app.run], user: '0', group: '', ...app.spec },
    ...(app.readonlyRootfs === undefined ? {} : { readOnlyRootFS: app.readonlyRootfs }),
  };
}

export class RunningPod {
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  constructor(
    readonly id: string,
    readonly dir: string,
    readonly child: ChildProcess,
  ) {
    child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = new Promise((done) => void child.on('close', (code, signal) => done({ code, signal, stdout: this.stdout, stderr: this.stderr })));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  read(path: string): string | undefined {
    const file = join(this.dir, path);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  }

  pidOf(path: string): number {
    return Number((this.read(path) ?? '').split(' ')[0]);
  }

  /** Waits until every app was started. */
  async ready(): Promise<this> {
    await until(
      () => existsSync(join(this.dir, 'stage1/rootfs/rkt')) && readdirSync(join(this.dir, 'stage1/rootfs/rkt')).includes('supervisor-status'),
      () => `pod not ready: ${this.stdout}${this.stderr}`,
    );
    return this;
  }

  async printed(text: string): Promise<void> {
    await until(
      () => this.stdout.includes(text),
      () => `never printed ${text}: ${this.stdout}${this.stderr}`,
    );
  }

  /** Apps by their cgroup, the supervisor, init and crun by their environment; zombies apart. */
  processes(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const text = readFileSync(`/proc/${pid}/cgroup`, 'utf8') + readFileSync(`/proc/${pid}/environ`, 'utf8');
          return text.includes(this.id) && startTimeOf(pid) !== undefined;
        } catch {
          return false; // ended meanwhile
        }
      });
  }
}

export async function until(probe: () => boolean, complaint: () => string, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!probe()) {
    if (performance.now() > deadline) throw new Error(complaint());
    await new Promise((done) => void setTimeout(done, 5));
  }
}

/** Proportional set size in KiB. */
export const pssKib = (pid: number): number => Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);

/** Start time as the pid files have it. */
export const startTimeText = (pid: number): string => startTimeOf(pid) ?? 'none';
