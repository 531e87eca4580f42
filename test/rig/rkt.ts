/** Runs the built rkt as a user would: in the throw-away host, with a data directory of its own. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { sleepMs } from '../../src/host/clock.ts';
import { enterHost } from './host.ts';

export const dist = resolve(import.meta.dirname, '../../dist');
export const rktPath = join(dist, 'rkt');

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One file's rkt: data directory and configuration directory, gone after the file. Make it after useHost(): hooks that end a test run in reverse. */
export class Rkt {
  readonly #started: RunningPod[] = [];
  dataDir = '';
  /** admin configuration: put networks into `${config}/net.d` */
  config = '';

  constructor() {
    beforeAll(() => {
      enterHost();
      this.dataDir = mkdtempSync('/tmp/rkt-data-');
      this.config = mkdtempSync('/tmp/rkt-config-');
    });
    // Also after a test that failed half-way: the next one starts clean, and only real residue is reported.
    afterEach(async () => {
      for (const pod of this.#started.splice(0)) if (pod.child.exitCode === null && pod.child.signalCode === null) await pod.stop('SIGKILL');
      this.run(['gc', '--grace-period=0']);
    });
    afterAll(() => {
      for (const dir of [this.dataDir, this.config]) rmSync(dir, { recursive: true, force: true });
    });
  }

  arguments(args: readonly string[]): string[] {
    return [`--dir=${this.dataDir}`, `--local-config=${this.config}`, ...args];
  }

  /** Runs to the end, at most `timeoutMs`. */
  run(args: readonly string[], options: { timeoutMs?: number; env?: Record<string, string>; input?: string } = {}): Outcome {
    const { status, signal, stdout, stderr } = spawnSync(rktPath, this.arguments(args), {
      encoding: 'utf8',
      timeout: options.timeoutMs ?? 30_000,
      killSignal: 'SIGKILL',
      input: options.input ?? '',
      env: { ...process.env, ...options.env },
    });
    return { status, signal, stdout, stderr };
  }

  /** Runs and expects success; returns stdout. */
  ok(...args: string[]): string {
    const outcome = this.run(args);
    expect(outcome.status, `rkt ${args.join(' ')}\n${outcome.stdout}${outcome.stderr}`).toBe(0);
    return outcome.stdout;
  }

  /** Runs to the end beside others. */
  launch(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
    const child = spawn(rktPath, this.arguments(args), { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    return new Promise((done) => void child.on('close', (status, signal) => done({ status, signal, stdout, stderr })));
  }

  /** Starts a pod in the background and waits until all its apps run. */
  start(args: readonly string[]): RunningPod {
    const uuidFile = join(this.config, `uuid-${Math.random().toString(36).slice(2)}`);
    const child = spawn(rktPath, this.arguments(['run', `--uuid-file-save=${uuidFile}`, ...args]), { stdio: ['ignore', 'pipe', 'pipe'] });
    const pod = new RunningPod(this, child, uuidFile);
    this.#started.push(pod);
    pod.waitUntilReady();
    return pod;
  }

  /** Removes every exited pod; what cannot be removed fails the test. */
  gc(): void {
    this.ok('gc', '--grace-period=0');
  }

  pods(): { name: string; state: string; networks?: { netName: string; ip: string; ifName: string }[]; pid?: number }[] {
    return (JSON.parse(this.ok('list', '--format=json')) as ReturnType<Rkt['pods']> | null) ?? [];
  }

  /** Directories of pods in any phase. */
  podDirectories(): string[] {
    const pods = join(this.dataDir, 'pods');
    return readdirSync(pods).flatMap((phase) => readdirSync(join(pods, phase)).map((id) => `${phase}/${id}`));
  }
}

export class RunningPod {
  stdout = '';
  stderr = '';
  readonly exited: Promise<Outcome>;

  constructor(
    readonly rkt: Rkt,
    readonly child: ChildProcess,
    readonly uuidFile: string,
  ) {
    child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.exited = new Promise(
      (done) => void child.on('close', (status, signal) => done({ status, signal, stdout: this.stdout, stderr: this.stderr })),
    );
  }

  get uuid(): string {
    return readFileSync(this.uuidFile, 'utf8').trim();
  }
  get dir(): string {
    return join(this.rkt.dataDir, 'pods/run', this.uuid);
  }
  /** address on the first network */
  get ip(): string {
    const [net] = JSON.parse(readFileSync(join(this.dir, 'net-info.json'), 'utf8')) as { ip: string }[];
    return net?.ip ?? expect.fail('the pod has no network');
  }

  waitUntilReady(timeoutMs = 15_000): void {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      try {
        if (readdirSync(join(this.dir, 'stage1/rootfs/rkt')).includes('supervisor-status')) return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      if (hasEnded(this.child.pid ?? 0)) throw new Error(`the pod ended before it was ready; run it in the foreground to see why`);
      if (performance.now() > deadline) {
        this.child.kill('SIGKILL');
        throw new Error(`pod is not ready after ${timeoutMs} ms: ${this.stdout}${this.stderr}`);
      }
      sleepMs(10);
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Outcome> {
    this.child.kill(signal);
    return this.exited;
  }
}

/** A child of this process ended: we wait synchronously, so it stays a zombie. */
const hasEnded = (pid: number): boolean => /^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
