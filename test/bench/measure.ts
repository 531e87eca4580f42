/** Times whole commands: wall and CPU of the process tree, variants alternated, medians. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

export interface Sample {
  readonly wallMs: number;
  readonly cpuMs: number;
}
export interface Variant {
  readonly name: string;
  /** argv; its whole tree is timed */
  readonly command: readonly string[];
  /** added to the environment */
  readonly env?: NodeJS.ProcessEnv;
  /** file */
  readonly stdin?: string;
  /** the clock stops only when this is true, after the command's end; asked without pause */
  readonly until?: () => boolean;
  /** before every sample, not timed */
  before?(): void;
  /** after every sample, not timed */
  after?(): void;
}

/** Runs one command under bash's `time`, which counts every descendant that was waited for. */
export function sample(command: readonly string[], env: NodeJS.ProcessEnv = process.env, stdin = '/dev/null'): Sample {
  const script = 'TIMEFORMAT="@@ %3R %3U %3S"; time "$@" >/dev/null';
  const input = openSync(stdin, 'r');
  const { stderr, status } = spawnSync('bash', ['-c', script, 'bash', ...command], {
    encoding: 'utf8',
    env,
    maxBuffer: 1 << 24,
    stdio: [input, 'pipe', 'pipe'],
  });
  closeSync(input);
  const match = /@@ ([\d.]+) ([\d.]+) ([\d.]+)/.exec(stderr);
  if (status !== 0 || match === null) throw new Error(`${command.join(' ')} ended with ${status}: ${stderr}`);
  const [, real = '0', user = '0', system = '0'] = match;
  return { wallMs: Number(real) * 1_000, cpuMs: (Number(user) + Number(system)) * 1_000 };
}

/** Wall time is bash's, or up to `until` our own, bash included: compare those with one another only. */
function sampleVariant({ command, env, stdin, until }: Variant, base: NodeJS.ProcessEnv): Sample {
  const start = performance.now();
  const taken = sample(command, { ...base, ...env }, stdin);
  if (until === undefined) return taken;
  while (!until()) continue;
  return { ...taken, wallMs: performance.now() - start };
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** `rounds` samples of every variant, in turn, so that a busy moment hits all of them. The first round is not counted. */
export function alternate(variants: readonly Variant[], rounds: number, env: NodeJS.ProcessEnv = process.env): Map<string, Sample> {
  const samples = new Map(variants.map(({ name }) => [name, [] as Sample[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const variant of variants) {
      variant.before?.();
      const taken = sampleVariant(variant, env);
      if (round > 0) samples.get(variant.name)?.push(taken);
      variant.after?.();
    }
  }
  return new Map(
    [...samples].map(([name, taken]) => [name, { wallMs: median(taken.map((one) => one.wallMs)), cpuMs: median(taken.map((one) => one.cpuMs)) }]),
  );
}
