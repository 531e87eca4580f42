/** The runtime under test: real configurations, the real planner, libcni's loop, and plugins that write down what they are asked. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { monotonicMs, sleepMs } from '../../src/host/clock.ts';
import { parseNetArgs } from '../../src/net/args.ts';
import type { CniCall, CniServices } from '../../src/net/cni/services.ts';
import { confDirectories, loadConf } from '../../src/net/conf/load.ts';
import type { LoadedConf } from '../../src/net/conf/types.ts';
import { findExecutables } from '../../src/net/facts/plugins.ts';
import { planNetworks, type PlanInput } from '../../src/net/plan/plan.ts';
import type { PlannedNetwork } from '../../src/model/plan.ts';
import type { PortMapping } from '../../src/model/cni/types.ts';

const script = resolve(import.meta.dirname, '../fixtures/plugins/record');

/** One call as a plugin saw it. */
export interface Heard {
  readonly type: string;
  readonly verb: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly conf: Readonly<Record<string, unknown>>;
  /** network namespace it ran in */
  readonly namespace: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
}

export class Bench {
  dir = '';
  log = '';
  plugins = '';
  cacheDir = '';
  dataDir = '';
  /** what the loop told its record */
  calls: CniCall[] = [];
  services: CniServices = this.#services();

  constructor() {
    beforeEach(() => {
      this.dir = mkdtempSync(join(tmpdir(), 'rkt-conformance-'));
      [this.log, this.plugins, this.cacheDir, this.dataDir] = ['log', 'plugins', 'cache', 'data'].map((name) => join(this.dir, name)) as [
        string,
        string,
        string,
        string,
      ];
      for (const path of [this.log, this.plugins, this.cacheDir, this.dataDir, join(this.dir, 'etc/net.d')]) mkdirSync(path, { recursive: true });
      for (const type of ['a', 'b', 'c', 'ipam']) symlinkSync(script, join(this.plugins, type));
      this.calls = [];
      this.services = this.#services();
    });
    afterEach(() => rmSync(this.dir, { recursive: true }));
  }

  #services(): CniServices {
    return {
      plugins: new Map(),
      cacheDir: this.cacheDir,
      timeoutMs: 10_000,
      env: { PATH: process.env['PATH'] ?? '', RECORD_DIR: this.log },
      nowMs: monotonicMs,
      pause: sleepMs,
      interrupted: () => 0,
      record: (call) => this.calls.push(call),
      recorded: () => this.calls,
    };
  }

  /** Puts a file into net.d. */
  put(name: string, content: object | string): string {
    const path = join(this.dir, 'etc/net.d', name);
    mkdirSync(resolve(path, '..'), { recursive: true });
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
    return path;
  }
  load(): LoadedConf {
    return loadConf(confDirectories({ localConfig: join(this.dir, 'etc'), systemConfig: join(this.dir, 'none') }, join(this.dir, 'none')));
  }
  /** What is wrong with the files of net.d, one text each. */
  faults(): string[] {
    return this.load().faulty.flatMap(({ faults }) => faults.map(({ jsonPath, message }) => `${jsonPath}: ${message}`));
  }

  plan(
    net: string | readonly string[],
    more: { ports?: PortMapping[]; versions?: Record<string, string[]>; path?: string[] } = {},
  ): PlannedNetwork[] {
    const configs = this.load();
    const path = more.path ?? [this.plugins];
    const types = configs.networks.flatMap(({ plugins }) => plugins.flatMap(({ type, ipam }) => [type, ...(ipam === undefined ? [] : [ipam.type])]));
    const input: PlanInput = {
      request: parseNetArgs(typeof net === 'string' ? [net] : net),
      configs,
      ports: more.ports ?? [],
      facts: { routes: [], pluginPath: path, executables: findExecutables(types, path), versions: more.versions ?? {} },
      builtinTypes: [],
      forceExec: true,
    };
    return [...planNetworks(input).networks];
  }

  /** A network called `net` of the plugins given, planned. */
  network(plugins: readonly object[], more: object = {}, net = 'net', options: Parameters<Bench['plan']>[1] = {}): PlannedNetwork {
    this.put('10-net.conflist', { cniVersion: '1.1.0', name: 'net', ...more, plugins: plugins.map((plugin) => ({ log: this.log, ...plugin })) });
    return this.plan(net, options)[0] ?? expect.fail('nothing was planned');
  }

  /** What `type` prints for `verb`; with `fail` it exits 1 besides, with `once` only the first time. */
  answer(type: string, verb: string, text: string | object, kind: 'answer' | 'fail' | 'once' = 'answer'): void {
    writeFileSync(join(this.log, `${kind}-${type}-${verb}`), typeof text === 'string' ? text : JSON.stringify(text));
  }
  /** Failures end. */
  heal(type: string, verb: string): void {
    rmSync(join(this.log, `fail-${type}-${verb}`));
  }

  /** Everything the plugins heard, in order. */
  heard(): Heard[] {
    const numbers = readdirSync(this.log)
      .filter((name) => name.endsWith('.facts'))
      .map((name) => name.slice(0, -'.facts'.length))
      .sort();
    return numbers.map((n) => {
      const read = (what: string): string => readFileSync(join(this.log, `${n}.${what}`), 'utf8');
      const lines = read('env')
        .split('\n')
        .filter((line) => line.includes('='));
      const env = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
      const [type = '', namespace = '', start = '', end = ''] = read('facts').split('\n');
      const stdin = read('stdin');
      const conf = (stdin === '' ? {} : JSON.parse(stdin)) as Record<string, unknown>;
      return { type, verb: env['CNI_COMMAND'] ?? '', env, stdin, conf, namespace, startNs: BigInt(start), endNs: BigInt(end) };
    });
  }
  /** `ADD a, ADD b` */
  story(): string {
    return this.heard()
      .map(({ verb, type }) => `${verb} ${type}`)
      .join(', ');
  }
}

export const pod = { containerId: 'pod-1', netns: '' };
