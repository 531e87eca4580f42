/**
 * Fetching from a registry on loopback beside what does the same with tools: the image of unpack.ts, every side timed to the end of
 * `sync -f`. By itself: `node test/bench/registry.ts [ROUNDS]`.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { basename } from 'node:path/posix';
import { sleepMs } from '../../src/host/clock.ts';
import { alternate, type Variant } from './measure.ts';
import { filesPerLayer, layers, peakHook, writeImage } from './unpack.ts';

export interface RegistryTimes {
  readonly compression: 'gzip' | 'zstd';
  readonly rktMs: number;
  /** processor time of all processes: what remains comparable on a busy machine */
  readonly cpuMs: { readonly rkt: number; readonly tar: number; readonly umoci: number | undefined };
  /** curl, then GNU tar with the decompressor */
  readonly tarMs: number;
  /** skopeo copy, then umoci unpack; undefined where umoci does not know the compression */
  readonly umociMs: number | undefined;
  /** the largest resident set of rkt */
  readonly peakMB: number;
  /** `rkt run docker://…` of what is stored */
  readonly againMs: number;
  /** `rkt run oci:…` of the same, unchanged */
  readonly localMs: number;
}

/** Starts Debian's registry below `work`. @returns its address; the process ends with `stop` */
function startRegistry(work: string): { readonly host: string; readonly stop: () => void } {
  const host = '127.0.0.1:5123';
  const config = join(work, 'registry.yml');
  writeFileSync(
    config,
    `version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: ${join(work, 'registry')} } }\nhttp: { addr: "${host}" }\n`,
  );
  const child = spawn('docker-registry', ['serve', config], {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'] ?? '', OTEL_TRACES_EXPORTER: 'none' },
  });
  for (let tries = 0; spawnSync('curl', ['-sf', `http://${host}/v2/`]).status !== 0; tries++) {
    if (tries > 100) throw new Error('docker-registry does not listen');
    sleepMs(50);
  }
  return { host, stop: () => void child.kill('SIGKILL') };
}

/** `rounds` of each, in turn, below `work`. What was unpacked stays until the end: on ext4 creating soon after a large removal is slow. */
export function measureRegistry(
  rkt: string,
  work: string,
  rounds: number,
  env: NodeJS.ProcessEnv,
  compressions: readonly ('gzip' | 'zstd')[] = ['gzip', 'zstd'],
): RegistryTimes[] {
  const registry = startRegistry(work);
  let runs = 0;
  const fresh = (): string => {
    const path = join(work, `run${runs++}`);
    mkdirSync(path);
    return path;
  };
  const sh = (script: string, ...args: string[]): string[] => ['sh', '-ec', script, 'sh', ...args];
  const variant = (name: string, commandIn: (directory: string) => string[]): Variant => {
    const command: string[] = [];
    return {
      name,
      command,
      before() {
        command.splice(0, Infinity, ...commandIn(fresh()));
        execFileSync('sync', ['-f', work]);
      },
    };
  };
  try {
    return compressions.map((compression) => {
      const layout = join(work, compression);
      const blobs = writeImage(layout, compression);
      const name = `bench/${compression}:1`;
      const reference = `docker://${registry.host}/${name}`;
      execFileSync('skopeo', ['--insecure-policy', 'copy', '-q', '--dest-tls-verify=false', `oci:${layout}:latest`, reference]);
      const urls = blobs.map((blob) => `http://${registry.host}/v2/bench/${compression}/blobs/sha256:${basename(blob)}`);
      const fetching = (directory: string): string[] => sh('"$1" "--dir=$2/data" fetch "$3"; sync -f "$2"', rkt, directory, reference);
      const variants = [
        variant('rkt', fetching),
        variant('tar', (directory) =>
          sh(
            `d=$1; shift; n=0
            for u; do n=$((n+1)); mkdir $d/$n; curl -sf -o $d/blob$n $u; tar -C $d/$n --use-compress-program=${compression} -xp --xattrs --numeric-owner -f $d/blob$n; done
            sync -f $d`,
            directory,
            ...urls,
          ),
        ),
        ...(compression === 'gzip'
          ? [
              variant('umoci', (directory) =>
                sh(
                  'skopeo --insecure-policy copy -q --src-tls-verify=false "$1" "oci:$2/layout:latest"; umoci unpack --image "$2/layout:latest" "$2/bundle" 2>/dev/null; sync -f "$2"',
                  reference,
                  directory,
                ),
              ),
            ]
          : []),
      ];
      const times = alternate(variants, rounds, env);

      const hook = join(work, 'peak.cjs');
      writeFileSync(hook, peakHook(join(work, 'peak')));
      execFileSync('sh', fetching(fresh()).slice(1), { env: { ...env, NODE_OPTIONS: `--require=${hook}` }, stdio: 'ignore' });

      // The image has no program: that it has none is told after image and manifest were looked at.
      const stored = fresh();
      for (const from of [reference, `oci:${layout}:latest`]) execFileSync(rkt, [`--dir=${stored}`, 'fetch', from], { env, stdio: 'ignore' });
      const running = (from: string): string[] => ['sh', '-c', '! "$1" "--dir=$2" run --net=none "$3" 2>/dev/null', 'sh', rkt, stored, from];
      const again = alternate(
        [
          { name: 'docker', command: running(reference) },
          { name: 'oci', command: running(`oci:${layout}:latest`) },
        ],
        Math.max(11, rounds),
        env,
      );
      const of = (name: string): number => times.get(name)?.wallMs ?? Number.NaN;
      return {
        compression,
        rktMs: of('rkt'),
        cpuMs: {
          rkt: times.get('rkt')?.cpuMs ?? Number.NaN,
          tar: times.get('tar')?.cpuMs ?? Number.NaN,
          umoci: times.get('umoci')?.cpuMs,
        },
        tarMs: of('tar'),
        umociMs: times.get('umoci')?.wallMs,
        peakMB: Number(readFileSync(join(work, 'peak'), 'utf8')) / 1024,
        againMs: again.get('docker')?.wallMs ?? Number.NaN,
        localMs: again.get('oci')?.wallMs ?? Number.NaN,
      };
    });
  } finally {
    registry.stop();
  }
}

if (process.argv[1] === import.meta.filename) {
  const work = mkdtempSync('/tmp/rkt-registry-bench-');
  try {
    const path = (process.env['PATH'] ?? '').split(':').filter((directory) => !directory.includes('node_modules'));
    const env = { ...process.env, PATH: path.join(':') };
    for (const times of measureRegistry(resolve(import.meta.dirname, '../../dist/rkt'), work, Number(process.argv[2] ?? 5), env)) {
      const ratio = (value: number | undefined): string => (value === undefined ? '-' : (times.rktMs / value).toFixed(2));
      console.log(JSON.stringify(times));
      console.log(
        `${times.compression}: download + tar ${ratio(times.tarMs)} (<= 1.2), skopeo + umoci ${ratio(times.umociMs)} (<= 0.5), again / local ${(times.againMs / times.localMs).toFixed(2)} (<= 1.1), peak ${times.peakMB.toFixed(0)} MB (<= 120)`,
      );
    }
    console.log(`${layers} layers, ${layers * filesPerLayer} files, 100 MB`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
